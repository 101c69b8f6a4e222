"""A ConvMixer block in training; reference: `ops.reference.block`.

    u = depthwise(x)    y = x + norm(act(u))    z = pointwise(y)    out = norm(act(z))

Of these large tensors only u and z are kept for the backward pass. The backward pass
recomputes y from u and, if `origin` is given, x from the z of the previous block.
"""
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmconvmixer.ops.fused.act_norm import (
    act_norm_gradients,
    act_normalized,
    batch_statistics,
    empty_statistics,
    group_name,
    only_the_first_output_has_a_gradient,
)
from mmconvmixer.ops.fused.operator import (
    empty_like,
    from_rows,
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


@operator(f'block(Tensor x, {_TENSORS_SCHEMA}, {_SCALARS_SCHEMA}) -> '
          + _tensors(1 + len(_Kept._fields)))
def _block(x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    weights, _, options = _named(arguments[:-_SCALARS], arguments[-_SCALARS:])
    act, group = options.act, options.group
    x_BHWC = to_bhwc(x)
    u_BHWC = kernels_for(x).depthwise(x_BHWC, weights.depthwise_weight.flatten(0, 1),
                                      bias_C=weights.depthwise_bias)
    u_RC = u_BHWC.flatten(0, 2)
    space_mean, space_var, count = batch_statistics(u_RC, act, group)
    y_RC = act_normalized(u_RC, space_mean, space_var, weights.space_weight,
                          weights.space_bias, options.space_eps, act, x_BHWC.flatten(0, 2))
    with torch.autocast(x.device.type, enabled=False):
        z_RC = F.linear(y_RC, weights.pointwise_weight.flatten(1).to(y_RC.dtype),
                        weights.pointwise_bias.to(y_RC.dtype))
    del y_RC  # its memory is reused for the result
    channel_mean, channel_var, _ = batch_statistics(z_RC, act, group)
    out_RC = act_normalized(z_RC, channel_mean, channel_var, weights.channel_weight,
                            weights.channel_bias, options.channel_eps, act)
    return from_rows(out_RC, like=x), *_Kept(
        space_mean, space_var, channel_mean, channel_var, count, u=to_bchw(u_BHWC),
        z=from_rows(z_RC, like=x))


@operator(f'block_gradient(Tensor grad, Tensor? x, {_TENSORS_SCHEMA}, {_KEPT_SCHEMA}, '
          f'{_SCALARS_SCHEMA}) -> ' + _tensors(1 + _WEIGHTS))
def _block_gradient(grad: Tensor, x: Tensor | None, *arguments: Any) -> tuple[Tensor, ...]:
    tensors, kept = (arguments[:_WEIGHTS + _ORIGIN],
                     _Kept(*arguments[_WEIGHTS + _ORIGIN:-_SCALARS]))
    weights, origin, options = _named(tensors, arguments[-_SCALARS:])
    act, group = options.act, options.group
    u_RC = rows(kept.u)
    grad_z, grad_channel_weight, grad_channel_bias, grad_pointwise_bias = act_norm_gradients(
        rows(grad), rows(kept.z), weights.channel_weight, kept.channel_mean, kept.channel_var,
        kept.count, options.channel_eps, act, group)
    # Recomputing x and y costs less than keeping them for every block.
    x_RC = rows(x) if origin is None else act_normalized(rows(origin.x), *origin[1:])
    y_RC = act_normalized(u_RC, kept.space_mean, kept.space_var, weights.space_weight,
                          weights.space_bias, options.space_eps, act, x_RC)
    pointwise_weight = weights.pointwise_weight
    grad_pointwise_weight = (grad_z.t() @ y_RC).to(pointwise_weight.dtype)
    del y_RC  # each large tensor is freed as soon as possible: these are the most at once
    grad_y = grad_z @ pointwise_weight.flatten(1).to(grad_z.dtype)
    del grad_z
    grad_u, grad_space_weight, grad_space_bias, grad_depthwise_bias = act_norm_gradients(
        grad_y, u_RC, weights.space_weight, kept.space_mean, kept.space_var, kept.count,
        options.space_eps, act, group)

    batch, channels, height, width = grad.shape
    grad_u, grad_y, x_BHWC = (each.view(batch, height, width, channels)
                              for each in (grad_u, grad_y, x_RC))
    kernel_CKK = weights.depthwise_weight.flatten(0, 1)
    kernels = kernels_for(grad)
    grad_input = kernels.depthwise(grad_u, kernel_CKK, added_BHWC=grad_y, transposed=True)
    grad_kernel_CKK, _ = kernels.depthwise_weight_gradient(x_BHWC, grad_u, kernel_CKK.shape[-1])
    return to_bchw(grad_input), *BlockWeights(
        depthwise_weight=grad_kernel_CKK[:, None].to(kernel_CKK.dtype).contiguous(),
        depthwise_bias=grad_depthwise_bias.to(weights.depthwise_bias.dtype),
        space_weight=grad_space_weight,
        space_bias=grad_space_bias,
        pointwise_weight=grad_pointwise_weight.view_as(pointwise_weight),
        pointwise_bias=grad_pointwise_bias.to(weights.pointwise_bias.dtype),
        channel_weight=grad_channel_weight,
        channel_bias=grad_channel_bias)


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
