"""Programs made for one batch size each, asked with any."""
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

Run = Callable[[Tensor], Tensor]


def static_batches(build: Callable[[int], Run],
                   made_for: Callable[[int], int] = lambda count: count) -> Run:
    """Return a function of any number of images, by programs for fixed numbers.

    A number that comes for the first time, such as what is left at the end of a
    list, is filled up with images of zeros for a larger program, if there is one;
    when it comes again it gets its own.

    Args:
        build: makes the program for a batch size.
        made_for: the batch size, the same or larger, of the program for a number.
    """
    programs: dict[int, Run] = {}
    asked = Counter()

    def run(images: Tensor) -> Tensor:
        count = len(images)
        size = made_for(count)
        asked[size] += 1
        if size not in programs:
            larger = [each for each in programs if each > size]
            if larger and asked[size] == 1:
                size = min(larger)
            else:
                programs[size] = build(size)
        if size > count:
            images = torch.cat([images, images.new_zeros(size - count, *images.shape[1:])])
        return programs[size](images)[:count]
    return run
