"""Choose the kernels for a device, and say whether they run there."""
import os
from functools import cache
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from mmconvmixer.errors import FusedKernelsUnavailable

_TRITON = 3, 3  # the first with tuples in kernels
_CAPABILITY = 8, 0  # the first with bfloat16

# Whether the kernels in Triton are used on a CPU, too, where Triton interprets them
# (TRITON_INTERPRET=1). Tests set this.
triton_on_cpu = False


def kernels_for(x: Tensor) -> ModuleType:
    """Return `cpu_kernels` or `triton_kernels`, whose functions have the same signatures."""
    # Each is imported where it is needed: a machine may have no Triton or no C++ compiler.
    if _in_cpp(x.device):
        from mmconvmixer.ops.fused import cpu_kernels
        return cpu_kernels
    from mmconvmixer.ops.fused import triton_kernels
    return triton_kernels


def dtypes_for(device: torch.device) -> tuple[torch.dtype, ...]:
    """Return the dtypes that a device's kernels take."""
    if _in_cpp(device):
        return (torch.float32,)
    return torch.float32, torch.float16, torch.bfloat16


@torch.compiler.assume_constant_result
def missing(device: torch.device) -> str:
    """Return what the kernels need and do not find on a device, '' if they run there.

    For a CPU they are compiled by the first call on a machine, which takes some seconds.
    """
    return missing_cpp() if _in_cpp(device) else missing_triton(device)


@cache
def missing_cpp() -> str:
    """Return what the kernels in C++ need and do not find, '' if they run."""
    from mmconvmixer.ops.fused.cpu_kernels.library import library
    try:
        library()
    except FusedKernelsUnavailable as error:
        return str(error)
    return ''


@cache
def missing_triton(device: torch.device) -> str:
    """Return what the kernels in Triton need and do not find on a device, '' if they run there."""
    if find_spec('triton') is None:
        return 'Triton'
    import triton
    if tuple(map(int, triton.__version__.split('.')[:2])) < _TRITON:
        return f'Triton {".".join(map(str, _TRITON))} or newer, not {triton.__version__},'
    if os.environ.get('TRITON_INTERPRET') == '1':
        return ''
    if device.type != 'cuda' or torch.cuda.get_device_capability(device) < _CAPABILITY:
        return f'a CUDA device of compute capability {".".join(map(str, _CAPABILITY))} or newer'
    return ''


def _in_cpp(device: torch.device) -> bool:
    return device.type == 'cpu' and not triton_on_cpu
