import numpy as np
import pytest
import torch
from torch import nn

from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization.filters import filters_of, plot_filters


def network(weight):
    """A network whose first convolution has this weight."""
    weight = torch.as_tensor(weight, dtype=torch.float32)
    count, channels, size, _ = weight.shape
    conv = nn.Conv2d(channels, count, size)
    conv.weight.data = weight
    return nn.Sequential(conv, nn.ReLU(), nn.Conv2d(count, 5, 1))


def test_filters_come_by_falling_norm_with_the_channels_last():
    weight = torch.ones(3, 3, 2, 2) * torch.tensor([1., 3., -2.])[:, None, None, None]
    weight[1, 2] = 0  # blue
    filters = filters_of(network(weight))
    assert filters.shape == (3, 2, 2, 3)
    np.testing.assert_array_equal(filters[:, 0, 0], [[3, 3, 0], [-2, -2, -2], [1, 1, 1]])


def test_other_numbers_of_channels_are_averaged():
    weight = torch.tensor([1., 2., 3., 6.])[None, :, None, None] * torch.ones(2, 4, 1, 1)
    np.testing.assert_array_equal(filters_of(network(weight)), np.full((2, 1, 1, 1), 3))


def test_gray_is_zero_and_each_filter_has_its_own_scale(texts):
    weight = torch.zeros(2, 3, 1, 2)
    weight[0, 0, 0] = torch.tensor([10., -10.])
    weight[1, 1, 0] = torch.tensor([0.1, 0.])
    conv = nn.Conv2d(3, 2, (1, 2))
    conv.weight.data = weight
    figure = plot_filters(nn.Sequential(conv), 'mine')
    sheet = figure.axes[0].get_images()[0].get_array()
    np.testing.assert_allclose(sheet[0], [
        [1, 0.5, 0.5], [0, 0.5, 0.5], [1, 1, 1], [0.5, 1, 0.5], [0.5, 0.5, 0.5]])


def test_a_filter_of_zeros_is_gray():
    sheet = plot_filters(network(torch.zeros(1, 1, 2, 2))).axes[0].get_images()[0].get_array()
    np.testing.assert_array_equal(sheet, np.full((2, 2), 0.5))


def test_the_title_names_the_network_and_the_sizes(digits, mixer, texts, nothing_cut_off):
    assert 'a $ name: 64 filters of 1 x 1, the strongest first' in [
        text.replace(r'\$', '$') for text in texts(plot_filters(digits, 'a $ name'))]
    figure = plot_filters(mixer)
    assert 'network: 16 filters of 8 x 8, the strongest first' in texts(figure)
    assert nothing_cut_off(figure)


def test_many_filters_are_large_enough_at_half_size():
    axes, = plot_filters(network(torch.rand(1536, 3, 7, 7))).axes
    axes.figure.draw_without_rendering()
    weights = axes.get_images()[0].get_array().shape[1]
    assert axes.get_window_extent().width / weights >= 4  # pixels


def test_a_network_without_a_convolution_is_refused():
    with pytest.raises(BadConfig, match='Sequential has no convolution'):
        filters_of(nn.Sequential(nn.Linear(2, 2)))
