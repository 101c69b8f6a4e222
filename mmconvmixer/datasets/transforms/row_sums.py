"""The inner loop of resizing, compiled by Numba."""
import numba
import numpy as np


def _row_sums(starts: np.ndarray, counts: np.ndarray, weights: np.ndarray, pixels: np.ndarray,
              out: np.ndarray, precision: int) -> None:
    """Fill each row of `out` with a weighted sum of consecutive rows of `pixels`.

    Args:
        starts, counts: (M,) int32, the first row of `pixels` and the number of rows to sum.
        weights: (M, most) int32, in units of 2^-precision.
        pixels: (K, N) uint8.
        out: (M, N) uint8, with halves rounded up, clipped to 0..255.
        precision: fractional bits of the weights.
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
        out_row = out[row]
        for column in range(len(sums)):
            out_row[column] = np.uint8(min(max(sums[column] >> precision, 0), 255))


try:
    # With the cache, other processes and later runs skip a second of compilation.
    row_sums = numba.njit(_row_sums, nogil=True, cache=True)
except RuntimeError:  # Numba found no writable folder for its cache
    row_sums = numba.njit(_row_sums, nogil=True)
