"""Pillow's antialiased resizing of part of an image, to the last bit.

A pixel of a resized row or column is a weighted sum of a few of the image's. Pillow's
weights are multiples of 2^-22 and its sums 32-bit integers, which every processor and
every order of summing agree on; so are those here, of many columns at once.
"""
import math
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

# Bits of a weight behind the point: what 32 leave for 8 of a pixel and some overshoot.
PRECISION = 22


def _bilinear(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _bicubic(x: np.ndarray) -> np.ndarray:
    # In Pillow's order of operations, so that the same bits come of it.
    x, a = np.abs(x), -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.))


class Filter(NamedTuple):
    """A resampling filter: its radius in pixels of the smaller image, and its values."""
    support: float
    values: Callable[[np.ndarray], np.ndarray]
    pillow: Image.Resampling


FILTERS = dict(bilinear=Filter(1., _bilinear, Image.Resampling.BILINEAR),
               bicubic=Filter(2., _bicubic, Image.Resampling.BICUBIC))


class Axis(NamedTuple):
    """What becomes of one axis: `kept` pixels from `first` on, of `after` made of `before`."""
    before: int
    after: int
    first: int
    kept: int


# Whether the pass along the height comes first. Pixels are rounded after each pass.
Order = Callable[[Axis, Axis], bool]


class _Taps(NamedTuple):
    first: int  # of the pixels that are needed
    stop: int
    # For each pixel that is made: the first it is made of, counted from `first` on,
    # their number, and their weights (kept, most).
    starts: np.ndarray
    counts: np.ndarray
    weights: np.ndarray


def is_available() -> bool:
    """Whether Numba, which compiles the sums, is installed."""
    return find_spec('numba') is not None


def resize_part(img: np.ndarray, height: Axis, width: Axis, interpolation: str,
                order: Order) -> np.ndarray:
    """Return part of a resized image.

    The same as `Image.fromarray(img).resize((width.after, height.after), ...)`, cut.

    Args:
        img: (H, W) or (H, W, 3) uint8.
        height, width: of what the axes are made and which part is kept.
        interpolation: 'bilinear' or 'bicubic'.
        order: see `pillow_order`.

    Returns:
        (height.kept, width.kept) or (height.kept, width.kept, 3) uint8, of three
        channels a view of planes (3, height.kept, width.kept), which then need no
        copy to go to a network.
    """
    rows, columns = _taps(height, interpolation), _taps(width, interpolation)
    part = img[rows.first:rows.stop, columns.first:columns.stop]
    # Along the height whole rows are added up, many numbers an instruction; along the
    # width not, so there the image is turned.
    if order(height, width):
        made = cv2.transpose(_along_height(rows, np.ascontiguousarray(part)))
        made = cv2.transpose(_along_height(columns, made))
    else:
        made = cv2.transpose(_along_height(columns, cv2.transpose(part)))
        made = _along_height(rows, made)
    if img.ndim == 2:
        return made
    planes = np.empty((3, height.kept, width.kept), np.uint8)
    cv2.split(made, list(planes))
    return planes.transpose(1, 2, 0)


@lru_cache
def pillow_order(interpolation: str) -> Order | None:
    """Return how this process's Pillow orders its two passes.

    None says that its pixels are others either way: Pillow-SIMD, which takes Pillow's
    place, rounds otherwise, and a later Pillow may.
    """
    img = np.random.default_rng(0).integers(0, 256, (47, 67, 3), np.uint8)
    # Twice as many rows less as columns, and one more; less, more, one axis only.
    sizes = ((33, 60), (32, 60), (31, 40), (94, 134), (5, 71), (47, 30), (30, 67))
    resized = {(height, width): np.asarray(Image.fromarray(img).resize(
        (width, height), FILTERS[interpolation].pillow)) for height, width in sizes}
    for order in (_shrunken_height_first, _width_first):
        if all(np.array_equal(expected, resize_part(
                img, Axis(47, height, 0, height), Axis(67, width, 0, width), interpolation, order))
               for (height, width), expected in resized.items()):
            return order
    return None


def _width_first(height: Axis, width: Axis) -> bool:
    """Pillow up to 12."""
    return False


def _shrunken_height_first(height: Axis, width: Axis) -> bool:
    """Pillow 13: height first where it loses more than twice as many pixels as the width."""
    loss = height.before - height.after
    return loss > 0 and loss > 2 * (width.before - width.after)


@lru_cache(maxsize=512)
def _taps(axis: Axis, interpolation: str) -> _Taps:
    filter = FILTERS[interpolation]
    scale = axis.before / axis.after
    stretch = max(scale, 1.)
    support = filter.support * stretch
    center = (np.arange(axis.first, axis.first + axis.kept) + 0.5) * scale
    starts = np.maximum((center - support + 0.5).astype(np.int32), 0)
    counts = np.minimum((center + support + 0.5).astype(np.int32), axis.before) - starts
    tap = np.arange(math.ceil(support) * 2 + 1)
    values = filter.values((tap + starts[:, None] - center[:, None] + 0.5) * (1 / stretch))
    values[tap >= counts[:, None]] = 0
    total = np.cumsum(values, axis=1)[:, -1:]  # from left to right, as Pillow adds them
    values /= np.where(total == 0, 1, total)
    weights = values * (1 << PRECISION) + np.where(values < 0, -0.5, 0.5)
    first = int(starts[0])
    return _Taps(first, int(starts[-1] + counts[-1]), starts - np.int32(first), counts,
                 weights.astype(np.int32))


def _along_height(taps: _Taps, img: np.ndarray) -> np.ndarray:
    """Return the weighted sums of the rows of (before, W[, C]): (kept, W[, C])."""
    # Numba takes half a second to import, and is not always there.
    from mmconvmixer.datasets.transforms.row_sums import row_sums
    out = np.empty((len(taps.starts), *img.shape[1:]), np.uint8)
    row_sums(taps.starts, taps.counts, taps.weights, img.reshape(len(img), -1),
             out.reshape(len(out), -1), PRECISION)
    return out
