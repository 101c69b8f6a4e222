"""grad_weight and grad_bias of a depthwise convolution.

A tile is `COLUMNS` columns of one image; a thread holds two channels of one tile. It
goes down the rows of x and keeps `TAPS` x K sums in registers, one for each of its
kernel rows and each kernel column. The threads of a program add up their sums once,
at the end. Each program writes its own sums, and the caller adds these in a fixed
order, so that the result is the same to the last bit in every run.

Suffixes: B batch, H height, W width, C channels.
"""
# ruff: noqa: ANN001, ANN201, ANN202 (Triton takes a kernel's annotations for argument types)
import torch
import triton
import triton.language as tl
from torch import Tensor

from mmconvmixer.ops.fused.triton_kernels.tiles import depthwise_tile, split


@triton.jit(do_not_specialize=['tiles', 'lines', 'lines_each', 'height', 'width', 'w_tiles',
                               'c_blocks', 'tap_blocks'])
def depthwise_weight_gradient_kernel(
        x_ptr, grad_ptr, weight_sums_ptr, bias_sums_ptr,
        tiles, lines, lines_each, height, width, w_tiles, c_blocks, tap_blocks,
        CHANNELS: tl.constexpr, K: tl.constexpr, BEFORE: tl.constexpr, TAPS: tl.constexpr,
        TILES: tl.constexpr, COLUMNS: tl.constexpr, BLOCK_C: tl.constexpr):
    """Compute weight_sums[s, i, j] = sum of x[h + i - BEFORE, w + j - BEFORE] * grad[h, w].

    x and grad are (B, H, W, C); weight_sums (S, K, K, C) and bias_sums (S, C) are
    float32; s numbers the parts of the lines, and a program sums over one part. A line
    is one row of `TILES` tiles.
    """
    program = tl.program_id(0)
    c = (program % c_blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    program = program // c_blocks
    first_tap = (program % tap_blocks) * TAPS
    part = (program // tap_blocks).to(tl.int64)
    c_inside = (c < CHANNELS)[None, :]

    zeros = tl.zeros((TILES, BLOCK_C), tl.float32)
    sums = ()  # at tap * K + j
    for _ in tl.static_range(TAPS * K):
        sums = sums + (zeros,)
    bias_sum = zeros
    first = part * lines_each
    last = tl.minimum(first + lines_each, lines)
    for number in range(last - first):
        line = first + number
        row = (line % height).to(tl.int32)
        tile = (line // height) * TILES + tl.arange(0, TILES)
        tile_width = tl.where(tile < tiles, width, 0)
        w = (tile % w_tiles).to(tl.int32) * COLUMNS
        corner = ((tile // w_tiles * height * width + w) * CHANNELS)[:, None] + c[None, :]

        values = ()
        x_ptrs = x_ptr + corner + row.to(tl.int64) * width * CHANNELS
        for n in tl.static_range(COLUMNS + K - 1):
            inside = (w + (n - BEFORE) >= 0) & (w + (n - BEFORE) < tile_width)
            value = tl.load(x_ptrs + (n - BEFORE) * CHANNELS, mask=inside[:, None] & c_inside,
                            other=0.)
            values = values + (value.to(tl.float32),)
        updated = ()
        for tap in tl.static_range(TAPS):
            out_row = row + BEFORE - (first_tap + tap)
            row_width = tl.where((out_row >= 0) & (out_row < height), tile_width, 0)
            grad_ptrs = grad_ptr + corner + out_row.to(tl.int64) * width * CHANNELS
            tap_sums = ()
            for j in tl.static_range(K):
                tap_sums = tap_sums + (sums[tap * K + j],)
            for n in tl.static_range(COLUMNS):
                grad = tl.load(grad_ptrs + n * CHANNELS,
                               mask=(w + n < row_width)[:, None] & c_inside,
                               other=0.).to(tl.float32)
                more = ()
                for j in tl.static_range(K):
                    more = more + (tl.fma(values[n + j], grad, tap_sums[j]),)
                tap_sums = more
                # In the program that has the kernel's center row, this tap reads every row of
                # grad once. The other programs' sums are not stored.
                if tap == BEFORE % TAPS:
                    bias_sum += grad
            updated = updated + tap_sums
        sums = updated

    for tap in tl.static_range(TAPS):
        for j in tl.static_range(K):
            target = ((part * K + first_tap + tap) * K + j) * CHANNELS + c
            tl.store(weight_sums_ptr + target, tl.sum(sums[tap * K + j], axis=0),
                     mask=c < tl.where(first_tap + tap < K, CHANNELS, 0))
    has_center = first_tap == BEFORE // TAPS * TAPS
    tl.store(bias_sums_ptr + part * CHANNELS + c, tl.sum(bias_sum, axis=0),
             mask=c < tl.where(has_center, CHANNELS, 0))


def taps(kernel_size: int) -> int:
    """Return how many kernel rows a thread's registers hold sums for, in equal shares."""
    most = max(1, 81 // kernel_size)
    return triton.cdiv(kernel_size, triton.cdiv(kernel_size, most))


def depthwise_weight_gradient(x_BHWC: Tensor, grad_BHWC: Tensor, kernel_size: int, *,
                              bias: bool = True) -> tuple[Tensor, Tensor | None]:
    """Return grad_weight (C, K, K) and, if `bias`, grad_bias (C,), in float32."""
    batch, height, width, channels = x_BHWC.shape
    if not x_BHWC.numel():
        return (x_BHWC.new_zeros((channels, kernel_size, kernel_size), dtype=torch.float32),
                x_BHWC.new_zeros(channels, dtype=torch.float32))
    tap_blocks = triton.cdiv(kernel_size, taps(kernel_size))
    block_tiles, columns, block_c = depthwise_tile(channels, kernel_size)
    w_tiles, c_blocks = triton.cdiv(width, columns), triton.cdiv(channels, block_c)
    lines = triton.cdiv(batch * w_tiles, block_tiles) * height
    lines_each, count = split(lines, x_BHWC.device, programs_each=c_blocks * tap_blocks)
    weight_sums = x_BHWC.new_empty((count, kernel_size, kernel_size, channels),
                                   dtype=torch.float32)
    bias_sums = x_BHWC.new_empty((count, channels), dtype=torch.float32)
    depthwise_weight_gradient_kernel[(count * tap_blocks * c_blocks,)](
        x_BHWC, grad_BHWC, weight_sums, bias_sums, batch * w_tiles, lines, lines_each, height,
        width, w_tiles, c_blocks, tap_blocks, CHANNELS=channels, K=kernel_size,
        BEFORE=(kernel_size - 1) // 2, TAPS=taps(kernel_size), TILES=block_tiles,
        COLUMNS=columns, BLOCK_C=block_c, num_warps=4)
    return weight_sums.sum(0).permute(2, 0, 1), bias_sums.sum(0) if bias else None

