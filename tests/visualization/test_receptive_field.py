import numpy as np
import pytest
import torch

from mmconvmixer.errors import BadConfig
from mmconvmixer.models import ConvMixer
from mmconvmixer.visualization.receptive_field import (
    plot_receptive_field,
    receptive_fields,
    side_with,
)


def test_nothing_outside_of_the_squares_that_patches_and_kernels_allow_has_an_influence():
    torch.manual_seed(0)
    backbone = ConvMixer('8/3-p2-k3').eval()
    fields = receptive_fields(backbone, [torch.rand(1, 3, 36, 36)], [0, 1, 2])
    for depth, field in enumerate(fields, 1):
        rows, columns = np.nonzero(field)
        # A patch, and one more on each side with every kernel of 3.
        first, last = 18 - 2 * depth, 18 + 2 * depth + 1
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (first, last, first, last)
    assert backbone.out_indices == [2]


def test_it_is_the_mean_over_images_and_a_mixer_sees_everything(mixer):
    one, other = torch.rand(2, 1, 3, 24, 24)
    both, = receptive_fields(mixer, [one, other], [1])
    apart = [receptive_fields(mixer, [image], [1])[0] for image in (one, other)]
    np.testing.assert_allclose(both, sum(apart) / 2, rtol=1e-4, atol=1e-7)
    assert (both > 0).all()


@pytest.mark.parametrize('share, side', [(0.1, 1), (0.5, 3), (1, 5)])
def test_the_side_is_that_of_the_smallest_middle_square(share, side):
    field = np.ones((5, 5))
    field[2, 2] = 8
    assert side_with(field, share) == side


def test_the_figure_has_a_map_for_each_block(digits, digit_images, texts, nothing_cut_off):
    figure = plot_receptive_field(digits, digit_images, 'mine')
    shown = texts(figure)
    assert sum(text.startswith('block ') and 'half within' in text for text in shown) == 4
    assert 'mine: what the middle' in ' '.join(shown) and nothing_cut_off(figure)


def test_images_of_different_sizes_are_refused(folder_config, tmp_path):
    from mmconvmixer import get_model
    model = get_model(folder_config(tmp_path))
    pipeline = model._config.test_dataloader.dataset.pipeline
    model._config.test_dataloader.dataset.pipeline = [
        step for step in pipeline if step['type'] != 'Resize']
    with pytest.raises(BadConfig, match='different sizes have no common receptive field'):
        plot_receptive_field(model, [np.zeros((8, 8), np.uint8), np.zeros((9, 8), np.uint8)])
