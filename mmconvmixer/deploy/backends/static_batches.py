"""Any number of images, computed by programs that each take a fixed number."""
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from mmconvmixer.deploy.backends import Run


def static_batches(build: Callable[[int], Run],
                   size_for: Callable[[int], int] = lambda count: count) -> Run:
    """Return a function of any number of images, computed by programs of fixed sizes.

    The first time a batch size occurs, such as the rest at the end of a list, the
    batch is padded with zero images for a larger program if there is one. The second
    time, the size gets its own program.

    Args:
        build: batch size -> its program.
        size_for: number of images -> batch size, the same or larger, of its program.
    """
    programs: dict[int, Run] = {}
    occurred = Counter()

    def run(images: Tensor) -> Tensor:
        count = len(images)
        size = size_for(count)
        occurred[size] += 1
        if size not in programs:
            larger = [each for each in programs if each > size]
            if larger and occurred[size] == 1:
                size = min(larger)
            else:
                programs[size] = build(size)
        if size > count:
            images = torch.cat([images, images.new_zeros(size - count, *images.shape[1:])])
        return programs[size](images)[:count]
    return run
