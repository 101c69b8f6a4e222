"""Times of the single kernels beside PyTorch's operators for the same."""
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F

from mmconvmixer.benchmarks.clock import DEVICE, time_in_turn
from mmconvmixer.benchmarks.limits import H200
from mmconvmixer.benchmarks.networks import Case
from mmconvmixer.ops import fused, reference


def kernel_rows(cases: tuple[Case, ...], rounds: int) -> Iterator[dict]:
    """Yield a row for each kernel at each variant's sizes, in bf16.

    `TB/s` counts each tensor once; `of limit` is the share of copy bandwidth or
    of the arithmetic's peak, whichever is nearer.
    """
    for case in cases:
        side = case.image_size // case.patch_size
        x, grad = (torch.randn(case.batch_size, case.embed_dims, side, side, device=DEVICE)
                   .to(torch.bfloat16, memory_format=torch.channels_last) for _ in range(2))
        for name, functions, tensors, flops, peak in _kernels(case, x, grad):
            try:
                timings = time_in_turn(functions, rounds)
            except Exception as error:  # a kernel that doesn't run: the other rows go on
                yield dict(kernel=name, variant=case.name, shape=tuple(x.shape),
                           reason=f'{type(error).__name__}: {str(error).strip()[:200]}')
                continue
            ours = timings['fused']
            gigabytes = tensors * x.numel() * x.element_size() / 1e9
            bandwidth, arithmetic = gigabytes / ours.median, flops / 1e9 / ours.median
            yield {
                'kernel': name, 'variant': case.name, 'shape': tuple(x.shape),
                'ms': ours.median, 'from': ours.least, 'to': ours.most,
                'TB/s': bandwidth, 'TFLOP/s': arithmetic,
                'of limit': max(bandwidth / H200.bandwidth, arithmetic / peak),
                **{f'{other} ms': timing.median for other, timing in timings.items()
                   if other != 'fused'}}


def copy_bandwidth(rounds: int, gigabytes: float) -> float:
    """Return what copying a tensor reaches here, in TB/s."""
    source = torch.empty(int(gigabytes * 1e9), dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    timing = time_in_turn({'copy': lambda: target.copy_(source)}, rounds)['copy']
    return 2 * source.numel() / 1e9 / timing.median


def _kernels(case: Case, x: torch.Tensor, grad: torch.Tensor) -> Iterator[tuple[
        str, dict[str, Callable], int, float, float]]:
    channels, kernel_size = case.embed_dims, case.kernel_size
    weight = torch.randn(channels, 1, kernel_size, kernel_size, device=DEVICE, dtype=x.dtype)
    square = torch.randn(channels, channels, 1, 1, device=DEVICE, dtype=x.dtype)
    vector = torch.rand(channels, device=DEVICE)
    half = vector.to(x.dtype)
    act = 'relu' if case.act is torch.nn.ReLU else 'gelu'
    taps = 2 * x.numel() * kernel_size**2
    ops = torch.ops.mmconvmixer

    def theirs(*mask):
        return torch.ops.aten.convolution_backward(
            grad, x, weight, [channels], [1, 1], [(kernel_size - 1) // 2] * 2, [1, 1], False,
            [0, 0], channels, mask)

    yield 'depthwise', {
        'fused': lambda: fused.depthwise_conv(x, weight, half),
        'torch': lambda: F.conv2d(x, weight, half, padding='same', groups=channels),
    }, 2, taps, H200.vector
    yield 'depthwise, gradient by input', {
        'fused': lambda: ops.depthwise_conv_input_gradient(grad, weight),
        'torch': lambda: theirs(True, False, False)}, 2, taps, H200.vector
    yield 'depthwise, gradient by weight', {
        'fused': lambda: ops.depthwise_conv_weight_gradient(x, grad, kernel_size),
        'torch': lambda: theirs(False, True, True)}, 2, taps, H200.vector
    yield 'depthwise + act + affine + residual', {
        'fused': lambda: fused.depthwise_act_affine(x, weight, vector, vector, vector, act),
        'torch': lambda: reference.depthwise_act_affine(x, weight, half, vector, vector, act),
    }, 2, taps, H200.vector
    yield 'pointwise + act + affine', {
        'fused': lambda: fused.pointwise_act_affine(x, square, vector, vector, vector, act),
        'cublas, then act + affine': lambda: fused.act_affine(
            F.linear(x.permute(0, 2, 3, 1), square.flatten(1), half).permute(0, 3, 1, 2),
            vector, vector, act),
        'torch': lambda: reference.pointwise_act_affine(x, square, half, vector, vector, act),
    }, 2, 2 * x.numel() * channels, H200.matrix
    yield 'act + BatchNorm, training', {
        'fused': lambda: fused.act_norm(x, vector, vector, 1e-5, act),
        'torch': lambda: F.batch_norm(reference.ACTS[act](x), None, None, vector, vector,
                                      training=True)}, 3, 0., H200.vector
