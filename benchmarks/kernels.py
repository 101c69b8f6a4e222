"""Times of single kernels, and of PyTorch's operators for the same computation."""
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch.nn import functional as F

from benchmarks.failures import reason
from benchmarks.limits import H200, Limits
from benchmarks.networks import Case
from mmconvmixer._support.clock import DEVICE, time_in_turn
from mmconvmixer.ops import fused, reference

FUSED = 'fused'


def kernel_rows(cases: tuple[Case, ...], rounds: int, bandwidth: float) -> Iterator[dict]:
    """Yield a row for each kernel at each variant's sizes, in bf16.

    `TB/s` counts the bytes that have to be read and written. `of limit` is the share of
    the limit that is closer: `bandwidth` (TB/s, of a copy) or the peak of the arithmetic.
    """
    limits = replace(H200, bandwidth=bandwidth)
    for case in cases:
        side = case.image_size // case.patch_size
        shape = case.batch_size, case.embed_dims, side, side
        try:
            x, grad = (torch.randn(shape, device=DEVICE).to(
                torch.bfloat16, memory_format=torch.channels_last) for _ in range(2))
            kernels = list(_kernels(case, x, grad, limits))
        except Exception as error:  # such as too little memory; the other variants go on
            yield dict(kernel='all', variant=case.name, shape=shape, reason=reason(error))
            continue
        for name, functions, tensors, flops, peak in kernels:
            usable, failed = _that_run(functions)
            row = dict(kernel=name, variant=case.name, shape=shape)
            if FUSED in failed:
                yield dict(row, reason=failed[FUSED])
                continue
            timings = time_in_turn(usable, rounds, seconds=3, alone=True)
            timing = timings.pop(FUSED)
            gigabytes = tensors * x.numel() * x.element_size() / 1e9
            achieved, arithmetic = gigabytes / timing.median, flops / 1e9 / timing.median
            yield row | timing.figures() | {
                'TB/s': achieved, 'TFLOP/s': arithmetic,
                'of limit': max(achieved / limits.bandwidth, arithmetic / peak),
                **{f'{other} ms': each.median for other, each in timings.items()},
                **{f'{other} ms': why for other, why in failed.items()}}


def copy_bandwidth(rounds: int, gigabytes: float) -> float:
    """Return the bandwidth of copying a tensor on this machine, in TB/s."""
    source = torch.empty(int(gigabytes * 1e9), dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    timing = time_in_turn({'copy': lambda: target.copy_(source)}, rounds, alone=True)['copy']
    return 2 * source.numel() / 1e9 / timing.median


def _that_run(functions: dict[str, Callable]) -> tuple[dict[str, Callable], dict[str, str]]:
    """Return the functions that run, and for the others the reason why not."""
    usable, failed = {}, {}
    for name, function in functions.items():
        try:
            function()
            usable[name] = function
        except Exception as error:  # the others are still timed
            failed[name] = reason(error)
    return usable, failed


def _kernels(case: Case, x: torch.Tensor, grad: torch.Tensor, limits: Limits) -> Iterator[tuple[
        str, dict[str, Callable], int, float, float]]:
    """Yield name, functions, number of tensors read and written, FLOP, and the FLOP's peak."""
    channels, kernel_size = case.embed_dims, case.kernel_size
    weight = torch.randn(channels, 1, kernel_size, kernel_size, device=DEVICE, dtype=x.dtype)
    square = torch.randn(channels, channels, 1, 1, device=DEVICE, dtype=x.dtype)
    vector = torch.rand(channels, device=DEVICE)
    half = vector.to(x.dtype)
    act = 'relu' if case.act is torch.nn.ReLU else 'gelu'
    taps = 2 * x.numel() * kernel_size**2
    ops = torch.ops.mmconvmixer

    def convolution_backward(*mask: bool) -> tuple[torch.Tensor | None, ...]:
        return torch.ops.aten.convolution_backward(
            grad, x, weight, [channels], [1, 1], [(kernel_size - 1) // 2] * 2, [1, 1], False,
            [0, 0], channels, mask)

    yield 'depthwise', {
        FUSED: lambda: fused.depthwise_conv(x, weight, half),
        'torch': lambda: F.conv2d(x, weight, half, padding='same', groups=channels),
    }, 2, taps, limits.vector
    yield 'depthwise, gradient by input', {
        FUSED: lambda: ops.depthwise_conv_input_gradient(grad, weight),
        'torch': lambda: convolution_backward(True, False, False)}, 2, taps, limits.vector
    yield 'depthwise, gradient by weight', {
        FUSED: lambda: ops.depthwise_conv_weight_gradient(x, grad, kernel_size),
        'torch': lambda: convolution_backward(False, True, True)}, 2, taps, limits.vector
    yield 'depthwise + act + affine + residual', {
        FUSED: lambda: fused.depthwise_act_affine(x, weight, vector, vector, vector, act),
        'torch': lambda: reference.depthwise_act_affine(x, weight, half, vector, vector, act),
    }, 2, taps, limits.vector
    yield 'pointwise + act + affine', {
        FUSED: lambda: fused.pointwise_act_affine(x, square, vector, vector, vector, act),
        'cublas, then act + affine': lambda: fused.act_affine(
            F.linear(x.permute(0, 2, 3, 1), square.flatten(1), half).permute(0, 3, 1, 2),
            vector, vector, act),
        'torch': lambda: reference.pointwise_act_affine(x, square, half, vector, vector, act),
    }, 2, 2 * x.numel() * channels, limits.matrix
    yield 'act + BatchNorm, training', {
        FUSED: lambda: fused.act_norm(x, vector, vector, 1e-5, act),
        'torch': lambda: F.batch_norm(reference.ACTS[act](x), None, None, vector, vector,
                                      training=True)}, 3, 0., limits.vector

    x = x.detach().requires_grad_()
    fused_out = fused.act_norm(x, vector, vector, 1e-5, act)[0]
    torch_out = F.batch_norm(reference.ACTS[act](x), None, None, vector, vector, training=True)
    yield 'act + BatchNorm, gradient', {
        FUSED: lambda: torch.autograd.grad(fused_out, x, grad, retain_graph=True),
        'torch': lambda: torch.autograd.grad(torch_out, x, grad, retain_graph=True),
    }, 5, 0., limits.vector
