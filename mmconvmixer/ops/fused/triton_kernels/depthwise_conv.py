"""Depthwise convolution: stride 1, 'same' padding.

The gradient with respect to the input is also here: the transposed convolution by the same
Triton kernel.

Up to 9x9 the vector units are the limit, so every instruction that is not a
multiply-add costs time. A tile is `COLUMNS` columns of one image; a thread holds
two channels of one tile. It goes down the rows and reads each number once. An input
row contributes to K output rows: the thread keeps their sums, K for each column, in
registers.

Suffixes: B batch, H height, W width, C channels, K kernel size.
"""
# ruff: noqa: ANN001, ANN201, ANN202 (Triton takes a kernel's annotations for argument types)
import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from mmconvmixer.ops.fused.operator import kernel_size_of, vector
from mmconvmixer.ops.fused.triton_kernels.activations import ACTS, activate
from mmconvmixer.ops.fused.triton_kernels.tiles import depthwise_tile, programs_wanted


# Images and batches of other sizes do not recompile the kernel.
@triton.jit(do_not_specialize=['tiles', 'height', 'width', 'strip_height', 'strips', 'w_tiles',
                               'c_blocks'])
def depthwise_kernel(
        x_ptr, weight_ptr, bias_ptr, added_ptr, scale_ptr, shift_ptr, out_ptr,
        tiles, height, width, strip_height, strips, w_tiles, c_blocks,
        CHANNELS: tl.constexpr, K: tl.constexpr, BEFORE: tl.constexpr, ACT: tl.constexpr,
        HAS_BIAS: tl.constexpr, HAS_AFFINE: tl.constexpr, HAS_ADDED: tl.constexpr,
        TILES: tl.constexpr, COLUMNS: tl.constexpr, BLOCK_C: tl.constexpr):
    """Compute out = added + scale * act(conv(x) + bias) + shift; all but conv is optional.

    x, added and out are (B, H, W, C); weight is (C / BLOCK_C, K, K, BLOCK_C), with
    zeros beyond C; bias, scale and shift are (C,); all of these but x, added and out
    are float32. `BEFORE` is the padding above and on the left. C is a constant, so
    that addresses differ by constants, which take no instructions.
    """
    program = tl.program_id(0)
    c_block = program % c_blocks
    program = program // c_blocks
    top = (program % strips) * strip_height
    bottom = tl.minimum(top + strip_height, height)
    tile = (program // strips) * TILES + tl.arange(0, TILES)
    w = (tile % w_tiles) * COLUMNS
    tile_width = tl.where(tile < tiles, width, 0)
    c = c_block * BLOCK_C + tl.arange(0, BLOCK_C)
    c_inside = (c < CHANNELS)[None, :]
    corner = (((tile // w_tiles).to(tl.int64) * height * width + w) * CHANNELS)[:, None] + c
    weight_ptrs = weight_ptr + c_block * (K * K * BLOCK_C) + tl.arange(0, BLOCK_C)

    start = tl.zeros((TILES, BLOCK_C), tl.float32)
    if HAS_BIAS:
        start += tl.load(bias_ptr + c, mask=c < CHANNELS, other=0.)[None, :]
    # sums[i * COLUMNS + n] is column n of the output row that meets the current input row
    # with row i of the kernel.
    sums = ()
    for _ in tl.static_range(K * COLUMNS):
        sums = sums + (start,)

    first = tl.maximum(top - BEFORE, 0)
    last = tl.minimum(bottom + (K - 1 - BEFORE), height)
    for number in range(last - first):
        x_ptrs = x_ptr + corner + (first + number).to(tl.int64) * width * CHANNELS
        values = ()
        for n in tl.static_range(COLUMNS + K - 1):
            inside = (w + (n - BEFORE) >= 0) & (w + (n - BEFORE) < tile_width)
            value = tl.load(x_ptrs + (n - BEFORE) * CHANNELS,
                            mask=inside[:, None] & c_inside, other=0.)
            values = values + (value.to(tl.float32),)
        updated = ()
        for i in tl.static_range(K):
            row_sums = ()
            for n in tl.static_range(COLUMNS):
                row_sums = row_sums + (sums[i * COLUMNS + n],)
            for j in tl.static_range(K):
                weight = tl.load(weight_ptrs + (i * K + j) * BLOCK_C)[None, :]
                more = ()
                for n in tl.static_range(COLUMNS):
                    more = more + (tl.fma(values[n + j], weight, row_sums[n]),)
                row_sums = more
            updated = updated + row_sums

        finished, sums = (), ()
        for n in tl.static_range(COLUMNS):
            finished = finished + (updated[(K - 1) * COLUMNS + n],)
            sums = sums + (start,)
        for each in tl.static_range((K - 1) * COLUMNS):
            sums = sums + (updated[each],)
        _finish(finished, first + number + BEFORE - (K - 1), corner, top, bottom, tile_width, w,
                c, width, added_ptr, scale_ptr, shift_ptr, out_ptr, CHANNELS, ACT, HAS_AFFINE,
                HAS_ADDED)

    # Output rows whose last kernel rows lie below the image.
    for beyond in tl.static_range(K - 1 - BEFORE):
        finished = ()
        for n in tl.static_range(COLUMNS):
            finished = finished + (sums[(K - 1 - beyond) * COLUMNS + n],)
        _finish(finished, last + beyond + BEFORE - (K - 1), corner, top, bottom, tile_width, w,
                c, width, added_ptr, scale_ptr, shift_ptr, out_ptr, CHANNELS, ACT, HAS_AFFINE,
                HAS_ADDED)


@triton.jit
def _finish(totals, row, corner, top, bottom, tile_width, w, c, width,
            added_ptr, scale_ptr, shift_ptr, out_ptr,
            CHANNELS: tl.constexpr, ACT: tl.constexpr, HAS_AFFINE: tl.constexpr,
            HAS_ADDED: tl.constexpr):
    """Write an output row if it lies in top..bottom - 1."""
    c_inside = c < CHANNELS
    if HAS_AFFINE:
        scale = tl.load(scale_ptr + c, mask=c_inside, other=0.)[None, :]
        shift = tl.load(shift_ptr + c, mask=c_inside, other=0.)[None, :]
    row_width = tl.where((row >= top) & (row < bottom), tile_width, 0)
    place = corner + row.to(tl.int64) * width * CHANNELS
    for n in tl.static_range(len(totals)):
        total = activate(totals[n], ACT)
        if HAS_AFFINE:
            total = total * scale + shift
        inside = (w + n < row_width)[:, None] & c_inside[None, :]
        if HAS_ADDED:
            total += tl.load(added_ptr + place + n * CHANNELS, mask=inside,
                             other=0.).to(tl.float32)
        tl.store(out_ptr + place + n * CHANNELS, total.to(out_ptr.dtype.element_ty), mask=inside)


def depthwise(x_BHWC: Tensor, weight_CKK: Tensor, *, bias_C: Tensor | None = None,
              act: str = 'identity', scale_C: Tensor | None = None, shift_C: Tensor | None = None,
              added_BHWC: Tensor | None = None, transposed: bool = False,
              out_BHWC: Tensor | None = None) -> Tensor:
    """Return added + scale * act(conv(x) + bias) + shift, in x's dtype.

    Args:
        transposed: apply the transposed convolution, which turns grad_output into
            grad_input.
        out_BHWC: where the result is written; a new tensor if it is None.
    """
    batch, height, width, channels = x_BHWC.shape
    kernel_size = kernel_size_of(x_BHWC, weight_CKK, added_BHWC)
    out = torch.empty_like(x_BHWC) if out_BHWC is None else out_BHWC
    if not x_BHWC.numel():
        return out
    before = (kernel_size - 1) // 2
    if transposed:
        weight_CKK, before = weight_CKK.flip(1, 2), kernel_size - 1 - before
    block_tiles, columns, block_c = depthwise_tile(channels, kernel_size)
    w_tiles, c_blocks = triton.cdiv(width, columns), triton.cdiv(channels, block_c)
    tile_blocks = triton.cdiv(batch * w_tiles, block_tiles)
    padded = F.pad(weight_CKK.float(), (0, 0, 0, 0, 0, c_blocks * block_c - channels))
    weight = padded.unflatten(0, (c_blocks, block_c)).permute(0, 2, 3, 1).contiguous()
    strips = min(triton.cdiv(programs_wanted(x_BHWC.device), tile_blocks * c_blocks),
                 triton.cdiv(height, kernel_size))
    strip_height = triton.cdiv(height, strips)
    strips = triton.cdiv(height, strip_height)
    has_affine = scale_C is not None
    depthwise_kernel[(tile_blocks * strips * c_blocks,)](
        x_BHWC, weight, x_BHWC if bias_C is None else vector(bias_C, channels),
        x_BHWC if added_BHWC is None else added_BHWC,
        vector(scale_C, channels) if has_affine else x_BHWC,
        vector(shift_C, channels) if has_affine else x_BHWC,
        out, batch * w_tiles, height, width, strip_height, strips, w_tiles, c_blocks,
        CHANNELS=channels, K=kernel_size, BEFORE=before, ACT=ACTS[act], HAS_BIAS=bias_C is not None,
        HAS_AFFINE=has_affine, HAS_ADDED=added_BHWC is not None, TILES=block_tiles,
        COLUMNS=columns, BLOCK_C=block_c, num_warps=4)
    return out


def depthwise_act_affine(x_BHWC: Tensor, weight_CKK: Tensor, bias_C: Tensor, scale_C: Tensor,
                         shift_C: Tensor, act: str) -> Tensor:
    """Return x + scale * act(conv(x) + bias) + shift."""
    return depthwise(x_BHWC, weight_CKK, bias_C=bias_C, act=act, scale_C=scale_C, shift_C=shift_C,
                     added_BHWC=x_BHWC)
