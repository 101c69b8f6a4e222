import numpy as np
import pytest

from mmconvmixer.visualization.tiles import columns_for, tiled


def test_images_lie_in_rows_with_a_pixel_between_them():
    sheet = tiled(np.arange(3.)[:, None, None] * np.ones((2, 1)), columns=2, background=9)
    np.testing.assert_array_equal(sheet, [[0, 9, 1], [0, 9, 1], [9, 9, 9], [2, 9, 9], [2, 9, 9]])


def test_colors_are_kept():
    sheet = tiled(np.full((1, 2, 2, 3), [0.1, 0.2, 0.3]), columns=1)
    np.testing.assert_allclose(sheet, np.full((2, 2, 3), [0.1, 0.2, 0.3]))


@pytest.mark.parametrize('count, columns', [
    (1, 1), (2, 2), (4, 2), (8, 4), (20, 5), (32, 8), (64, 8), (128, 16), (768, 32), (1536, 48),
    (7, 3), (13, 5)])
def test_rows_are_full_where_that_is_possible(count, columns):
    assert columns_for(count) == columns
