"""Programs made for one batch size each, asked with any."""
from collections.abc import Callable

import torch
from torch import Tensor

Run = Callable[[Tensor], Tensor]


def static_batches(build: Callable[[int], Run]) -> Run:
    """Return a function of any number of pictures, by programs for fixed numbers.

    The first number asked for gets its program; a smaller one, such as the last of a
    list, is filled up with pictures of zeros rather than compiled anew.

    Args:
        build: makes the program for a batch size.
    """
    programs: dict[int, Run] = {}

    def run(images: Tensor) -> Tensor:
        count = len(images)
        size = min((size for size in programs if count <= size <= 2 * count + 2), default=count)
        if size not in programs:
            programs[size] = build(size)
        if size > count:
            images = torch.cat([images, images.new_zeros(size - count, *images.shape[1:])])
        return programs[size](images)[:count]
    return run
