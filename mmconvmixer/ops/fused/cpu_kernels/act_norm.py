"""Activation, then BatchNorm: statistics, result and gradients (`act_norm.cpp`)."""
import torch
from torch import Tensor

from mmconvmixer.ops.fused.cpu_kernels.call import call
from mmconvmixer.ops.fused.operator import check_residual, join_moments, vector

PARTS = 128  # of the rows, for sums; as many threads can work


def act_affine(x_RC: Tensor, scale_C: Tensor, shift_C: Tensor, act: str,
               added_RC: Tensor | None = None, mean_C: Tensor | None = None) -> Tensor:
    """Return added + scale * (act(x) - mean) + shift."""
    rows, channels = x_RC.shape
    check_residual(x_RC, added_RC)
    out = torch.empty_like(x_RC)
    call('act_affine', x_RC, mean_C, vector(scale_C, channels), vector(shift_C, channels),
         added_RC, out, rows, channels, act)
    return out


def moments(x_RC: Tensor, act: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return act(x)'s mean (C,), the sum of squared distances to it (C,) and the count ()."""
    mean, rows_each = _in_parts(x_RC)
    squared_distances, counts = torch.empty_like(mean), mean.new_empty(len(mean))
    call('moments', x_RC, mean, squared_distances, counts, *_sizes(x_RC, rows_each), act)
    return join_moments(mean, squared_distances, counts)


def gradient_sums(x_RC: Tensor, grad_RC: Tensor, mean_C: Tensor, rstd_C: Tensor,
                  act: str) -> tuple[Tensor, Tensor]:
    """Return the sums over rows of grad and of grad * normalized(act(x)), (C,)."""
    grads, rows_each = _in_parts(x_RC)
    products = torch.empty_like(grads)
    call('gradient_sums', x_RC, grad_RC, mean_C, rstd_C, grads, products,
         *_sizes(x_RC, rows_each), act)
    return grads.sum(0), products.sum(0)


def input_gradient(x_RC: Tensor, grad_RC: Tensor, mean_C: Tensor, rstd_C: Tensor,
                   weight_C: Tensor, grad_mean_C: Tensor, product_mean_C: Tensor,
                   act: str) -> tuple[Tensor, Tensor]:
    """Return grad_input of weight * normalized(act(x)) + bias, and its sums over rows."""
    grad_input = torch.empty_like(x_RC)
    sums, rows_each = _in_parts(x_RC)
    call('input_gradient', x_RC, grad_RC, mean_C, rstd_C, vector(weight_C, x_RC.shape[1]),
         grad_mean_C, product_mean_C, grad_input, sums, *_sizes(x_RC, rows_each), act)
    return grad_input, sums.sum(0)


def _in_parts(x_RC: Tensor) -> tuple[Tensor, int]:
    """Return an empty (S, C) for sums over S parts of the rows, and the rows of a part."""
    rows, channels = x_RC.shape
    rows_each = max(64, -(-rows // PARTS))
    return x_RC.new_empty((-(-rows // rows_each), channels)), rows_each


def _sizes(x_RC: Tensor, rows_each: int) -> tuple[int, int, int]:
    return x_RC.shape[0], rows_each, x_RC.shape[1]
