"""A ConvMixer block in training; reference: `ops.reference.block`.

    u = depthwise(x)    y = x + norm(act(u))    z = pointwise(y)    out = norm(act(z))

Of these large tensors only u and z are kept for the backward pass. The backward pass
recomputes y from u and, if `origin` is given, x from the z of the previous block.
"""
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmconvmixer.ops.fused.act_norm import (
    act_normalized,
    batch_statistics,
    empty_statistics,
    gradient_means,
    group_name,
    only_the_first_output_has_a_gradient,
)
from mmconvmixer.ops.fused.operator import (
    empty_like,
    operator,
    rows,
    to_bchw,
    to_bhwc,
)
from mmconvmixer.ops.kernels import kernels_for
from mmconvmixer.ops.reference import BlockOptions, BlockResult, BlockWeights, Origin


class _Kept(NamedTuple):
    """What the forward pass computes for the backward pass."""
    space_mean: Tensor
    space_var: Tensor
    channel_mean: Tensor
    channel_var: Tensor
    count: Tensor
    u: Tensor
    z: Tensor


# An operator takes a flat list of arguments. The order is defined only here: weights,
# origin tensors, then scalars.
_WEIGHTS, _ORIGIN, _SCALARS = len(BlockWeights._fields), 5, 5
_TENSORS_SCHEMA = (', '.join(f'Tensor {name}' for name in BlockWeights._fields)
                   + ', Tensor? origin, Tensor? origin_mean, Tensor? origin_var, '
                     'Tensor? origin_weight, Tensor? origin_bias')
_KEPT_SCHEMA = ', '.join(f'Tensor {name}' for name in _Kept._fields)
_SCALARS_SCHEMA = 'float origin_eps, float space_eps, float channel_eps, str act, str group'


def _flat(weights: BlockWeights, origin: Origin | None, options: BlockOptions) -> tuple:
    *tensors, origin_eps, _ = origin or (*(None,) * _ORIGIN, 0., options.act)
    return (*weights, *tensors, origin_eps, options.space_eps, options.channel_eps, options.act,
            group_name(options.group))


def _named(tensors: Sequence[Tensor | None], scalars: Sequence[float | str],
           ) -> tuple[BlockWeights, Origin | None, BlockOptions]:
    origin_eps, *rest = scalars
    options = BlockOptions(*rest)  # `group` is a process group's name here
    weights, origin = BlockWeights(*tensors[:_WEIGHTS]), tensors[_WEIGHTS:]
    return (weights, None if origin[0] is None else Origin(*origin, origin_eps, options.act),
            options)


def _tensors(count: int) -> str:
    return f'({", ".join(["Tensor"] * count)})'


def _moments(kernels: ModuleType, x_RC: Tensor, activated_RC: Tensor, act: str) -> tuple:
    """Return the moments of act(x); leave act(x) in `activated_RC` if the kernels write it."""
    if kernels.WRITES_ACTIVATED:
        return kernels.moments(x_RC, act, activated_RC=activated_RC)
    return kernels.moments(x_RC, act)


def _normalize(kernels: ModuleType, x_RC: Tensor, out_RC: Tensor, mean: Tensor, variance: Tensor,
               weight: Tensor, bias: Tensor, eps: float, act: str,
               added_RC: Tensor | None = None) -> None:
    """Write the result of `act_normalized` to `out_RC`, which holds what `_moments` left."""
    if kernels.WRITES_ACTIVATED:
        x_RC, act = out_RC, 'identity'
    act_normalized(x_RC, mean, variance, weight, bias, eps, act, added_RC, out_RC=out_RC)


@operator(f'block(Tensor x, {_TENSORS_SCHEMA}, {_SCALARS_SCHEMA}) -> '
          + _tensors(1 + len(_Kept._fields)))
def _block(x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    weights, _, options = _named(arguments[:-_SCALARS], arguments[-_SCALARS:])
    act, group, kernels = options.act, options.group, kernels_for(x)
    x_BHWC = to_bhwc(x)
    # `out` first holds act(u), then y, then act(z), then the result.
    u_BHWC, z_BHWC, out_BHWC = (torch.empty_like(x_BHWC) for _ in range(3))
    x_RC, u_RC, z_RC, out_RC = (
        each.flatten(0, 2) for each in (x_BHWC, u_BHWC, z_BHWC, out_BHWC))
    kernels.depthwise(x_BHWC, weights.depthwise_weight.flatten(0, 1),
                      bias_C=weights.depthwise_bias, out_BHWC=u_BHWC)
    space_mean, space_var, count = batch_statistics(_moments(kernels, u_RC, out_RC, act), group)
    _normalize(kernels, u_RC, out_RC, space_mean, space_var, weights.space_weight,
               weights.space_bias, options.space_eps, act, x_RC)
    with torch.autocast(x.device.type, enabled=False):
        torch.addmm(weights.pointwise_bias.to(x.dtype), out_RC,
                    weights.pointwise_weight.flatten(1).to(x.dtype).t(), out=z_RC)
    channel_mean, channel_var, _ = batch_statistics(_moments(kernels, z_RC, out_RC, act), group)
    _normalize(kernels, z_RC, out_RC, channel_mean, channel_var, weights.channel_weight,
               weights.channel_bias, options.channel_eps, act)
    return to_bchw(out_BHWC), *_Kept(space_mean, space_var, channel_mean, channel_var, count,
                                     u=to_bchw(u_BHWC), z=to_bchw(z_BHWC))


@operator(f'block_gradient(Tensor grad, Tensor? x, {_TENSORS_SCHEMA}, {_KEPT_SCHEMA}, '
          f'{_SCALARS_SCHEMA}) -> ' + _tensors(1 + _WEIGHTS))
def _block_gradient(grad: Tensor, x: Tensor | None, *arguments: Any) -> tuple[Tensor, ...]:
    tensors, kept = (arguments[:_WEIGHTS + _ORIGIN],
                     _Kept(*arguments[_WEIGHTS + _ORIGIN:-_SCALARS]))
    weights, origin, options = _named(tensors, arguments[-_SCALARS:])
    act, group, kernels = options.act, options.group, kernels_for(grad)
    grad_BHWC, u_BHWC, z_BHWC = map(to_bhwc, (grad, kept.u, kept.z))
    grad_RC, u_RC, z_RC = (each.flatten(0, 2) for each in (grad_BHWC, u_BHWC, z_BHWC))
    rstd = torch.rsqrt(kept.channel_var + options.channel_eps)
    sums = kernels.gradient_sums(z_RC, grad_RC, kept.channel_mean, rstd, act)
    channel = gradient_means(sums, kept.count, group)
    grad_z_RC, grad_pointwise_bias = kernels.input_gradient(
        z_RC, grad_RC, kept.channel_mean, rstd, weights.channel_weight, *channel.means, act)

    # Recomputing x and y costs less than keeping them for every block. x lies where the gradient
    # by x is written afterwards.
    grad_input_BHWC = torch.empty_like(grad_BHWC)
    x_BHWC = grad_input_BHWC if x is None else to_bhwc(x)
    x_RC = x_BHWC.flatten(0, 2)
    if origin is not None:
        act_normalized(rows(origin.x), *origin[1:], out_RC=x_RC)
    a_RC, act_of_a, outputs = u_RC, act, {}
    if kernels.WRITES_ACTIVATED:
        a_RC, act_of_a = torch.empty_like(u_RC), 'identity'
        outputs = dict(activated_RC=a_RC)
    y_RC = act_normalized(u_RC, kept.space_mean, kept.space_var, weights.space_weight,
                          weights.space_bias, options.space_eps, act, x_RC, **outputs)
    pointwise_weight = weights.pointwise_weight
    grad_pointwise_weight = (grad_z_RC.t() @ y_RC).to(pointwise_weight.dtype)
    del y_RC  # each large tensor is freed as soon as possible: these are the most at once
    grad_y_RC = grad_z_RC @ pointwise_weight.flatten(1).to(grad.dtype)
    del grad_z_RC
    rstd = torch.rsqrt(kept.space_var + options.space_eps)
    sums = kernels.gradient_sums(a_RC, grad_y_RC, kept.space_mean, rstd, act_of_a)
    del a_RC, outputs
    space = gradient_means(sums, kept.count, group)
    grad_u_RC, grad_depthwise_bias = kernels.input_gradient(
        u_RC, grad_y_RC, kept.space_mean, rstd, weights.space_weight, *space.means, act)

    kernel_CKK = weights.depthwise_weight.flatten(0, 1)
    grad_u, grad_y = (each.view_as(grad_BHWC) for each in (grad_u_RC, grad_y_RC))
    grad_kernel_CKK, _ = kernels.depthwise_weight_gradient(
        x_BHWC, grad_u, kernel_CKK.shape[-1], bias=False)
    kernels.depthwise(grad_u, kernel_CKK, added_BHWC=grad_y, transposed=True,
                      out_BHWC=grad_input_BHWC)
    return to_bchw(grad_input_BHWC), *BlockWeights(
        depthwise_weight=grad_kernel_CKK[:, None].to(kernel_CKK.dtype).contiguous(),
        depthwise_bias=grad_depthwise_bias.to(weights.depthwise_bias.dtype),
        space_weight=space.grad_weight.to(weights.space_weight.dtype),
        space_bias=space.grad_bias.to(weights.space_bias.dtype),
        pointwise_weight=grad_pointwise_weight.view_as(pointwise_weight),
        pointwise_bias=grad_pointwise_bias.to(weights.pointwise_bias.dtype),
        channel_weight=channel.grad_weight.to(weights.channel_weight.dtype),
        channel_bias=channel.grad_bias.to(weights.channel_bias.dtype))


@_block.register_fake
def _(x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    return (empty_like(x), *empty_statistics(x, norms=2), empty_like(x), empty_like(x))


@_block_gradient.register_fake
def _(grad: Tensor, x: Tensor | None, *arguments: Any) -> tuple[Tensor, ...]:
    return empty_like(grad), *(torch.empty_like(weight) for weight in arguments[:_WEIGHTS])


def _setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
    x, *tensors = inputs[:-_SCALARS]
    ctx.scalars = inputs[-_SCALARS:]
    has_origin = tensors[_WEIGHTS] is not None
    ctx.save_for_backward(None if has_origin else x, *tensors, *output[1:])
    only_the_first_output_has_a_gradient(ctx, output)


def _backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    no_gradients = (None,) * (_ORIGIN + _SCALARS)
    if grad is None:
        return (None,) * (1 + _WEIGHTS) + no_gradients
    return *_block_gradient(grad, *ctx.saved_tensors, *ctx.scalars), *no_gradients


_block.register_autograd(_backward, setup_context=_setup_context)


def block(x: Tensor, weights: BlockWeights, options: BlockOptions,
          origin: Origin | None = None) -> BlockResult:
    """See `ops.reference.block`.

    For the backward pass it keeps the two convolutions' results, and x unless an
    `origin` with the same activation and dtype is given.
    """
    if origin is not None and (origin.act != options.act or origin.x.dtype is not x.dtype):
        origin = None
    out, *statistics, _, z = _block(x, *_flat(weights, origin, options))
    return BlockResult(out, *statistics, z)
