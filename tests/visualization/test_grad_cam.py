import numpy as np
import pytest
import torch

from mmconvmixer import get_model
from mmconvmixer.deploy.fuse import fuse
from mmconvmixer.errors import UnknownOption
from mmconvmixer.visualization.cam import exact_map, plot_cam
from mmconvmixer.visualization.grad_cam import METHODS, grad_cam
from mmconvmixer.visualization.inputs import network_images

pytest.importorskip('pytorch_grad_cam')


@pytest.fixture(scope='module')
def three(digits, digit_images):
    """An image of a three, normalized."""
    return network_images(digits, digit_images[3:4])[0].inputs


def test_of_the_last_block_it_is_the_positive_part_of_the_exact_map(digits, three):
    for label in (3, 5):
        positive = exact_map(digits, three, label).values.clip(min=0)
        scaled = (positive - positive.min()) / (positive - positive.min()).max()
        np.testing.assert_allclose(grad_cam(digits, three, label), scaled, atol=1e-4)


def test_hooks_fire_in_the_folded_network_too(digits, three):
    folded = fuse(digits)
    for layer in ('backbone.stem', 'backbone.stages.1', 'backbone.stages.3'):
        np.testing.assert_allclose(grad_cam(folded, three, 3, layer=layer),
                                   grad_cam(digits, three, 3, layer=layer), atol=1e-3)


def test_they_fire_where_blocks_are_computed_in_place_or_are_frozen(digits, three):
    with torch.inference_mode():
        before = digits(three.clone())
    frozen = get_model('convmixer-64-4_digits', pretrained=True,
                       backbone=dict(frozen_stages=4)).requires_grad_(False)
    np.testing.assert_allclose(grad_cam(frozen, three, 3, layer='backbone.stages.2'),
                               grad_cam(digits, three, 3, layer='backbone.stages.2'), atol=1e-4)
    with torch.inference_mode():  # the hooks are gone, and the fast way is taken again
        torch.testing.assert_close(digits(three.clone()), before, rtol=0, atol=0)
    assert all(weight.grad is None for weight in digits.parameters())


@pytest.mark.parametrize('method', METHODS)
def test_every_method_gives_a_map_of_the_images_size(digits, mixer, three, method):
    for model, inputs in ((digits, three), (mixer, torch.rand(1, 3, 24, 24))):
        values = grad_cam(model, inputs, 1, method)
        assert values.shape == inputs.shape[2:]
        assert 0 <= values.min() <= values.max() <= 1.0001
        assert np.isfinite(values).all()


def test_a_network_without_an_exact_map_gets_grad_cam(digit_images, texts):
    model = get_model('convmixer-64-4_digits', head=dict(
        type='StackedLinearClsHead', mid_channels=[8]))
    assert 'gradcam, relative' in texts(plot_cam(model, digit_images[:1]))


@pytest.mark.parametrize('layer, said', [
    ('backbone.stage.2', r"no layer 'backbone.stage.2'; nearest: backbone.stages.2"),
    ('backbone.stages', r'is a list of layers .* such as backbone.stages.0'),
    ('backbone', r'backbone gives a tuple, expected a feature map'),
    ('head.fc', r'head.fc gives a tensor \(1, 10\), expected')])
def test_a_layer_that_has_no_map_is_named(digits, three, layer, said):
    with pytest.raises(UnknownOption, match=said):
        grad_cam(digits, three, 3, layer=layer)
