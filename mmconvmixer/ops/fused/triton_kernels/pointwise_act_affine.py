"""A block's second half in inference.

Suffixes: R rows (positions of all images), K input channels, C output channels.
"""
# ruff: noqa: ANN001, ANN201, ANN202 (Triton takes a kernel's annotations for argument types)
import torch
import triton
import triton.language as tl
from torch import Tensor

from mmconvmixer.ops.fused.operator import vector
from mmconvmixer.ops.fused.triton_kernels.activations import ACTS, activate
from mmconvmixer.ops.fused.triton_kernels.tiles import tile


@triton.jit(do_not_specialize=['rows', 'row_blocks', 'c_blocks'])
def pointwise_kernel(
        x_ptr, weight_ptr, bias_ptr, scale_ptr, shift_ptr, out_ptr,
        rows, in_channels, out_channels, row_blocks, c_blocks,
        ACT: tl.constexpr, PRECISION: tl.constexpr, GROUP_ROWS: tl.constexpr,
        BLOCK_ROWS: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_K: tl.constexpr):
    """Compute out = scale * act(x @ weight.T + bias) + shift.

    x is (rows, C_in), weight (C_out, C_in), out (rows, C_out); bias, scale and
    shift are (C_out,) in float32. A group of `GROUP_ROWS` row blocks goes through
    all channel blocks before the next group starts, so that the rows and weights
    it reads again are still in the L2 cache.
    """
    program = tl.program_id(0)
    in_group = GROUP_ROWS * c_blocks
    first_block = (program // in_group) * GROUP_ROWS
    blocks = tl.minimum(row_blocks - first_block, GROUP_ROWS)
    row_block = first_block + (program % in_group) % blocks
    c_block = (program % in_group) // blocks

    row = row_block.to(tl.int64) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    c = c_block * BLOCK_C + tl.arange(0, BLOCK_C)
    k = tl.arange(0, BLOCK_K)
    row_inside = row < rows
    c_inside = c < out_channels
    x_ptrs = x_ptr + row[:, None] * in_channels + k[None, :]
    weight_ptrs = weight_ptr + c[None, :] * in_channels + k[:, None]

    total = tl.zeros((BLOCK_ROWS, BLOCK_C), tl.float32)
    for start in range(0, in_channels, BLOCK_K):
        k_inside = k < in_channels - start
        x = tl.load(x_ptrs, mask=row_inside[:, None] & k_inside[None, :], other=0.)
        weight = tl.load(weight_ptrs, mask=k_inside[:, None] & c_inside[None, :], other=0.)
        total = tl.dot(x, weight, total, input_precision=PRECISION)
        x_ptrs += BLOCK_K
        weight_ptrs += BLOCK_K

    total += tl.load(bias_ptr + c, mask=c_inside, other=0.)[None, :]
    scale = tl.load(scale_ptr + c, mask=c_inside, other=0.)[None, :]
    shift = tl.load(shift_ptr + c, mask=c_inside, other=0.)[None, :]
    out = activate(total, ACT) * scale + shift
    offset = row[:, None] * out_channels + c[None, :]
    tl.store(out_ptr + offset, out.to(out_ptr.dtype.element_ty),
             mask=row_inside[:, None] & c_inside[None, :])


def pointwise_act_affine(x_RK: Tensor, weight_CK: Tensor, bias_C: Tensor, scale_C: Tensor,
                         shift_C: Tensor, act: str) -> Tensor:
    """Return scale * act(x @ weight.T + bias) + shift, in x's dtype."""
    rows, in_channels = x_RK.shape
    out_channels = len(weight_CK)
    if weight_CK.shape != (out_channels, in_channels):
        raise ValueError(f'{in_channels} channels need a weight (C_out, {in_channels}, 1, 1), got '
                         f'one for {weight_CK.shape[1]}')
    out = x_RK.new_empty((rows, out_channels))
    if not out.numel():
        return out
    # Half precision is multiplied on the tensor cores, which want large tiles; float32 in
    # registers, which hold smaller ones.
    half = x_RK.element_size() == 2
    side = 128 if half else 64
    block_rows, block_c, block_k = (
        tile(rows, least=16, most=side), tile(out_channels, least=16, most=side),
        tile(in_channels, least=16, most=64 if half else 32))
    row_blocks, c_blocks = triton.cdiv(rows, block_rows), triton.cdiv(out_channels, block_c)
    pointwise_kernel[(row_blocks * c_blocks,)](
        x_RK, weight_CK.to(x_RK.dtype).contiguous(),
        *(vector(each, out_channels) for each in (bias_C, scale_C, shift_C)), out,
        rows, in_channels, out_channels, row_blocks, c_blocks, ACT=ACTS[act],
        PRECISION=_precision(x_RK.dtype), GROUP_ROWS=8, BLOCK_ROWS=block_rows, BLOCK_C=block_c,
        BLOCK_K=block_k, num_warps=8 if half else 4, num_stages=3)
    return out


def _precision(dtype: torch.dtype) -> str:
    """Return how to multiply float32: as the user told PyTorch to multiply it."""
    if dtype is not torch.float32:
        return 'ieee'
    settings = torch.backends.cuda.matmul
    # PyTorch raises if the old switch is read after the new one was set.
    allowed = (settings.fp32_precision == 'tf32' if hasattr(settings, 'fp32_precision')
               else settings.allow_tf32)
    return 'tf32' if allowed else 'ieee'

