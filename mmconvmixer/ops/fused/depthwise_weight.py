"""Gradients of a depthwise convolution by its weight and bias.

A program goes through rows of the picture and keeps `TAPS` x K sums, one for
each kernel row that it has and each kernel column, at every one of its
positions; they are added up over positions once, at its end. The sums of all
programs lie side by side and are added by the caller, in one order: the result
is the same bits in every run.
"""
import torch
import triton
import triton.language as tl
from torch import Tensor

from .tiles import parts, tile


@triton.jit
def depthwise_weight_kernel(
        x_ptr, grad_ptr, weight_sums_ptr, bias_sums_ptr,
        lines, lines_each, height, width, channels, w_blocks, c_blocks, tap_blocks,
        K: tl.constexpr, BEFORE: tl.constexpr, TAPS: tl.constexpr,
        BLOCK_W: tl.constexpr, BLOCK_C: tl.constexpr):
    """weight_sums[s, i, j] = sum of x[h + i - BEFORE, w + j - BEFORE] grad[h, w].

    x and grad are (B, H, W, C); weight_sums (S, K, K, C) and bias_sums (S, C),
    float32, s being the part of the lines that a program sums. A line is
    `BLOCK_W` columns of one row of one picture.
    """
    program = tl.program_id(0)
    c_block = program % c_blocks
    program = program // c_blocks
    first_tap = (program % tap_blocks) * TAPS
    part = program // tap_blocks

    c = c_block * BLOCK_C + tl.arange(0, BLOCK_C)
    c_inside = (c < channels)[None, :]
    sums = ()
    for _ in tl.static_range(TAPS * K):
        sums = sums + (tl.zeros((BLOCK_W, BLOCK_C), tl.float32),)
    # The programs of the first kernel row also sum the bias's gradient.
    bias_width = tl.where(first_tap == 0, width, 0)
    bias_sum = tl.zeros((BLOCK_W, BLOCK_C), tl.float32)

    for number in range(lines_each):
        line = part * lines_each + number
        w = (line % w_blocks) * BLOCK_W + tl.arange(0, BLOCK_W)
        row = line // w_blocks
        h_in = row % height
        picture = (row // height).to(tl.int64) * height * width * channels
        line_width = tl.where(line < lines, width, 0)

        grads = ()
        for tap in tl.static_range(TAPS):
            h_out = h_in - (first_tap + tap) + BEFORE
            inside = w < tl.where((h_out >= 0) & (h_out < height), line_width, 0)
            offset = picture + (h_out.to(tl.int64) * width + w) * channels
            grads = grads + (tl.load(
                grad_ptr + offset[:, None] + c[None, :],
                mask=inside[:, None] & c_inside, other=0.).to(tl.float32),)
        offset = picture + (h_in.to(tl.int64) * width + w) * channels
        bias_sum += tl.load(
            grad_ptr + offset[:, None] + c[None, :],
            mask=(w < tl.minimum(line_width, bias_width))[:, None] & c_inside,
            other=0.).to(tl.float32)

        updated = ()
        for column in tl.static_range(K):
            w_in = w + (column - BEFORE)
            inside = (w_in >= 0) & (w_in < line_width)
            offset = picture + (h_in.to(tl.int64) * width + w_in) * channels
            value = tl.load(x_ptr + offset[:, None] + c[None, :],
                            mask=inside[:, None] & c_inside, other=0.).to(tl.float32)
            for tap in tl.static_range(TAPS):
                updated = updated + (tl.fma(value, grads[tap], sums[column * TAPS + tap]),)
        sums = updated

    for column in tl.static_range(K):
        for tap in tl.static_range(TAPS):
            target = ((part * K + first_tap + tap) * K + column) * channels + c
            tl.store(weight_sums_ptr + target, tl.sum(sums[column * TAPS + tap], axis=0),
                     mask=c < tl.where(first_tap + tap < K, channels, 0))
    tl.store(bias_sums_ptr + part * channels + c, tl.sum(bias_sum, axis=0),
             mask=c < tl.where(first_tap == 0, channels, 0))


def depthwise_weight(x_BHWC: Tensor, grad_BHWC: Tensor,
                     kernel_size: int) -> tuple[Tensor, Tensor]:
    """Return the gradients by weight (C, K, K) and bias (C,), in float32."""
    batch, height, width, channels = x_BHWC.shape
    if not x_BHWC.numel():
        return (x_BHWC.new_zeros((channels, kernel_size, kernel_size), dtype=torch.float32),
                x_BHWC.new_zeros(channels, dtype=torch.float32))
    # As many sums as fit the registers of a thread.
    taps = max(1, min(kernel_size, 36 // kernel_size))
    tap_blocks = triton.cdiv(kernel_size, taps)
    block_w, block_c = tile(width, most=8), tile(channels, most=64)
    w_blocks, c_blocks = triton.cdiv(width, block_w), triton.cdiv(channels, block_c)
    lines = batch * height * w_blocks
    lines_each, count = parts(lines, x_BHWC.device, programs_each=c_blocks * tap_blocks)
    weight_sums = x_BHWC.new_empty((count, kernel_size, kernel_size, channels),
                                   dtype=torch.float32)
    bias_sums = x_BHWC.new_empty((count, channels), dtype=torch.float32)
    depthwise_weight_kernel[(count * tap_blocks * c_blocks,)](
        x_BHWC, grad_BHWC, weight_sums, bias_sums, lines, lines_each, height, width, channels,
        w_blocks, c_blocks, tap_blocks, K=kernel_size, BEFORE=(kernel_size - 1) // 2, TAPS=taps,
        BLOCK_W=block_w, BLOCK_C=block_c, num_warps=4)
    return weight_sums.sum(0).permute(2, 0, 1), bias_sums.sum(0)
