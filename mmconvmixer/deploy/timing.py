"""How long a call takes, for choosing between two ways; `benchmarks` measures."""
from collections.abc import Callable
from time import perf_counter

from torch import Tensor


def seconds(run: Callable[[Tensor], Tensor], images: Tensor) -> float:
    """Return the time of one call."""
    start = perf_counter()
    run(images)
    return perf_counter() - start


def quickest(run: Callable[[Tensor], Tensor], images: Tensor) -> float:
    """Return the shortest of three calls, after one to warm up."""
    run(images)
    return min(seconds(run, images) for _ in range(3))
