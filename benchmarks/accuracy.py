"""How exact a kernel has to be: its error may be twice that of eager PyTorch, both from float64."""
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

ROOM = 2.


def largest_error(got: Tensor, exact: Tensor) -> float:
    """Return the largest difference of two tensors; infinity if one of them has NaN."""
    if not exact.numel():
        return 0.
    difference = (got.detach().double() - exact.detach().double()).abs().max()
    return float(difference.nan_to_num(nan=torch.inf))


def largest_allowed(eager: Tensor, exact: Tensor, roundings: int = 1,
                    room: float = ROOM) -> float:
    """Return the largest error that passes: twice eager's, plus some for eager's luck.

    Args:
        roundings: how many roundings of the largest value, in eager's dtype, are added.
            Eager gets a few results exactly right by chance.
        room: how many times eager's error is allowed.
    """
    if not exact.numel():
        return 0.
    rounding = torch.finfo(eager.dtype).eps * float(exact.detach().abs().max())
    return room * largest_error(eager, exact) + roundings * rounding


@contextmanager
def unwritten_memory_is_nan() -> Iterator[None]:
    """Fill what torch.empty returns with NaN, so that what a kernel does not write is found."""
    before = (torch.are_deterministic_algorithms_enabled(),
              torch.is_deterministic_algorithms_warn_only_enabled(),
              torch.utils.deterministic.fill_uninitialized_memory)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = before[2]


@contextmanager
def without_tf32() -> Iterator[None]:
    """Let eager PyTorch compute in full float32: TF32 would make its error 1,000 times larger."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = False
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
