import numpy as np
import pytest
import torch

from mmconvmixer.errors import BadConfig, UnknownOption
from mmconvmixer.models import ConvMixer
from mmconvmixer.visualization.features import (
    as_colors,
    chosen_blocks,
    feature_maps,
    plot_features,
)
from mmconvmixer.visualization.inputs import network_images


def test_the_last_map_averages_to_the_features_of_the_classifier(digits, mixer, digit_images):
    for model, inputs in ((digits, network_images(digits, digit_images[:1])[0].inputs),
                          (mixer, torch.rand(1, 3, 24, 24))):
        before = model.backbone.out_indices
        (first,), (last,) = feature_maps(model, [inputs], [0, model.backbone.depth - 1])
        assert first.shape == last.shape and last.ndim == 3
        with torch.no_grad():
            pooled, = model.extract_feat(inputs)
        np.testing.assert_allclose(last.mean(axis=(1, 2)), pooled[0], rtol=1e-4, atol=1e-5)
        assert model.backbone.out_indices == before


@pytest.mark.parametrize('depth, blocks', [
    (1, [0]), (4, [0, 1, 2, 3]), (8, [0, 1, 3, 4, 6, 7]), (32, [0, 6, 12, 19, 25, 31])])
def test_some_blocks_are_drawn_from_the_first_to_the_last(depth, blocks):
    assert chosen_blocks(ConvMixer(f'4/{depth}-p2-k3')) == blocks


def test_colors_are_the_components_of_all_images_together():
    generator = np.random.default_rng(0)
    plain = generator.normal(size=(2, 3, 6, 4)) * np.array([9., 3., 1.])[:, None, None]
    mixed = np.einsum('cd,ndhw->nchw', np.linalg.qr(generator.normal(size=(5, 3)))[0], plain)
    colors, share = as_colors(list(mixed))
    assert share == pytest.approx(1, abs=1e-5)
    assert [image.shape for image in colors] == [(6, 4, 3)] * 2
    red = np.concatenate([image[..., 0].ravel() for image in colors])
    inner = (red > 0) & (red < 1)
    strongest = plain[:, 0].ravel()
    assert abs(np.corrcoef(red[inner], strongest[inner])[0, 1]) > 0.97


def test_a_map_without_contrast_and_one_of_two_channels_have_colors_too():
    (flat,), share = as_colors([np.ones((4, 2, 2))])
    assert np.isfinite(flat).all() and share == 0
    (image,), share = as_colors([np.random.default_rng(0).random((2, 3, 3))])
    assert image.shape == (3, 3, 3) and share == pytest.approx(1)


def test_the_figure_has_a_row_for_each_image_and_a_column_for_each_block(
        digits, digit_images, texts, nothing_cut_off):
    figure = plot_features(digits, digit_images[:3], 'mine')
    assert figure.axes[0].get_gridspec().get_geometry() == (3, 5)
    shown = [text for text in texts(figure) if text.startswith('block')]
    assert [text.split(':')[0] for text in shown] == [f'block {number}' for number in range(1, 5)]
    assert nothing_cut_off(figure)


def test_what_cannot_be_drawn_is_named(digits, digit_images):
    with pytest.raises(UnknownOption, match='room for 1 to 12 images, got 20'):
        plot_features(digits, digit_images * 2)
    with pytest.raises(BadConfig, match='Linear has no out_indices'):
        chosen_blocks(torch.nn.Linear(2, 2))
