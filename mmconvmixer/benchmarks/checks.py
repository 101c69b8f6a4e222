"""Every kernel against the reference in float64, at sizes that fill a GPU's programs."""
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from mmconvmixer.benchmarks.clock import DEVICE
from mmconvmixer.ops import fused, reference

# Largest error over largest value. In bf16 the inputs are exact, results rounded.
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}


def check_rows(tiny: bool) -> Iterator[dict]:
    """Yield a row for each check: what, the largest relative error, and whether it passes."""
    shape = (2, 8, 5, 6) if tiny else (3, 200, 31, 45)
    for kernel_size in (3, 4) if tiny else (2, 3, 4, 5, 7, 8, 9, 11, 15):
        yield _compared(f'depthwise k{kernel_size}', torch.float32, _both('depthwise_conv'),
                        [shape, (shape[1], 1, kernel_size, kernel_size), (shape[1],)])
    for dtype in (torch.float32,) if tiny else TOLERANCE:
        for act in reference.ACTS:
            channels = shape[1]
            vector = (channels,)
            parameters = [(channels, 1, 3 if tiny else 7, 3 if tiny else 7), *[vector] * 3,
                          (channels, channels, 1, 1), *[vector] * 3]
            yield _compared(f'act_norm {act}', dtype, _both('act_norm', 1e-5, act),
                            [shape, vector, vector])
            # ReLU's slope jumps: a value rounded across zero is no error of a kernel.
            if dtype is torch.float32 or act != 'relu':
                yield _compared(f'block {act}', dtype, _both('block', 1e-5, 1e-3, act),
                                [shape, *parameters])
            for name, weight in (('depthwise', parameters[0]), ('pointwise', parameters[4])):
                yield _compared(f'{name}_act_affine {act}', dtype,
                                _both(f'{name}_act_affine', act),
                                [shape, weight, vector, vector, vector], gradients=False)
    if DEVICE == 'cuda' and not tiny:
        yield beyond_int32()


def _both(name: str, *options) -> tuple[Callable, Callable]:
    def bound(module):
        return lambda *tensors: getattr(module, name)(*tensors, *options)
    return bound(fused), bound(reference)


def _compared(what: str, dtype: torch.dtype, *arguments, **options) -> dict:
    try:
        error, limit = _compare(dtype, *arguments, **options)
    except Exception as failure:  # a kernel that doesn't compile is a failed check
        return dict(check=what, dtype=str(dtype).removeprefix('torch.'), error=math.inf, ok=False,
                    reason=f'{type(failure).__name__}: {str(failure).strip()[:200]}')
    return dict(check=what, dtype=str(dtype).removeprefix('torch.'), error=error,
                ok=bool(error <= limit))


def _compare(dtype: torch.dtype, functions: tuple[Callable, Callable],
             shapes: list[tuple[int, ...]], gradients: bool = True) -> tuple[float, float]:
    """Return the largest relative error, and the largest that passes."""
    generator = torch.Generator(DEVICE).manual_seed(0)
    tensors = [torch.randn(shape, generator=generator, device=DEVICE) for shape in shapes]
    # A weight as large as an initialised one keeps the sums within half precision.
    tensors = [tensor / max(1, tensor[0].numel())**0.5 if number else tensor.to(dtype)
               for number, tensor in enumerate(tensors)]
    tensors = [tensor.requires_grad_(gradients) for tensor in tensors]
    copies = [tensor.detach().double().requires_grad_(gradients) for tensor in tensors]
    function, twin = functions
    got, expected = (out if isinstance(out, tuple) else (out,)
                     for out in (function(*tensors), twin(*copies)))
    error = max(map(_error, got, expected))
    if gradients:
        seed = torch.randn(expected[0].shape, generator=generator, device=DEVICE)
        found = torch.autograd.grad(got[0], tensors, seed.to(got[0].dtype))
        wanted = torch.autograd.grad(expected[0], copies, seed.to(got[0].dtype).double())
        error = max(error, *map(_error, found, wanted))
    return error, TOLERANCE[dtype] * (2 if dtype is not torch.float32 and gradients else 1)


def _error(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected).abs().max() / expected.abs().max().clamp(min=1e-3))


def beyond_int32() -> dict:
    """The last picture of a tensor of more than 2^31 values is convolved like a small one."""
    x = torch.zeros(2100, 32, 32, 1024, dtype=torch.bfloat16, device=DEVICE).permute(0, 3, 1, 2)
    last = torch.randn(1, 1024, 32, 32, device=DEVICE)
    x[-1:] = last
    weight = torch.randn(1024, 1, 3, 3, device=DEVICE)
    error = _error(fused.depthwise_conv(x, weight)[-1:], reference.depthwise_conv(
        last.bfloat16().double(), weight.double()))
    return dict(check='depthwise, 2.2e9 values', dtype='bfloat16',
                error=error, ok=error <= TOLERANCE[torch.bfloat16])
