"""Kernels of `act_norm`: the statistics of an activation's results, and the gradients.

Each kernel computes the activation again. Reading its input and computing is cheaper
than writing and reading its result, and only the input is kept for the backward pass.

Suffixes: R rows (positions of all images), C channels, S parts of the rows.
"""
# ruff: noqa: ANN001, ANN201, ANN202 (Triton takes a kernel's annotations for argument types)
from collections.abc import Callable

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmconvmixer.ops.fused.operator import join_moments, vector
from mmconvmixer.ops.fused.triton_kernels.activations import ACTS, activate, derivative
from mmconvmixer.ops.fused.triton_kernels.tiles import row_tile, split

# The number of channels decides how memory is read; the other sizes do not recompile the
# kernel.
_for_any_rows = triton.jit(do_not_specialize=['rows', 'rows_each', 'c_blocks'])


@_for_any_rows
def moments_kernel(
        x_ptr, mean_ptr, squared_deviations_ptr, count_ptr, rows, rows_each, channels, c_blocks,
        ACT: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_C: tl.constexpr):
    """Compute the mean of act(x) and the sum of squared distances to it, for each part of the rows.

    x is (rows, C); mean and squared_deviations are (S, C), count is (S,), all in float32.
    Each position of the block keeps a running mean (Welford), and these are joined
    at the end. A sum of squares would lose the variance where the mean is large.
    """
    program = tl.program_id(0)
    part = (program // c_blocks).to(tl.int64)
    c = (program % c_blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    c_inside = c < channels
    first = part * rows_each
    last = tl.minimum(first + rows_each, rows)

    count = tl.zeros((BLOCK_ROWS,), tl.float32)
    mean = tl.zeros((BLOCK_ROWS, BLOCK_C), tl.float32)
    squared_deviations = tl.zeros((BLOCK_ROWS, BLOCK_C), tl.float32)
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
        squared_deviations += away * (value - mean)

    total = tl.sum(count, axis=0)
    whole = tl.sum(mean * count[:, None], axis=0) / tl.maximum(total, 1.)
    away = mean - whole[None, :]
    spread = tl.sum(squared_deviations + away * away * count[:, None], axis=0)
    tl.store(mean_ptr + part * channels + c, whole, mask=c_inside)
    tl.store(squared_deviations_ptr + part * channels + c, spread, mask=c_inside)
    tl.store(count_ptr + part, total)


@_for_any_rows
def gradient_sums_kernel(
        x_ptr, grad_ptr, mean_ptr, rstd_ptr, grad_sums_ptr, product_sums_ptr,
        rows, rows_each, channels, c_blocks,
        ACT: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_C: tl.constexpr):
    """Sum grad, and grad * (act(x) - mean) * rstd, for each part of the rows."""
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
        grad_input_ptr, grad_input_sums_ptr, rows, rows_each, channels, c_blocks,
        ACT: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_C: tl.constexpr):
    """Compute grad_input of weight * normalized(act(x)) + bias, and its sum over each part's rows.

    The sum of grad_input is grad_bias of the convolution that computed x.
    grad_mean and product_mean are the sums of `gradient_sums_kernel` divided by the
    number of values; all vectors are (C,) in float32.
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
        grad_act = weight * rstd * (grad - grad_mean - normalized * product_mean)
        grad_input = grad_act * derivative(x, ACT)
        tl.store(grad_input_ptr + offset, grad_input.to(grad_input_ptr.dtype.element_ty),
                 mask=inside)
        sums += tl.where(inside, grad_input, 0.)
    tl.store(grad_input_sums_ptr + part * channels + c, tl.sum(sums, axis=0), mask=c_inside)


def moments(x_RC: Tensor, act: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return act(x)'s mean (C,), the sum of squared distances to it (C,) and the count ().

    All three are float32.
    """
    mean, launch = _in_parts(x_RC, act)
    squared_deviations, counts = torch.empty_like(mean), mean.new_empty(len(mean))
    launch(moments_kernel, x_RC, mean, squared_deviations, counts)
    return join_moments(mean, squared_deviations, counts)


def gradient_sums(x_RC: Tensor, grad_RC: Tensor, mean_C: Tensor, rstd_C: Tensor,
                  act: str) -> tuple[Tensor, Tensor]:
    """Return the sums over rows of grad and of grad * normalized(act(x)), (C,) in float32."""
    grads, launch = _in_parts(x_RC, act)
    products = torch.empty_like(grads)
    launch(gradient_sums_kernel, x_RC, grad_RC, mean_C, rstd_C, grads, products)
    return grads.sum(0), products.sum(0)


def input_gradient(x_RC: Tensor, grad_RC: Tensor, mean_C: Tensor, rstd_C: Tensor,
                   weight_C: Tensor, grad_mean_C: Tensor, product_mean_C: Tensor,
                   act: str) -> tuple[Tensor, Tensor]:
    """Return grad_input of weight * normalized(act(x)) + bias, and its sums over rows.

    grad_input has x's dtype; the sums, (C,) in float32, are taken before it is
    rounded to that.
    """
    grad_input = torch.empty_like(x_RC)
    sums, launch = _in_parts(x_RC, act)
    launch(gradient_kernel, x_RC, grad_RC, mean_C, rstd_C, vector(weight_C, x_RC.shape[1]),
           grad_mean_C, product_mean_C, grad_input, sums)
    return grad_input, sums.sum(0)


def _in_parts(x_RC: Tensor, act: str) -> tuple[Tensor, Callable[..., None]]:
    """Return an empty (S, C) in float32 for sums over S parts, and how to launch a kernel."""
    rows, channels = x_RC.shape
    block_rows, block_c = row_tile(rows, channels)
    c_blocks = triton.cdiv(channels, block_c)
    rows_each, count = split(rows, x_RC.device, programs_each=c_blocks, least=block_rows)

    def launch(kernel: triton.JITFunction, *tensors: Tensor) -> None:
        if count:
            kernel[(count * c_blocks,)](
                *tensors, rows, rows_each, channels, c_blocks, ACT=ACTS[act],
                BLOCK_ROWS=block_rows, BLOCK_C=block_c, num_warps=4)
    return x_RC.new_empty((count, channels), dtype=torch.float32), launch
