"""Depthwise convolution: stride 1, 'same' padding, channels-last.

A program goes down a strip of the picture, `BLOCK_W` columns wide, and keeps K
sums at each of its positions, of the K output rows that the input row at hand
takes part in. It reads K shifted copies of that row for K x K products: the
first-level cache, which gives half as many numbers a cycle as the vector units
take, is not the limit then.
"""
import torch
import triton
import triton.language as tl
from torch import Tensor

from .activations import IDENTITY, activate
from .tiles import programs_wanted, tile, vector


@triton.jit
def depthwise_kernel(
        x_ptr, weight_ptr, bias_ptr, added_ptr, scale_ptr, shift_ptr, out_ptr,
        height, width, channels, strip_height, strips, w_blocks, c_blocks,
        K: tl.constexpr, BEFORE: tl.constexpr, ACT: tl.constexpr,
        HAS_BIAS: tl.constexpr, HAS_AFFINE: tl.constexpr, HAS_ADDED: tl.constexpr,
        BLOCK_W: tl.constexpr, BLOCK_C: tl.constexpr):
    """out = added + affine(act(conv(x) + bias)), each part but conv optional.

    x, added and out are (B, H, W, C); weight is (K, K, C), bias, scale and shift
    are (C,) in float32. `BEFORE` is the padding above and left.
    """
    program = tl.program_id(0)
    c_block = program % c_blocks
    program = program // c_blocks
    w_block = program % w_blocks
    program = program // w_blocks
    picture = (program // strips).to(tl.int64) * height * width * channels
    top = (program % strips) * strip_height
    bottom = tl.minimum(top + strip_height, height)

    w = w_block * BLOCK_W + tl.arange(0, BLOCK_W)
    c = c_block * BLOCK_C + tl.arange(0, BLOCK_C)
    c_inside = c < channels
    zeros = tl.zeros((BLOCK_W, BLOCK_C), tl.float32)
    sums = ()  # at i, of the output row from which the input row is kernel row i
    for _ in tl.static_range(K):
        sums = sums + (zeros,)

    first = tl.maximum(top - BEFORE, 0)
    last = tl.minimum(bottom + (K - 1 - BEFORE), height)
    for number in range(last - first):
        row = first + number
        line = picture + row.to(tl.int64) * width * channels
        for column in range(K):  # not unrolled: weights loaded early would fill the registers
            w_in = w + (column - BEFORE)
            inside = ((w_in >= 0) & (w_in < width))[:, None] & c_inside[None, :]
            offset = line + (w_in * channels)[:, None] + c[None, :]
            value = tl.load(x_ptr + offset, mask=inside, other=0.).to(tl.float32)
            updated = ()
            for i in tl.static_range(K):
                weight = tl.load(weight_ptr + (i * K + column) * channels + c, mask=c_inside,
                                 other=0.)
                updated = updated + (tl.fma(value, weight[None, :], sums[i]),)
            sums = updated
        _finish(sums[K - 1], row + BEFORE - (K - 1), top, bottom, picture, w, c, width, channels,
                bias_ptr, added_ptr, scale_ptr, shift_ptr, out_ptr,
                ACT, HAS_BIAS, HAS_AFFINE, HAS_ADDED)
        shifted = (zeros,)
        for i in tl.static_range(K - 1):
            shifted = shifted + (sums[i],)
        sums = shifted

    # Rows that end beyond the picture's last one.
    for beyond in tl.static_range(K - 1 - BEFORE):
        _finish(sums[K - 1 - beyond], last + beyond + BEFORE - (K - 1), top, bottom, picture, w,
                c, width, channels, bias_ptr, added_ptr, scale_ptr, shift_ptr, out_ptr,
                ACT, HAS_BIAS, HAS_AFFINE, HAS_ADDED)


@triton.jit
def _finish(total, row, top, bottom, picture, w, c, width, channels,
            bias_ptr, added_ptr, scale_ptr, shift_ptr, out_ptr,
            ACT: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_AFFINE: tl.constexpr,
            HAS_ADDED: tl.constexpr):
    """Write a row of output, if it lies in top..bottom - 1."""
    c_inside = c < channels
    if HAS_BIAS:
        total += tl.load(bias_ptr + c, mask=c_inside, other=0.)[None, :]
    total = activate(total, ACT)
    if HAS_AFFINE:
        total = (total * tl.load(scale_ptr + c, mask=c_inside, other=0.)[None, :]
                 + tl.load(shift_ptr + c, mask=c_inside, other=0.)[None, :])
    row_width = tl.where((row >= top) & (row < bottom), width, 0)
    inside = (w < row_width)[:, None] & c_inside[None, :]
    offset = (picture + row.to(tl.int64) * width * channels
              + (w * channels)[:, None] + c[None, :])
    if HAS_ADDED:
        total += tl.load(added_ptr + offset, mask=inside, other=0.).to(tl.float32)
    tl.store(out_ptr + offset, total.to(out_ptr.dtype.element_ty), mask=inside)


BLOCK_C = 64


def columns(kernel_size: int) -> int:
    """Return at how many columns the registers of 128 threads hold K sums."""
    return 32 if kernel_size <= 5 else 16 if kernel_size <= 9 else 8


def depthwise(x_BHWC: Tensor, weight_CKK: Tensor, *, bias_C: Tensor | None = None,
              act: int = IDENTITY, scale_C: Tensor | None = None, shift_C: Tensor | None = None,
              added_BHWC: Tensor | None = None, transposed: bool = False) -> Tensor:
    """Return added + scale * act(conv(x) + bias) + shift, in x's dtype.

    Args:
        transposed: convolve with the transposed operator, as the gradient by
            the input of a convolution does.
    """
    batch, height, width, channels = x_BHWC.shape
    kernel_size = weight_CKK.shape[-1]
    if weight_CKK.shape != (channels, kernel_size, kernel_size) or (
            added_BHWC is not None and added_BHWC.shape != x_BHWC.shape):
        raise ValueError(f'{channels} channels need a weight ({channels}, 1, K, K), got '
                         f'{tuple(weight_CKK.shape)}, and what is added needs the shape of x')
    out = torch.empty_like(x_BHWC)
    if not x_BHWC.numel():
        return out
    before = (kernel_size - 1) // 2
    if transposed:
        weight_CKK, before = weight_CKK.flip(1, 2), kernel_size - 1 - before
    weight_KKC = weight_CKK.float().permute(1, 2, 0).contiguous()
    block_c, block_w = tile(channels, most=BLOCK_C), tile(width, most=columns(kernel_size))
    w_blocks, c_blocks = triton.cdiv(width, block_w), triton.cdiv(channels, block_c)
    strips = min(triton.cdiv(programs_wanted(x_BHWC.device), batch * w_blocks * c_blocks),
                 triton.cdiv(height, kernel_size))
    strip_height = triton.cdiv(height, strips)
    strips = triton.cdiv(height, strip_height)
    has_affine = scale_C is not None
    depthwise_kernel[(batch * strips * w_blocks * c_blocks,)](
        x_BHWC, weight_KKC, x_BHWC if bias_C is None else vector(bias_C, channels),
        x_BHWC if added_BHWC is None else added_BHWC,
        vector(scale_C, channels) if has_affine else x_BHWC,
        vector(shift_C, channels) if has_affine else x_BHWC,
        out, height, width, channels, strip_height, strips, w_blocks, c_blocks,
        K=kernel_size, BEFORE=before, ACT=act, HAS_BIAS=bias_C is not None,
        HAS_AFFINE=has_affine, HAS_ADDED=added_BHWC is not None, BLOCK_W=block_w,
        BLOCK_C=block_c, num_warps=4)
    return out
