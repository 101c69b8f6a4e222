"""Activation, then scale and shift (+ residual).

Suffixes: R rows (positions of all images), C channels.
"""
# ruff: noqa: ANN001, ANN201, ANN202 (Triton takes a kernel's annotations for argument types)
import torch
import triton
import triton.language as tl
from torch import Tensor

from mmconvmixer.ops.fused.operator import check_residual, vector
from mmconvmixer.ops.fused.triton_kernels.activations import ACTS, activate
from mmconvmixer.ops.fused.triton_kernels.tiles import row_tile


@triton.jit(do_not_specialize=['rows', 'c_blocks'])
def affine_kernel(
        x_ptr, mean_ptr, scale_ptr, shift_ptr, added_ptr, out_ptr, rows, channels, c_blocks,
        ACT: tl.constexpr, HAS_MEAN: tl.constexpr, HAS_ADDED: tl.constexpr,
        BLOCK_ROWS: tl.constexpr, BLOCK_C: tl.constexpr):
    """Compute out = added + scale * (act(x) - mean) + shift.

    x, added and out are (rows, C); the vectors are (C,) in float32. The mean is
    subtracted first: merged into the shift, a large mean would cost digits.
    """
    program = tl.program_id(0)
    c = (program % c_blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    row = (program // c_blocks).to(tl.int64) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    c_inside = c < channels
    inside = (row < rows)[:, None] & c_inside[None, :]
    offset = row.to(tl.int64)[:, None] * channels + c[None, :]

    x = tl.load(x_ptr + offset, mask=inside, other=0.).to(tl.float32)
    scale = tl.load(scale_ptr + c, mask=c_inside, other=0.)
    shift = tl.load(shift_ptr + c, mask=c_inside, other=0.)
    out = activate(x, ACT)
    if HAS_MEAN:
        out -= tl.load(mean_ptr + c, mask=c_inside, other=0.)[None, :]
    out = out * scale[None, :] + shift[None, :]
    if HAS_ADDED:
        out += tl.load(added_ptr + offset, mask=inside, other=0.).to(tl.float32)
    tl.store(out_ptr + offset, out.to(out_ptr.dtype.element_ty), mask=inside)


def act_affine(x_RC: Tensor, scale_C: Tensor, shift_C: Tensor, act: str,
               added_RC: Tensor | None = None, mean_C: Tensor | None = None, *,
               out_RC: Tensor | None = None) -> Tensor:
    """Return added + scale * (act(x) - mean) + shift, in x's dtype.

    Args:
        out_RC: where the result is written, which may be x; a new tensor if it is None.
    """
    count, channels = x_RC.shape
    check_residual(x_RC, added_RC)
    out = torch.empty_like(x_RC) if out_RC is None else out_RC
    if x_RC.numel():
        block_rows, block_c = row_tile(count, channels)
        c_blocks = triton.cdiv(channels, block_c)
        affine_kernel[(triton.cdiv(count, block_rows) * c_blocks,)](
            x_RC, x_RC if mean_C is None else mean_C, vector(scale_C, channels),
            vector(shift_C, channels), x_RC if added_RC is None else added_RC, out, count,
            channels, c_blocks, ACT=ACTS[act], HAS_MEAN=mean_C is not None,
            HAS_ADDED=added_RC is not None,
            BLOCK_ROWS=block_rows, BLOCK_C=block_c, num_warps=4)
    return out

