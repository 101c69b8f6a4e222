"""The inner loop of resizing, compiled by Numba."""
import numba
import numpy as np


def _row_sums(starts: np.ndarray, counts: np.ndarray, weights: np.ndarray, pixels: np.ndarray,
              out: np.ndarray, precision: int) -> None:
    """Fill each row of `out` with a weighted sum of some rows of `pixels`.

    Args:
        starts, counts: (M,) int32, which rows of `pixels` each row is made of.
        weights: (M, most) int32, in units of 2^-precision.
        pixels: (K, N) uint8.
        out: (M, N) uint8, rounded halves up and held to 0..255.
        precision: bits behind the point.
    """
    sums = np.empty(pixels.shape[1], np.int32)
    half = np.int32(1 << (precision - 1))
    for row in range(len(out)):
        sums[:] = half
        for tap in range(counts[row]):
            weight = weights[row, tap]
            source = pixels[starts[row] + tap]
            for column in range(len(sums)):
                sums[column] += weight * np.int32(source[column])
        made = out[row]
        for column in range(len(sums)):
            made[column] = np.uint8(min(max(sums[column] >> precision, 0), 255))


try:
    # Other processes, and the next run, need not wait a second for the compiler.
    row_sums = numba.njit(_row_sums, nogil=True, cache=True)
except RuntimeError:  # no folder that it may write to
    row_sums = numba.njit(_row_sums, nogil=True)
