"""Activation, then BatchNorm with the batch's statistics; reference: `ops.reference.act_norm`.

Only the activation's input is kept for the backward pass.
"""
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributed import ProcessGroup, all_gather_into_tensor, all_reduce
from torch.distributed.distributed_c10d import _resolve_process_group

from mmconvmixer.ops.fused.operator import empty_like, from_rows, join_moments, operator, rows
from mmconvmixer.ops.kernels import kernels_for


def group_name(group: ProcessGroup | None) -> str:
    """Return the name of a process group, by which an operator finds it; '' for None."""
    return '' if group is None else group.group_name


def batch_statistics(moments: tuple[Tensor, Tensor, Tensor],
                     group: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean, biased variance (C,) and count () over the whole process group.

    Args:
        moments: what the kernel `moments` returned for this process's batch.
        group: the name of the process group, or ''.
    """
    mean, squared_deviations, count = moments
    if group:
        processes = _resolve_process_group(group)
        own = torch.cat([mean, squared_deviations, count[None]])
        gathered = own.new_empty(processes.size() * len(own))
        all_gather_into_tensor(gathered, own, group=processes)
        gathered, channels = gathered.view(-1, len(own)), len(mean)
        mean, squared_deviations, count = join_moments(
            gathered[:, :channels], gathered[:, channels:-1], gathered[:, -1])
    return mean, squared_deviations / count, count


def act_normalized(x_RC: Tensor, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor,
                   eps: float, act: str, added_RC: Tensor | None = None,
                   **outputs: Tensor) -> Tensor:
    """Return BatchNorm of act(x) with these statistics (+ added).

    Args:
        outputs: tensors that the kernel `act_affine` writes to, by its names.
    """
    scale = weight.float() * torch.rsqrt(variance + eps)
    return kernels_for(x_RC).act_affine(x_RC, scale, bias, act, added_RC, mean, **outputs)


class GradientMeans(NamedTuple):
    """Gradients of a norm's parameters (C,), and what the gradient of its input needs of them."""
    grad_weight: Tensor
    grad_bias: Tensor
    means: Tensor  # (2, C): of grad and of grad * normalized(act(x)), over the process group


def gradient_means(sums: tuple[Tensor, Tensor], count: Tensor, group: str) -> GradientMeans:
    """Return the sums of this process's batch, and the means over the process group.

    Args:
        sums: what the kernel `gradient_sums` returned for this process's batch.
        count: of all values of a channel, ().
        group: the name of the process group, or ''.
    """
    grad_bias, grad_weight = sums
    means = torch.stack([grad_bias, grad_weight])
    if group:
        all_reduce(means, group=_resolve_process_group(group))
    return GradientMeans(grad_weight, grad_bias, means / count)


@operator('act_norm(Tensor x, Tensor? residual, Tensor weight, Tensor bias, float eps, str act, '
          'str group) -> (Tensor, Tensor, Tensor, Tensor)')
def _act_norm(x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor, eps: float,
              act: str, group: str) -> tuple[Tensor, ...]:
    x_RC = rows(x)
    mean, variance, count = batch_statistics(kernels_for(x).moments(x_RC, act), group)
    added = None if residual is None else rows(residual)
    out = act_normalized(x_RC, mean, variance, weight, bias, eps, act, added)
    return from_rows(out, like=x), mean, variance, count


@operator('act_norm_gradient(Tensor grad, Tensor x, Tensor weight, Tensor mean, '
          'Tensor variance, Tensor count, float eps, str act, str group) '
          '-> (Tensor, Tensor, Tensor)')
def _act_norm_gradient(grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, variance: Tensor,
                       count: Tensor, eps: float, act: str, group: str) -> tuple[Tensor, ...]:
    x_RC, grad_RC, kernels = rows(x), rows(grad), kernels_for(x)
    rstd = torch.rsqrt(variance + eps)
    sums = gradient_means(kernels.gradient_sums(x_RC, grad_RC, mean, rstd, act), count, group)
    grad_input, _ = kernels.input_gradient(x_RC, grad_RC, mean, rstd, weight, *sums.means, act)
    return (from_rows(grad_input, like=x), sums.grad_weight.to(weight.dtype),
            sums.grad_bias.to(weight.dtype))


def empty_statistics(x: Tensor, norms: int = 1) -> tuple[Tensor, ...]:
    """Return mean and variance of each norm, then the count, for fake implementations."""
    vectors = (x.new_empty(x.shape[1], dtype=torch.float32) for _ in range(2 * norms))
    return (*vectors, x.new_empty((), dtype=torch.float32))


@_act_norm.register_fake
def _(x: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    return empty_like(x), *empty_statistics(x)


@_act_norm_gradient.register_fake
def _(grad: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    return empty_like(x), torch.empty_like(weight), torch.empty_like(weight)


def only_the_first_output_has_a_gradient(ctx: Any, output: tuple[Tensor, ...]) -> None:
    """Mark the statistics as constants, so that autograd allocates no zeros for them."""
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[1:])


def _setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
    x, residual, weight, _, *ctx.options = inputs
    ctx.has_residual = residual is not None
    ctx.save_for_backward(x, weight, *output[1:])
    only_the_first_output_has_a_gradient(ctx, output)


def _backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 7
    grad_input, grad_weight, grad_bias = _act_norm_gradient(
        grad, *ctx.saved_tensors, *ctx.options)
    grad_residual = grad if ctx.has_residual else None
    return grad_input, grad_residual, grad_weight, grad_bias, None, None, None


_act_norm.register_autograd(_backward, setup_context=_setup_context)


def act_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, act: str,
             residual: Tensor | None = None, group: ProcessGroup | None = None,
             ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `ops.reference.act_norm`; with `group`, over the batches of all its processes."""
    return _act_norm(x, residual, weight, bias, eps, act, group_name(group))
