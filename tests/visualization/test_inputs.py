import numpy as np
import torch
from PIL import Image

from mmconvmixer import get_model
from mmconvmixer.visualization.inputs import as_pixels, network_images


def test_pixels_are_rgb_and_inputs_are_normalized(tmp_path):
    path = tmp_path / 'red.png'
    Image.new('RGB', (32, 32), (255, 0, 10)).save(path)
    model = get_model('convmixer-128-4_cifar10')
    image, = network_images(model, [path])
    assert image.name == f'{tmp_path.name}/red.png'
    assert image.pixels.dtype == np.uint8
    np.testing.assert_array_equal(image.pixels, np.full((32, 32, 3), [255, 0, 10]))
    prepared = model.data_preprocessor
    expected = (torch.tensor([255., 0, 10])[:, None, None] - prepared.mean) / prepared.std
    torch.testing.assert_close(image.inputs, expected.expand(1, 3, 32, 32))


def test_a_gray_image_has_three_equal_channels():
    pixels = as_pixels(torch.arange(4, dtype=torch.uint8).reshape(1, 2, 2))
    np.testing.assert_array_equal(pixels[..., 2], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 1])
