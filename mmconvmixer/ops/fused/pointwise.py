"""Pointwise convolution with everything that follows it, for inference."""
import torch
import triton
import triton.language as tl
from torch import Tensor

from .activations import activate
from .tiles import tile, vector


@triton.jit(do_not_specialize=['rows', 'row_blocks', 'c_blocks'])
def pointwise_kernel(
        x_ptr, weight_ptr, bias_ptr, scale_ptr, shift_ptr, out_ptr,
        rows, in_channels, out_channels, row_blocks, c_blocks,
        ACT: tl.constexpr, PRECISION: tl.constexpr, TOGETHER: tl.constexpr,
        BLOCK_ROWS: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_K: tl.constexpr):
    """out = scale * act(x @ weight.T + bias) + shift.

    x is (rows, C_in), weight (C_out, C_in), out (rows, C_out); bias, scale and
    shift are (C_out,) in float32. `TOGETHER` row blocks go through all channel
    blocks before the next, so that what both read stays in the second-level cache.
    """
    program = tl.program_id(0)
    in_group = TOGETHER * c_blocks
    first_block = (program // in_group) * TOGETHER
    blocks = tl.minimum(row_blocks - first_block, TOGETHER)
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


def pointwise(x_RK: Tensor, weight_CK: Tensor, bias_C: Tensor, scale_C: Tensor, shift_C: Tensor,
              act: int) -> Tensor:
    """Return scale * act(x @ weight.T + bias) + shift, in x's dtype."""
    rows, in_channels = x_RK.shape
    out_channels = len(weight_CK)
    if weight_CK.shape != (out_channels, in_channels):
        raise ValueError(f'{in_channels} channels need a weight (C_out, {in_channels}, 1, 1), got '
                         f'one for {weight_CK.shape[1]}')
    out = x_RK.new_empty((rows, out_channels))
    if not out.numel():
        return out
    # Tiles of half precision go to the tensor cores, of float32 to the registers.
    half = x_RK.element_size() == 2
    side = 128 if half else 64
    block_rows, block_c, block_k = (
        tile(rows, least=16, most=side), tile(out_channels, least=16, most=side),
        tile(in_channels, least=16, most=64 if half else 32))
    row_blocks, c_blocks = triton.cdiv(rows, block_rows), triton.cdiv(out_channels, block_c)
    pointwise_kernel[(row_blocks * c_blocks,)](
        x_RK, weight_CK.to(x_RK.dtype).contiguous(),
        *(vector(each, out_channels) for each in (bias_C, scale_C, shift_C)), out,
        rows, in_channels, out_channels, row_blocks, c_blocks, ACT=act,
        PRECISION=_precision(x_RK.dtype), TOGETHER=8, BLOCK_ROWS=block_rows, BLOCK_C=block_c,
        BLOCK_K=block_k, num_warps=8 if half else 4, num_stages=3)
    return out


def _precision(dtype: torch.dtype) -> str:
    """Return how float32 is multiplied, as PyTorch's own products are told to."""
    if dtype is not torch.float32:
        return 'ieee'
    settings = torch.backends.cuda.matmul
    # Reading the old switch raises where somebody used the new one.
    allowed = (settings.fp32_precision == 'tf32' if hasattr(settings, 'fp32_precision')
               else settings.allow_tf32)
    return 'tf32' if allowed else 'ieee'
