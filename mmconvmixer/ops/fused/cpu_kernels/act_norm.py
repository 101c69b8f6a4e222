"""Activation, then BatchNorm: statistics, result and gradients (`act_norm.cpp`)."""
import torch
from torch import Tensor

from mmconvmixer.ops.fused.cpu_kernels.call import call
from mmconvmixer.ops.fused.operator import check_residual, vector

PARTS = 128  # of the rows, for sums; as many threads can work


def act_affine(x_RC: Tensor, scale_C: Tensor, shift_C: Tensor, act: str,
               added_RC: Tensor | None = None, mean_C: Tensor | None = None, *,
               activated_RC: Tensor | None = None, out_RC: Tensor | None = None) -> Tensor:
    """Return added + scale * (act(x) - mean) + shift.

    Args:
        activated_RC: where act(x) is written, if anywhere.
        out_RC: where the result is written, which may be x; a new tensor if it is None.
    """
    rows, channels = x_RC.shape
    check_residual(x_RC, added_RC)
    out = torch.empty_like(x_RC) if out_RC is None else out_RC
    call('act_affine', x_RC, mean_C, vector(scale_C, channels), vector(shift_C, channels),
         added_RC, activated_RC, out, rows, channels, act)
    return out


def moments(x_RC: Tensor, act: str, *,
            activated_RC: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return act(x)'s mean (C,), the sum of squared distances to it (C,) and the count ().

    Args:
        activated_RC: where act(x) is written, if anywhere.
    """
    rows, channels = x_RC.shape
    mean, squared_distances = x_RC.new_empty(channels), x_RC.new_empty(channels)
    call('moments', x_RC, activated_RC, mean, squared_distances, *_sizes(x_RC), act)
    return mean, squared_distances, x_RC.new_full((), rows)


def gradient_sums(x_RC: Tensor, grad_RC: Tensor, mean_C: Tensor, rstd_C: Tensor,
                  act: str) -> tuple[Tensor, Tensor]:
    """Return the sums over rows of grad and of grad * normalized(act(x)), (C,)."""
    grads, products = torch.empty_like(mean_C), torch.empty_like(mean_C)
    call('gradient_sums', x_RC, grad_RC, mean_C, rstd_C, grads, products, *_sizes(x_RC), act)
    return grads, products


def input_gradient(x_RC: Tensor, grad_RC: Tensor, mean_C: Tensor, rstd_C: Tensor,
                   weight_C: Tensor, grad_mean_C: Tensor, product_mean_C: Tensor,
                   act: str) -> tuple[Tensor, Tensor]:
    """Return grad_input of weight * normalized(act(x)) + bias, and its sums over rows."""
    grad_input, sums = torch.empty_like(x_RC), torch.empty_like(mean_C)
    call('input_gradient', x_RC, grad_RC, mean_C, rstd_C, vector(weight_C, x_RC.shape[1]),
         grad_mean_C, product_mean_C, grad_input, sums, *_sizes(x_RC), act)
    return grad_input, sums


def _sizes(x_RC: Tensor) -> tuple[int, int, int]:
    """Return the number of rows, that of the rows in a part, and the number of channels."""
    rows, channels = x_RC.shape
    return rows, max(64, -(-rows // PARTS)), channels
