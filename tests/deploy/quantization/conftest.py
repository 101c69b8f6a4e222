"""A folder of real images, the digits model, and a model that int8 spoils."""
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from mmconvmixer import get_model


@pytest.fixture(scope='session')
def digit_images(tmp_path_factory):
    """60 digits of the training set, in a folder for each class."""
    folder = tmp_path_factory.mktemp('digits')
    digits = load_digits()
    for number in range(60):
        path = folder / str(digits.target[number]) / f'{number:03d}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.rint(digits.images[number] * (255 / 16)).astype(np.uint8)).save(path)
    return folder


@pytest.fixture
def digits():
    return get_model('convmixer-64-4_digits', pretrained=True)


@pytest.fixture
def lopsided(digits):
    """The digits model with one channel of the stem 10,000 times as large.

    The next block undoes this, so the outputs are the same; but eight bits that cover
    such a range have no steps left for the other channels.
    """
    stem, block = digits.backbone.stem, digits.backbone.stages[0]
    factor = 1e4
    with torch.no_grad():
        stem[2].weight[0] *= factor
        stem[2].bias[0] *= factor
        block[0].fn[0].weight[0] /= factor
        block[0].fn[2].weight[0] *= factor
        block[0].fn[2].bias[0] *= factor
        block[1].weight[:, 0] /= factor
    return digits
