"""Activation and BatchNorm over (rows, channels), a row being one position of one image.

The activation is computed again wherever it is needed: reading its input and
computing is cheaper than writing and reading its output, and only the input
is kept for the backward pass.
"""
import torch
import triton
import triton.language as tl
from torch import Tensor

from .activations import activate, derivative
from .tiles import parts, tile, vector

# Of sizes, only the channels decide how memory is read.
_for_any_rows = triton.jit(do_not_specialize=['rows', 'rows_each', 'c_blocks'])


@_for_any_rows
def moments_kernel(
        x_ptr, mean_ptr, squares_ptr, count_ptr, rows, rows_each, channels, c_blocks,
        ACT: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_C: tl.constexpr):
    """Mean and sum of squared distances to it, of act(x), for each part of the rows.

    Running means (Welford) at every position of the block, joined at the end:
    a sum of squares would lose the variance where the mean is large.
    x is (rows, C); mean and squares are (S, C), count is (S,), float32.
    """
    program = tl.program_id(0)
    part = (program // c_blocks).to(tl.int64)
    c = (program % c_blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    c_inside = c < channels
    first = part * rows_each
    last = tl.minimum(first + rows_each, rows)

    count = tl.zeros((BLOCK_ROWS,), tl.float32)
    mean = tl.zeros((BLOCK_ROWS, BLOCK_C), tl.float32)
    squares = tl.zeros((BLOCK_ROWS, BLOCK_C), tl.float32)
    for start in range(first, last, BLOCK_ROWS):
        row = start + tl.arange(0, BLOCK_ROWS)
        inside = row < last
        offset = row.to(tl.int64)[:, None] * channels + c[None, :]
        x = tl.load(x_ptr + offset, mask=inside[:, None] & c_inside[None, :], other=0.)
        value = activate(x.to(tl.float32), ACT)
        count += tl.where(inside, 1., 0.)
        share = tl.where(inside, 1. / tl.maximum(count, 1.), 0.)
        away = tl.where(inside[:, None], value - mean, 0.)
        mean += away * share[:, None]
        squares += away * (value - mean)

    total = tl.sum(count, axis=0)
    whole = tl.sum(mean * count[:, None], axis=0) / tl.maximum(total, 1.)
    away = mean - whole[None, :]
    spread = tl.sum(squares + away * away * count[:, None], axis=0)
    tl.store(mean_ptr + part * channels + c, whole, mask=c_inside)
    tl.store(squares_ptr + part * channels + c, spread, mask=c_inside)
    tl.store(count_ptr + part, total)


@triton.jit(do_not_specialize=['rows', 'c_blocks'])
def affine_kernel(
        x_ptr, mean_ptr, scale_ptr, shift_ptr, added_ptr, out_ptr, rows, channels, c_blocks,
        ACT: tl.constexpr, HAS_MEAN: tl.constexpr, HAS_ADDED: tl.constexpr,
        BLOCK_ROWS: tl.constexpr, BLOCK_C: tl.constexpr):
    """out = added + scale * (act(x) - mean) + shift; the vectors are (C,) in float32.

    The mean by itself: in the shift it would cost digits where it is large.
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


@_for_any_rows
def gradient_sums_kernel(
        x_ptr, grad_ptr, mean_ptr, rstd_ptr, grad_sums_ptr, product_sums_ptr,
        rows, rows_each, channels, c_blocks,
        ACT: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_C: tl.constexpr):
    """Sums of grad and of grad * (act(x) - mean) * rstd, for each part of the rows."""
    program = tl.program_id(0)
    part = (program // c_blocks).to(tl.int64)
    c = (program % c_blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    c_inside = c < channels
    mean = tl.load(mean_ptr + c, mask=c_inside, other=0.)[None, :]
    rstd = tl.load(rstd_ptr + c, mask=c_inside, other=0.)[None, :]
    first = part * rows_each
    last = tl.minimum(first + rows_each, rows)

    grads = tl.zeros((BLOCK_ROWS, BLOCK_C), tl.float32)
    products = tl.zeros((BLOCK_ROWS, BLOCK_C), tl.float32)
    for start in range(first, last, BLOCK_ROWS):
        row = start + tl.arange(0, BLOCK_ROWS)
        inside = (row < last)[:, None] & c_inside[None, :]
        offset = row.to(tl.int64)[:, None] * channels + c[None, :]
        x = tl.load(x_ptr + offset, mask=inside, other=0.).to(tl.float32)
        grad = tl.load(grad_ptr + offset, mask=inside, other=0.).to(tl.float32)
        grads += grad
        products += grad * (activate(x, ACT) - mean) * rstd
    tl.store(grad_sums_ptr + part * channels + c, tl.sum(grads, axis=0), mask=c_inside)
    tl.store(product_sums_ptr + part * channels + c, tl.sum(products, axis=0), mask=c_inside)


@_for_any_rows
def gradient_kernel(
        x_ptr, grad_ptr, mean_ptr, rstd_ptr, weight_ptr, grad_mean_ptr, product_mean_ptr,
        out_ptr, out_sums_ptr, rows, rows_each, channels, c_blocks,
        ACT: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_C: tl.constexpr):
    """Gradient by x of weight * normalized(act(x)) + bias, and its sum for each part of the rows.

    That sum is the gradient by the bias of the convolution which made x.
    grad_mean and product_mean are the sums of `gradient_sums_kernel` over the
    count; all (C,) in float32.
    """
    program = tl.program_id(0)
    part = (program // c_blocks).to(tl.int64)
    c = (program % c_blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    c_inside = c < channels
    mean = tl.load(mean_ptr + c, mask=c_inside, other=0.)[None, :]
    rstd = tl.load(rstd_ptr + c, mask=c_inside, other=0.)[None, :]
    weight = tl.load(weight_ptr + c, mask=c_inside, other=0.)[None, :]
    grad_mean = tl.load(grad_mean_ptr + c, mask=c_inside, other=0.)[None, :]
    product_mean = tl.load(product_mean_ptr + c, mask=c_inside, other=0.)[None, :]
    first = part * rows_each
    last = tl.minimum(first + rows_each, rows)

    sums = tl.zeros((BLOCK_ROWS, BLOCK_C), tl.float32)
    for start in range(first, last, BLOCK_ROWS):
        row = start + tl.arange(0, BLOCK_ROWS)
        inside = (row < last)[:, None] & c_inside[None, :]
        offset = row.to(tl.int64)[:, None] * channels + c[None, :]
        x = tl.load(x_ptr + offset, mask=inside, other=0.).to(tl.float32)
        grad = tl.load(grad_ptr + offset, mask=inside, other=0.).to(tl.float32)
        normalized = (activate(x, ACT) - mean) * rstd
        out = weight * rstd * (grad - grad_mean - normalized * product_mean) * derivative(x, ACT)
        tl.store(out_ptr + offset, out.to(out_ptr.dtype.element_ty), mask=inside)
        sums += tl.where(inside, out, 0.)
    tl.store(out_sums_ptr + part * channels + c, tl.sum(sums, axis=0), mask=c_inside)


def moments(x_RC: Tensor, act: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (C,), sum of squared distances to it (C,) and count (), of act(x), float32."""
    rows, channels = x_RC.shape
    block_rows, block_c = _blocks(rows, channels)
    c_blocks = triton.cdiv(channels, block_c)
    rows_each, count = parts(rows, x_RC.device, programs_each=c_blocks, least=block_rows)
    mean = x_RC.new_empty((count, channels), dtype=torch.float32)
    squares, counts = torch.empty_like(mean), mean.new_empty(count)
    if count:
        moments_kernel[(count * c_blocks,)](
            x_RC, mean, squares, counts, rows, rows_each, channels, c_blocks, ACT=act,
            BLOCK_ROWS=block_rows, BLOCK_C=block_c, num_warps=4)
    return join_moments(mean, squares, counts)


def join_moments(mean_SC: Tensor, squares_SC: Tensor,
                 count_S: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the moments of the whole of those of S parts (Chan et al., 1979)."""
    count = count_S.sum()
    mean = (mean_SC * count_S[:, None]).sum(0) / count.clamp(min=1)
    away = mean_SC - mean
    return mean, (squares_SC + away.square() * count_S[:, None]).sum(0), count


def act_affine(x_RC: Tensor, scale_C: Tensor, shift_C: Tensor, act: int,
               added_RC: Tensor | None = None, mean_C: Tensor | None = None) -> Tensor:
    """Return added + scale * (act(x) - mean) + shift, in x's dtype."""
    rows, channels = x_RC.shape
    if added_RC is not None and added_RC.shape != x_RC.shape:
        raise ValueError('what is added needs the shape of x')
    out = torch.empty_like(x_RC)
    if x_RC.numel():
        block_rows, block_c = _blocks(rows, channels)
        c_blocks = triton.cdiv(channels, block_c)
        affine_kernel[(triton.cdiv(rows, block_rows) * c_blocks,)](
            x_RC, x_RC if mean_C is None else mean_C, vector(scale_C, channels),
            vector(shift_C, channels), x_RC if added_RC is None else added_RC, out, rows,
            channels, c_blocks, ACT=act, HAS_MEAN=mean_C is not None,
            HAS_ADDED=added_RC is not None,
            BLOCK_ROWS=block_rows, BLOCK_C=block_c, num_warps=4)
    return out


def gradient_sums(x_RC: Tensor, grad_RC: Tensor, mean_C: Tensor, rstd_C: Tensor,
                  act: int) -> tuple[Tensor, Tensor]:
    """Return the sums over rows of grad and of grad * normalized(act(x)), (C,) in float32."""
    rows, channels = x_RC.shape
    block_rows, block_c = _blocks(rows, channels)
    c_blocks = triton.cdiv(channels, block_c)
    rows_each, count = parts(rows, x_RC.device, programs_each=c_blocks, least=block_rows)
    grads = x_RC.new_empty((count, channels), dtype=torch.float32)
    products = torch.empty_like(grads)
    if count:
        gradient_sums_kernel[(count * c_blocks,)](
            x_RC, grad_RC, mean_C, rstd_C, grads, products, rows, rows_each, channels, c_blocks,
            ACT=act, BLOCK_ROWS=block_rows, BLOCK_C=block_c, num_warps=4)
    return grads.sum(0), products.sum(0)


def input_gradient(x_RC: Tensor, grad_RC: Tensor, mean_C: Tensor, rstd_C: Tensor,
                   weight_C: Tensor, grad_mean_C: Tensor, product_mean_C: Tensor,
                   act: int) -> tuple[Tensor, Tensor]:
    """Return the gradient by x of weight * normalized(act(x)) + bias, and its sums over rows.

    The gradient is in x's dtype; the sums, (C,) in float32, are of what it was
    before it was rounded to that.
    """
    rows, channels = x_RC.shape
    out = torch.empty_like(x_RC)
    block_rows, block_c = _blocks(rows, channels)
    c_blocks = triton.cdiv(channels, block_c)
    rows_each, count = parts(rows, x_RC.device, programs_each=c_blocks, least=block_rows)
    sums = x_RC.new_empty((count, channels), dtype=torch.float32)
    if count:
        gradient_kernel[(count * c_blocks,)](
            x_RC, grad_RC, mean_C, rstd_C, vector(weight_C, channels), grad_mean_C,
            product_mean_C, out, sums, rows, rows_each, channels, c_blocks, ACT=act,
            BLOCK_ROWS=block_rows, BLOCK_C=block_c, num_warps=4)
    return out, sums.sum(0)


def _blocks(rows: int, channels: int) -> tuple[int, int]:
    return tile(rows, most=16), tile(channels, most=128)
