"""What the hardware could give at most."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Of one GPU: memory in TB/s, matrix products in bf16 and vector arithmetic in TFLOP/s."""
    bandwidth: float
    matrix: float
    vector: float


# Reached by large products and copies, and the data sheet's FP32 figure.
H200 = Limits(bandwidth=4.3, matrix=790., vector=67.)


def floor_milliseconds(positions: int, channels: int, depth: int, kernel_size: int,
                       limits: Limits = H200) -> float:
    """Return the least time of one image's forward pass, memory hidden behind arithmetic.

    Each layer's depthwise part and pointwise part is one pass: 2 tensors read,
    2 written, in bf16. Products with padding are counted as the others are. See
    docs/performance.md.
    """
    pointwise = 2 * positions * channels**2 * depth / limits.matrix
    depthwise = 2 * positions * channels * kernel_size**2 * depth / limits.vector
    traffic = 2 * 2 * positions * channels * depth / limits.bandwidth
    return (max(pointwise, traffic) + max(depthwise, traffic)) / 1e9
