"""Call a function of the compiled library."""
import ctypes
from typing import Any

import torch
from torch import Tensor

from mmconvmixer.ops.fused.cpu_kernels.library import library

# The values of `act` in every kernel, as in `activations.h`.
ACTS = dict(identity=0, relu=1, gelu=2, gelu_tanh=3)


def call(name: str, *arguments: Tensor | int | str | None) -> None:
    """Call the kernel `name`, which writes to some of its tensors.

    Args:
        arguments: contiguous tensors in float32 or None, sizes, and perhaps an activation's
            name, in the order of the C++ function. The number of threads is added.

    Raises:
        TypeError: a tensor has another dtype or is not contiguous.
    """
    converted = [*map(_pointer_or_number, arguments), ctypes.c_int(torch.get_num_threads())]
    getattr(library(), name)(*converted)


def _pointer_or_number(value: Tensor | int | str | None) -> Any:  # of ctypes
    if isinstance(value, str):
        return ctypes.c_int(ACTS[value])
    if isinstance(value, int):
        return ctypes.c_long(value)
    if value is None:
        return ctypes.c_void_p(None)
    if value.dtype is not torch.float32 or not value.is_contiguous():
        raise TypeError('the kernels for a CPU take contiguous tensors in float32, got '
                        f'{value.dtype} with strides {value.stride()}')
    return ctypes.c_void_p(value.data_ptr())
