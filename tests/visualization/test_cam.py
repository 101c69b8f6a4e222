import sys

import numpy as np
import pytest
import torch

from mmconvmixer import get_model
from mmconvmixer.errors import BadConfig, BadImage, MissingPackage, UnknownOption
from mmconvmixer.visualization.cam import (
    class_names_of,
    class_number,
    exact_map,
    has_exact_map,
    plot_cam,
)
from mmconvmixer.visualization.inputs import network_images


def test_the_exact_map_and_the_bias_sum_to_the_logit(digits, digit_images):
    for number, image in enumerate(network_images(digits, digit_images[:3])):
        logits = digits(image.inputs)[0].detach()
        for label in range(10):
            found = exact_map(digits, image.inputs, label)
            assert found.values.shape == (8, 8)
            total = found.values.sum() + digits.head.fc.bias[label].item()
            assert total == pytest.approx(float(logits[label]), abs=1e-4)
        assert exact_map(digits, image.inputs).label == number
        assert exact_map(digits, image.inputs).score == pytest.approx(
            float(logits.softmax(0).max()), abs=1e-5)


def test_so_they_do_for_a_mixer_whose_positions_lie_on_its_grid(mixer):
    inputs = torch.rand(1, 3, 24, 24)
    found = exact_map(mixer, inputs, 2)
    assert found.values.shape == (3, 3)
    assert found.values.sum() + mixer.head.fc.bias[2].item() == pytest.approx(
        mixer(inputs)[0, 2].item(), abs=1e-5)
    features, = mixer.backbone(inputs)
    by_position = mixer.head.fc.weight[2] @ features[0] / 9
    np.testing.assert_allclose(found.values.ravel(), by_position.detach(), atol=1e-6)


def test_the_figure_shows_each_image_with_its_class_and_map(digits, digit_images, texts,
                                                            nothing_cut_off):
    figure = plot_cam(digits, digit_images[:2], name='mine')
    first, second = (exact_map(digits, image.inputs)
                     for image in network_images(digits, digit_images[:2]))
    shown = texts(figure)
    assert 'mine: where it looked' in shown and '(ndarray)' in shown
    assert f'0 {first.score:.0%}' in shown and f'1 {second.score:.0%}' in shown
    drawn = figure.axes[1].get_images()[1]
    np.testing.assert_allclose(drawn.get_array(), first.values, rtol=1e-5)
    low, high = drawn.get_clim()
    assert -low == high == pytest.approx(max(abs(first.values).max(), abs(second.values).max()))
    assert nothing_cut_off(figure)


def test_many_images_share_rows(digits, digit_images, nothing_cut_off):
    figure = plot_cam(digits, digit_images[:5])
    assert sum(len(axes.get_images()) == 2 for axes in figure.axes) == 5
    assert figure.axes[0].get_gridspec().get_geometry() == (3, 4)
    assert nothing_cut_off(figure)
    with pytest.raises(UnknownOption, match='room for 1 to 24 images, got 30'):
        plot_cam(digits, digit_images * 3)


def test_a_class_may_be_asked_for_by_name_or_number(digits, digit_images, texts):
    score = exact_map(digits, network_images(digits, digit_images[:1])[0].inputs, 7).score
    for label in ('7', 7):
        assert f'7 {score:.0%}' in texts(plot_cam(digits, digit_images[:1], label))


def test_names_come_before_numbers():
    assert class_number('1', ['2', '1', '0']) == 1
    assert class_number('1', ['cat', 'dog']) == 1
    assert class_number('dog', ['cat', 'dog']) == 1
    with pytest.raises(UnknownOption, match='no class dgo; .* 0 to 1 or a name; nearest: dog'):
        class_number('dgo', ['cat', 'dog'])


def test_classes_without_names_are_called_by_their_numbers(mixer):
    assert class_names_of(mixer) == ['0', '1', '2', '3']


def test_what_has_no_exact_map_is_refused(digits, digit_images):
    features = get_model('convmixer-64-4_digits', head=None)
    with pytest.raises(BadConfig, match='without a head'):
        plot_cam(features, digit_images[:1])
    two_layers = get_model('convmixer-64-4_digits', head=dict(
        type='StackedLinearClsHead', mid_channels=[8]))
    assert not has_exact_map(two_layers)
    with pytest.raises(BadConfig, match='only a linear head .* another method: gradcam'):
        plot_cam(two_layers, digit_images[:1], method='cam')
    with pytest.raises(UnknownOption, match="method is 'magic', expected one of cam, gradcam"):
        plot_cam(digits, digit_images[:1], method='magic')
    with pytest.raises(UnknownOption, match='that of the last block; for backbone.stem'):
        plot_cam(digits, digit_images[:1], method='cam', layer='backbone.stem')
    with pytest.raises(BadImage, match=r'nothing\.png'):
        plot_cam(digits, ['nothing.png'])


def test_without_grad_cam_its_methods_say_what_to_install(digits, digit_images, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
    with pytest.raises(MissingPackage, match=r"needs grad-cam: pip install 'mmconvmixer\[visual"):
        plot_cam(digits, digit_images[:1], method='layercam')
