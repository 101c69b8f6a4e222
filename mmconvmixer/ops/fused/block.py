"""A ConvMixer block in training; reference: `ops.reference.block`.

    u = depthwise(x)    y = x + norm(act(u))    z = pointwise(y)    out = norm(act(z))

Of these large tensors only u and z are kept for the backward pass. The backward pass
recomputes y from u and, if `origin` is given, x from the z of the previous block.

A CPU computes some images at a time (`pieces`): what one step writes is then still in the cache
when the next step reads it, and takes little memory. Only sums over the whole batch come in
between.
"""
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmconvmixer.ops.fused.act_norm import (
    batch_statistics,
    empty_statistics,
    gradient_means,
    group_name,
    only_the_first_output_has_a_gradient,
)
from mmconvmixer.ops.fused.operator import (
    empty_like,
    operator,
    sum_of,
    to_bchw,
    to_bhwc,
)
from mmconvmixer.ops.fused.pieces import pieces
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


def _rows(images: slice, *tensors: Tensor) -> list[Tensor]:
    """Return some images of each tensor (B, H, W, C) as (R, C)."""
    return [tensor[images].flatten(0, 2) for tensor in tensors]


def _scale(weight: Tensor, variance: Tensor, eps: float) -> Tensor:
    return weight.float() * torch.rsqrt(variance + eps)


def _moments(kernels: ModuleType, x_RC: Tensor, activated_RC: Tensor, act: str) -> tuple:
    """Return the moments of act(x); leave act(x) in `activated_RC` if the kernels write it."""
    if kernels.WRITES_ACTIVATED:
        return kernels.moments(x_RC, act, activated_RC=activated_RC)
    return kernels.moments(x_RC, act)


def _affine(kernels: ModuleType, x_RC: Tensor, activated_RC: Tensor, scale: Tensor,
            shift: Tensor, act: str, *rest: Tensor | None, **options: Any) -> Tensor:
    """Call `act_affine` with what `_moments` left."""
    if kernels.WRITES_ACTIVATED:
        return kernels.act_affine(activated_RC, scale, shift, 'identity', *rest, **options)
    return kernels.act_affine(x_RC, scale, shift, act, *rest, **options)


def _compute_again(kernels: ModuleType, origin: Origin, images: slice, x_RC: Tensor) -> None:
    """Write a block's input for some images, which is the result of the block before."""
    z_RC, = _rows(images, to_bhwc(origin.x))
    kernels.act_affine(z_RC, _scale(origin.weight, origin.variance, origin.eps), origin.bias,
                       origin.act, mean_C=origin.mean, out_RC=x_RC)


@operator(f'block(Tensor x, {_TENSORS_SCHEMA}, {_SCALARS_SCHEMA}) -> '
          + _tensors(1 + len(_Kept._fields)))
def _block(x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    weights, _, options = _named(arguments[:-_SCALARS], arguments[-_SCALARS:])
    act, group, kernels = options.act, options.group, kernels_for(x)
    x_BHWC = to_bhwc(x)
    # `out` first holds act(u), then y, then act(z), then the result.
    u_BHWC, z_BHWC, out_BHWC = (torch.empty_like(x_BHWC) for _ in range(3))
    kernel_CKK = weights.depthwise_weight.flatten(0, 1)
    moments = []
    for images in pieces(x_BHWC):
        kernels.depthwise(x_BHWC[images], kernel_CKK, bias_C=weights.depthwise_bias,
                          out_BHWC=u_BHWC[images])
        u_RC, out_RC = _rows(images, u_BHWC, out_BHWC)
        moments.append(_moments(kernels, u_RC, out_RC, act))
    space_mean, space_var, count = batch_statistics(moments, group)

    scale = _scale(weights.space_weight, space_var, options.space_eps)
    matrix = weights.pointwise_weight.flatten(1).to(x.dtype).t()
    bias = weights.pointwise_bias.to(x.dtype)
    moments = []
    for images in pieces(x_BHWC):
        x_RC, u_RC, z_RC, out_RC = _rows(images, x_BHWC, u_BHWC, z_BHWC, out_BHWC)
        y_RC = _affine(kernels, u_RC, out_RC, scale, weights.space_bias, act, x_RC, space_mean,
                       out_RC=out_RC)
        with torch.autocast(x.device.type, enabled=False):
            torch.addmm(bias, y_RC, matrix, out=z_RC)
        moments.append(_moments(kernels, z_RC, out_RC, act))
    channel_mean, channel_var, _ = batch_statistics(moments, group)

    z_RC, out_RC = _rows(slice(None), z_BHWC, out_BHWC)
    _affine(kernels, z_RC, out_RC, _scale(weights.channel_weight, channel_var, options.channel_eps),
            weights.channel_bias, act, None, channel_mean, out_RC=out_RC)
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

    channel_rstd = torch.rsqrt(kept.channel_var + options.channel_eps)
    z_RC, grad_RC = _rows(slice(None), z_BHWC, grad_BHWC)
    sums = kernels.gradient_sums(z_RC, grad_RC, kept.channel_mean, channel_rstd, act)
    channel = gradient_means([sums], kept.count, group)

    # Recomputing x costs less than keeping it for every block. It lies where the gradient by x
    # is written afterwards.
    grad_input_BHWC = torch.empty_like(grad_BHWC)
    x_BHWC = grad_input_BHWC if x is None else to_bhwc(x)
    space_rstd = torch.rsqrt(kept.space_var + options.space_eps)
    space_scale = weights.space_weight.float() * space_rstd
    matrix = weights.pointwise_weight.flatten(1).to(grad.dtype)
    grad_matrix, grad_pointwise_bias, sums = None, [], []
    grad_y_BHWC = torch.empty_like(grad_BHWC)
    for images in pieces(grad_BHWC):
        x_RC, u_RC, z_RC, grad_RC, grad_y_RC = _rows(
            images, x_BHWC, u_BHWC, z_BHWC, grad_BHWC, grad_y_BHWC)
        grad_z_RC, total = kernels.input_gradient(
            z_RC, grad_RC, kept.channel_mean, channel_rstd, weights.channel_weight,
            *channel.means, act)
        grad_pointwise_bias.append(total)
        if origin is not None:
            _compute_again(kernels, origin, images, x_RC)
        if kernels.WRITES_ACTIVATED:
            a_RC, a_act = torch.empty_like(u_RC), 'identity'
            y_RC = kernels.act_affine(u_RC, space_scale, weights.space_bias, act, x_RC,
                                      kept.space_mean, activated_RC=a_RC)
        else:
            a_RC, a_act = u_RC, act
            y_RC = kernels.act_affine(u_RC, space_scale, weights.space_bias, act, x_RC,
                                      kept.space_mean)
        grad_matrix = (grad_z_RC.t() @ y_RC if grad_matrix is None
                       else grad_matrix.addmm_(grad_z_RC.t(), y_RC))
        del y_RC  # each large tensor is freed as soon as possible: these are the most at once
        torch.mm(grad_z_RC, matrix, out=grad_y_RC)
        del grad_z_RC
        sums.append(kernels.gradient_sums(a_RC, grad_y_RC, kept.space_mean, space_rstd, a_act))
        del a_RC
    space = gradient_means(sums, kept.count, group)

    kernel_CKK = weights.depthwise_weight.flatten(0, 1)
    grad_depthwise_bias, grad_kernel_CKK = [], []
    for images in pieces(grad_BHWC):
        u_RC, grad_y_RC = _rows(images, u_BHWC, grad_y_BHWC)
        grad_u_RC, total = kernels.input_gradient(
            u_RC, grad_y_RC, kept.space_mean, space_rstd, weights.space_weight, *space.means, act)
        grad_depthwise_bias.append(total)
        grad_y = grad_y_BHWC[images]
        grad_u = grad_u_RC.view_as(grad_y)
        grad_kernel_CKK.append(kernels.depthwise_weight_gradient(
            x_BHWC[images], grad_u, kernel_CKK.shape[-1], bias=False)[0])
        kernels.depthwise(grad_u, kernel_CKK, added_BHWC=grad_y, transposed=True,
                          out_BHWC=grad_input_BHWC[images])
    return to_bchw(grad_input_BHWC), *BlockWeights(
        depthwise_weight=sum_of(grad_kernel_CKK)[:, None].to(kernel_CKK.dtype).contiguous(),
        depthwise_bias=sum_of(grad_depthwise_bias).to(weights.depthwise_bias.dtype),
        space_weight=space.grad_weight.to(weights.space_weight.dtype),
        space_bias=space.grad_bias.to(weights.space_bias.dtype),
        pointwise_weight=grad_matrix.to(weights.pointwise_weight.dtype).view_as(
            weights.pointwise_weight),
        pointwise_bias=sum_of(grad_pointwise_bias).to(weights.pointwise_bias.dtype),
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
