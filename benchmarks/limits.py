"""The limits of the hardware."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Peaks of one GPU: memory in TB/s, bf16 matrix products and vector arithmetic in TFLOP/s."""
    bandwidth: float
    matrix: float
    vector: float


# What large copies and products reach, and for vector arithmetic the data sheet's FP32.
H200 = Limits(bandwidth=4.3, matrix=790., vector=67.)


def floor_milliseconds(positions: int, channels: int, depth: int, kernel_size: int,
                       limits: Limits = H200) -> float:
    """Return the least time of one image's forward pass, in milliseconds.

    The depthwise and the pointwise part of a layer are one pass each: together they read
    2 tensors and write 2, in bf16, while computing. Products with padding count like any
    other. See docs/performance.md.
    """
    pointwise = 2 * positions * channels**2 * depth / limits.matrix
    depthwise = 2 * positions * channels * kernel_size**2 * depth / limits.vector
    traffic = 2 * 2 * positions * channels * depth / limits.bandwidth
    return (max(pointwise, traffic) + max(depthwise, traffic)) / 1e9
