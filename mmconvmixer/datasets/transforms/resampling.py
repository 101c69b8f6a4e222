"""Pillow's antialiased resizing, bit for bit, for the part of an image that is kept.

Each resized pixel is a weighted sum of a few pixels of the image. As in Pillow, the weights are
multiples of 2^-22 and the sums are 32-bit integers, so that neither the processor nor the order
of the additions changes a result. Here many columns are summed at once.
"""
import math
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

# Fractional bits of a weight: of 32 bits, a pixel needs 8, and overshoot and the sign 2 more.
PRECISION = 22


def _bilinear(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _bicubic(x: np.ndarray) -> np.ndarray:
    # Pillow's order of operations, which decides the last bits.
    x, a = np.abs(x), -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.))


class Filter(NamedTuple):
    """A resampling filter: its radius in pixels of the smaller image, and its function."""
    support: float
    values: Callable[[np.ndarray], np.ndarray]
    pillow: Image.Resampling


FILTERS = dict(bilinear=Filter(1., _bilinear, Image.Resampling.BILINEAR),
               bicubic=Filter(2., _bicubic, Image.Resampling.BICUBIC))


class Axis(NamedTuple):
    """How one axis is resized from `before` to `after` pixels, of which `kept` are computed.

    Those begin at pixel `first` of the resized axis.
    """
    before: int
    after: int
    first: int
    kept: int


# Decides from height and width whether the height is resized first. It matters, because
# pixels are rounded after each pass.
Order = Callable[[Axis, Axis], bool]


class _Taps(NamedTuple):
    """The input pixels `first` to `stop` that an axis needs, and their weights.

    For each output pixel, `starts` is the first input pixel of its sum, counted from `first`,
    `counts` the number of input pixels, and the row of `weights` (kept, most) their weights.
    """
    first: int
    stop: int
    starts: np.ndarray
    counts: np.ndarray
    weights: np.ndarray


def is_available() -> bool:
    """Return whether Numba, which compiles the sums, is installed."""
    return find_spec('numba') is not None


def resize_part(img: np.ndarray, height: Axis, width: Axis, interpolation: str,
                order: Order) -> np.ndarray:
    """Return part of a resized image.

    It equals that part of `Image.fromarray(img).resize((width.after, height.after), ...)`.

    Args:
        img: (H, W) or (H, W, 3) uint8.
        height, width: how the axes are resized and which part is kept.
        interpolation: 'bilinear' or 'bicubic'.
        order: the order of the two passes, from `pillow_order`.

    Returns:
        (height.kept, width.kept) or (height.kept, width.kept, 3) uint8. The latter is a view
        of planes (3, height.kept, width.kept), so that packing for a network needs no copy.
    """
    rows, columns = _taps(height, interpolation), _taps(width, interpolation)
    part = img[rows.first:rows.stop, columns.first:columns.stop]
    # Summing along the height adds whole rows, many pixels per instruction. For the width
    # the image is therefore transposed first.
    if order(height, width):
        resized = cv2.transpose(_along_height(rows, np.ascontiguousarray(part)))
        resized = cv2.transpose(_along_height(columns, resized))
    else:
        resized = cv2.transpose(_along_height(columns, cv2.transpose(part)))
        resized = _along_height(rows, resized)
    if img.ndim == 2:
        return resized
    planes = np.empty((3, height.kept, width.kept), np.uint8)
    cv2.split(resized, list(planes))
    return planes.transpose(1, 2, 0)


@lru_cache
def pillow_order(interpolation: str) -> Order | None:
    """Return the order in which the installed Pillow resizes height and width.

    None means that its pixels differ in either order: Pillow-SIMD, which can be installed in
    place of Pillow, rounds differently, and so may a later Pillow.
    """
    img = np.random.default_rng(0).integers(0, 256, (47, 67, 3), np.uint8)
    # The height loses exactly twice as many pixels as the width, then one pixel more; then
    # both axes shrink, both grow, one of each, and only one axis changes.
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
    """Pillow 13: height first if it loses more than twice as many pixels as the width."""
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
    """Return weighted sums of the rows of an image (before, W[, C]), as (kept, W[, C])."""
    # Numba is optional and takes half a second to import.
    from mmconvmixer.datasets.transforms.row_sums import row_sums
    out = np.empty((len(taps.starts), *img.shape[1:]), np.uint8)
    row_sums(taps.starts, taps.counts, taps.weights, img.reshape(len(img), -1),
             out.reshape(len(out), -1), PRECISION)
    return out
