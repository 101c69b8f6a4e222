import numpy as np
import pytest
import torch
from torch import nn

from mmconvmixer.errors import BadConfig
from mmconvmixer.models import ConvMixer
from mmconvmixer.visualization.kernels import IN_BLOCK, kernels_of, plot_kernels


def test_each_block_has_its_depthwise_kernels_by_falling_norm(digits):
    blocks = kernels_of(digits)
    assert [block.shape for block in blocks] == [(64, 3, 3)] * 4
    norms = np.linalg.norm(blocks[2].reshape(64, 9), axis=1)
    assert (np.diff(norms) <= 1e-6).all()
    weight = digits.backbone.stages[2][0].fn[0].weight[:, 0].detach().numpy()
    np.testing.assert_allclose(blocks[2].sum(axis=0), weight.sum(axis=0), rtol=1e-4, atol=1e-5)


def test_a_mixer_has_the_grids_that_its_hidden_units_read(mixer):
    blocks = kernels_of(mixer)
    assert [block.shape for block in blocks] == [(20, 3, 3)] * 2
    weight = mixer.backbone.layers[1].token_mix.layers[0][0].weight.detach()
    strongest = weight[weight.norm(dim=1).argmax()]
    np.testing.assert_array_equal(blocks[1][0].ravel(), strongest)


def test_every_block_is_drawn_and_scaled_to_its_largest_weights(mixer, texts, nothing_cut_off):
    figure = plot_kernels(mixer, 'mine')
    assert {'block 1', 'block 2', 'negative', 'positive',
            'mine: 20 kernels of 3 x 3 in each block, the strongest first'} <= set(texts(figure))
    sheet = figure.axes[1].get_images()[0].get_array()
    drawn = np.ma.filled(sheet, 0)[:3, :3]
    kernel = kernels_of(mixer)[1][0]
    np.testing.assert_allclose(drawn, kernel / abs(kernel).max(), rtol=1e-6)
    assert nothing_cut_off(figure)


def test_of_many_kernels_some_are_drawn_from_the_strongest_to_the_weakest(texts):
    backbone = ConvMixer('200/2-p2-k3')
    for block in backbone.stages:
        block[0].fn[0].weight.data = torch.ones(200, 1, 3, 3) * torch.arange(
            1., 201)[torch.randperm(200), None, None, None]
    figure = plot_kernels(backbone)
    assert f'network: {IN_BLOCK} of 200 kernels of 3 x 3 in each block, the strongest first' in (
        texts(figure))
    assert np.ma.count(figure.axes[0].get_images()[0].get_array()) == IN_BLOCK * 9


def test_of_many_blocks_fewer_are_drawn_so_that_they_are_large_enough(texts, nothing_cut_off):
    figure = plot_kernels(ConvMixer('70/13-p2-k7'))
    assert 'network: 25 of 70 kernels of 7 x 7 in each block, the strongest first' in texts(figure)
    axes = figure.axes[0]
    weights = axes.get_images()[0].get_array().shape[1]
    assert axes.get_window_extent().width / weights >= 4  # pixels, two at half size
    assert nothing_cut_off(figure)


def test_a_network_without_either_is_refused():
    with pytest.raises(BadConfig, match='neither depthwise convolutions nor token-mixing'):
        kernels_of(nn.Sequential(nn.Conv2d(3, 8, 3)))
