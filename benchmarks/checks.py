"""The kernels against the reference in float64, and whole networks against float32."""
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.accuracy import unwritten_memory_is_nan
from benchmarks.failures import reason
from benchmarks.networks import Case, Network
from mmconvmixer._support.clock import DEVICE
from mmconvmixer.ops import fused, reference
from mmconvmixer.ops.reference import BlockOptions, BlockWeights

# Largest error, relative to the largest value.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
# In half precision, the reference's own rounding error may be larger. A kernel may then
# err this much more than the reference.
ROOM = 1.5


def check_rows(cases: tuple[Case, ...], tiny: bool,
               share: tuple[int, int] = (0, 1)) -> Iterator[dict]:
    """Yield a row for each check: what, the largest relative error, and whether it passes.

    Args:
        share: number of this process, and count of the processes among which the checks
            are divided. Nearly all the time goes into compiling, on one core each.
    """
    number, count = share
    with unwritten_memory_is_nan():
        for check in islice(_checks(cases, tiny), number, None, count):
            yield check()


def _checks(cases: tuple[Case, ...], tiny: bool) -> Iterator[Callable[[], dict]]:
    for case in cases:  # the same compiled programs that are timed
        side = case.image_size // case.patch_size
        yield from _parts('relu' if case.act is nn.ReLU else 'gelu', case.kernel_size,
                          (2, case.embed_dims, side, side),
                          torch.float32 if tiny else torch.bfloat16)
    shape = (2, 8, 5, 6) if tiny else (3, 200, 31, 45)
    for act in reference.ACTS:
        yield from _parts(act, 3 if tiny else 7, shape, torch.float32)
    for kernel_size in (4,) if tiny else (2, 5, 8, 9, 15):
        yield _convolution(kernel_size, shape, torch.float32)
    if DEVICE == 'cuda' and not tiny:
        yield beyond_int32


def network_row(case: Case) -> dict:
    """Compare a training step of a whole network through the kernels, under bf16 autocast."""
    return _guarded(f'{case.name}, loss and gradients', torch.bfloat16,
                    partial(_compare_networks, case))


def _parts(act: str, kernel_size: int, shape: tuple[int, ...],
           dtype: torch.dtype) -> Iterator[Callable[[], dict]]:
    channels = shape[1]
    vector, square = (channels,), (channels, channels, 1, 1)
    taps = (channels, 1, kernel_size, kernel_size)
    where = f'{channels} x {shape[2]} x {shape[3]}, k{kernel_size}, {act}'
    yield _convolution(kernel_size, shape, dtype)
    yield _kernel(f'act_norm, {where}', dtype, 'act_norm', (1e-5, act), [shape, vector, vector])
    yield _kernel(f'block, {where}', dtype, 'block', (1e-5, 1e-3, act),
                  [shape, taps, *[vector] * 3, square, *[vector] * 3])
    yield _kernel(f'act_affine, {where}', dtype, 'act_affine', (act,), [shape, vector, vector],
                  gradients=False)
    for name, weight in (('depthwise', taps), ('pointwise', square)):
        yield _kernel(f'{name}_act_affine, {where}', dtype, f'{name}_act_affine', (act,),
                      [shape, weight, vector, vector, vector], gradients=False)


def _convolution(kernel_size: int, shape: tuple[int, ...],
                 dtype: torch.dtype) -> Callable[[], dict]:
    return _kernel(f'depthwise_conv, {shape[1]} x {shape[2]} x {shape[3]}, k{kernel_size}', dtype,
                   'depthwise_conv', (),
                   [shape, (shape[1], 1, kernel_size, kernel_size), (shape[1],)])


def _guarded(what: str, dtype: torch.dtype,
             compare: Callable[[], tuple[float, float]]) -> dict:
    row = dict(check=what, dtype=str(dtype).removeprefix('torch.'))
    try:
        error, limit = compare()
    except Exception as failure:  # a kernel that does not compile is a failed check
        return dict(row, ok=False, reason=reason(failure))
    return dict(row, error=error, limit=limit, ok=error <= limit)


def _kernel(what: str, dtype: torch.dtype, name: str, options: tuple,
            shapes: list[tuple[int, ...]], gradients: bool = True) -> Callable[[], dict]:
    return partial(_guarded, what, dtype,
                   partial(_compare, dtype, name, options, shapes, gradients))


def _compare(dtype: torch.dtype, name: str, options: tuple, shapes: list[tuple[int, ...]],
             gradients: bool) -> tuple[float, float]:
    """Return the largest relative error, and the largest that passes."""
    generator = torch.Generator(DEVICE).manual_seed(0)
    tensors = [torch.randn(shape, generator=generator, device=DEVICE) for shape in shapes]
    # Weights of the size of initialized ones, and inputs that half precision can represent.
    tensors = [tensor / max(1, tensor[0].numel())**0.5 if number else tensor.to(dtype)
               for number, tensor in enumerate(tensors)]
    seed = torch.randn(shapes[0], generator=generator, device=DEVICE).to(dtype)

    def results(module: ModuleType, of: torch.dtype | None,
                autocast: bool = False) -> list[Tensor]:
        inputs = [(tensor if of is None else tensor.to(of)).detach().requires_grad_(gradients)
                  for tensor in tensors]
        with torch.autocast(DEVICE, dtype, enabled=autocast):
            outs = _call(module, name, inputs, options)
        outs = outs if isinstance(outs, tuple) else (outs,)
        found = torch.autograd.grad(outs[0], inputs, seed.to(outs[0].dtype)) if gradients else ()
        return [each.detach() for each in (*outs, *found)]

    exact = results(reference, torch.float64)
    error, limit = _error(results(fused, None), exact), TOLERANCE[dtype]
    if dtype is not torch.float32:
        limit = max(limit, ROOM * _error(results(reference, None, autocast=True), exact))
    return error, limit


def _call(module: ModuleType, name: str, inputs: list[Tensor],
          options: tuple) -> Tensor | tuple[Tensor, ...]:
    if name == 'block':
        x, *weights = inputs
        return module.block(x, BlockWeights(*weights), BlockOptions(*options))
    return getattr(module, name)(*inputs, *options)


def _error(got: list[Tensor], expected: list[Tensor]) -> float:
    # A NaN counts as the largest error.
    return max((float((one.double() - other).abs().max() / other.abs().max().clamp(min=1e-3))
                for one, other in zip(got, expected, strict=True)),
               key=lambda error: error if error == error else float('inf'))


def beyond_int32() -> dict:
    """Check that the last image in a tensor of more than 2^31 values is convolved correctly."""
    return _guarded('depthwise, 2.2e9 values', torch.bfloat16, _compare_beyond_int32)


def _compare_beyond_int32() -> tuple[float, float]:
    x = torch.zeros(2100, 32, 32, 1024, dtype=torch.bfloat16, device=DEVICE).permute(0, 3, 1, 2)
    last = torch.randn(1, 1024, 32, 32, device=DEVICE)
    x[-1:] = last
    weight = torch.randn(1024, 1, 3, 3, device=DEVICE)
    out = fused.depthwise_conv(x, weight)[-1:]
    exact = reference.depthwise_conv(last.bfloat16().double(), weight.double())
    return _error([out], [exact]), TOLERANCE[torch.bfloat16]


def _compare_networks(case: Case) -> tuple[float, float]:
    torch.manual_seed(0)
    exact, eager, kernels = Network(case), Network(case), Network(case, fused=True)
    for network in (eager, kernels):
        network.load_state_dict(exact.state_dict())
    images = torch.randn(4, 3, case.image_size, case.image_size, device=DEVICE)
    targets = torch.arange(4, device=DEVICE) % case.num_classes

    def results(network: nn.Module, autocast: bool = True) -> list[Tensor]:
        network.to(DEVICE)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=autocast):
            loss = F.cross_entropy(network(images), targets)
        loss.backward()
        return [loss.detach(),
                torch.cat([each.grad.flatten() for each in network.parameters()])]

    expected = results(exact, autocast=False)

    def error(network: nn.Module) -> float:
        return max(float((one.double() - other.double()).norm() / other.double().norm())
                   for one, other in zip(results(network), expected, strict=True))
    return error(kernels), max(TOLERANCE[torch.bfloat16], ROOM * error(eager))
