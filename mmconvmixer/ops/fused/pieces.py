"""Divide a batch into pieces of some images, each of which is computed in several steps."""
from collections.abc import Iterator

import torch
from torch import Tensor

# Of one tensor, for each thread. A piece's tensors fit into the last cache of a CPU together; with
# smaller pieces, threads would wait for each other more often.
BYTES_OF_A_PIECE = 2**22


def pieces(x_BHWC: Tensor) -> Iterator[slice]:
    """Return the images of each piece of a batch; a GPU takes the whole batch at once."""
    images = max(len(x_BHWC), 1)
    at_once = images
    if not x_BHWC.is_cuda:
        bytes_of_an_image = max(x_BHWC.nbytes // images, 1)
        at_once = max(1, BYTES_OF_A_PIECE * torch.get_num_threads() // bytes_of_an_image)
    return (slice(first, first + at_once) for first in range(0, images, at_once))
