"""The kernels as operators of torch.library: compile, export, AMP and DDP go through them.

Tensors (B, C, H, W) in any memory format go in, channels-last ones come out.
"""
from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor
from torch.distributed import ProcessGroup, all_gather_into_tensor, all_reduce
from torch.distributed.distributed_c10d import _resolve_process_group
from torch.nn import functional as F

from . import batch_norm as norms
from .activations import GELU, GELU_TANH, RELU
from .depthwise import depthwise
from .depthwise_weight import depthwise_weight
from .pointwise import pointwise

ACTS = {'relu': RELU, 'gelu': GELU, 'gelu_tanh': GELU_TANH}


def group_name(group: ProcessGroup | None) -> str:
    """Return the name by which an operator, which takes no group, finds it; '' for none."""
    return '' if group is None else group.group_name


def _on_its_device(implementation: Callable) -> Callable:
    """Launch kernels on the first tensor's GPU, which need not be the current one."""
    @wraps(implementation)
    def call(x, *rest):
        with torch.cuda.device_of(x):
            return implementation(x, *rest)
    return call


def _bhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous()


def _bchw(x_BHWC: Tensor) -> Tensor:
    # No view, which users could not change in place where gradients flow.
    view = x_BHWC.permute(0, 3, 1, 2)
    return x_BHWC.new_empty(0).set_(
        view.untyped_storage(), view.storage_offset(), view.shape, view.stride())


def _rows(x_BHWC: Tensor) -> Tensor:
    return x_BHWC.flatten(0, 2)


def _like(x: Tensor) -> Tensor:
    return _empty(*x.shape, x)


def _empty(batch: int, channels: int, height: int, width: int, like: Tensor) -> Tensor:
    return torch.empty((batch, channels, height, width), dtype=like.dtype, device=like.device,
                       memory_format=torch.channels_last)


# --- depthwise convolution

@torch.library.custom_op(
    'mmconvmixer::depthwise_conv', mutates_args=(),
    schema='(Tensor x, Tensor weight, Tensor? bias) -> Tensor')
@_on_its_device
def _depthwise_conv(x, weight, bias):
    return _bchw(depthwise(_bhwc(x), weight.flatten(0, 1), bias_C=bias))


@torch.library.custom_op(
    'mmconvmixer::depthwise_conv_input_gradient', mutates_args=(),
    schema='(Tensor grad, Tensor weight) -> Tensor')
@_on_its_device
def _depthwise_conv_input_gradient(grad, weight):
    return _bchw(depthwise(_bhwc(grad), weight.flatten(0, 1), transposed=True))


@torch.library.custom_op(
    'mmconvmixer::depthwise_conv_weight_gradient', mutates_args=(),
    schema='(Tensor x, Tensor grad, int kernel_size) -> (Tensor, Tensor)')
@_on_its_device
def _depthwise_conv_weight_gradient(x, grad, kernel_size):
    weight, bias = depthwise_weight(_bhwc(x), _bhwc(grad), kernel_size)
    return weight[:, None].contiguous(), bias


@_depthwise_conv.register_fake
def _(x, weight, bias):
    return _like(x)


@_depthwise_conv_input_gradient.register_fake
def _(grad, weight):
    return _like(grad)


@_depthwise_conv_weight_gradient.register_fake
def _(x, grad, kernel_size):
    channels = x.shape[1]
    return (x.new_empty((channels, 1, kernel_size, kernel_size), dtype=torch.float32),
            x.new_empty(channels, dtype=torch.float32))


def _keep_for_depthwise(ctx, inputs, output):
    x, weight, bias = inputs
    ctx.save_for_backward(x, weight)
    ctx.bias_dtype = None if bias is None else bias.dtype


def _depthwise_backward(ctx, grad):
    x, weight = ctx.saved_tensors
    by_x = by_weight = by_bias = None
    if ctx.needs_input_grad[0]:
        by_x = _depthwise_conv_input_gradient(grad, weight)
    if any(ctx.needs_input_grad[1:]):
        by_weight, by_bias = _depthwise_conv_weight_gradient(x, grad, weight.shape[-1])
        by_weight = by_weight.to(weight.dtype)
        by_bias = None if ctx.bias_dtype is None else by_bias.to(ctx.bias_dtype)
    return by_x, by_weight, by_bias


_depthwise_conv.register_autograd(_depthwise_backward, setup_context=_keep_for_depthwise)


# --- activation and BatchNorm

def _statistics(x_RC: Tensor, act: int, group: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, biased variance and count, over all processes of the group."""
    mean, squares, count = norms.moments(x_RC, act)
    if group:
        processes = _resolve_process_group(group)
        own = torch.cat([mean, squares, count[None]])
        everyones = own.new_empty(processes.size() * len(own))
        all_gather_into_tensor(everyones, own, group=processes)
        everyones, channels = everyones.view(-1, len(own)), len(mean)
        mean, squares, count = norms.join_moments(
            everyones[:, :channels], everyones[:, channels:-1], everyones[:, -1])
    return mean, squares / count, count


def _normalized(x_RC: Tensor, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor,
                eps: float, act: int, added_RC: Tensor | None = None) -> Tensor:
    """Return BatchNorm of act(x) with these statistics (+ added)."""
    scale = weight.float() * torch.rsqrt(variance + eps)
    return norms.act_affine(x_RC, scale, bias, act, added_RC, mean)


def _act_norm_gradients(grad_RC: Tensor, x_RC: Tensor, weight: Tensor, mean: Tensor,
                        variance: Tensor, count: Tensor, eps: float, act: int,
                        group: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients by x (R, C), weight and bias (C,), and that by x summed over R."""
    rstd = torch.rsqrt(variance + eps)
    by_bias, by_weight = norms.gradient_sums(x_RC, grad_RC, mean, rstd, act)
    means = torch.stack([by_bias, by_weight])
    if group:
        all_reduce(means, group=_resolve_process_group(group))
    means /= count
    by_x, sums = norms.input_gradient(x_RC, grad_RC, mean, rstd, weight, means[0], means[1], act)
    return by_x, by_weight.to(weight.dtype), by_bias.to(weight.dtype), sums


@torch.library.custom_op(
    'mmconvmixer::act_norm', mutates_args=(),
    schema='(Tensor x, Tensor? residual, Tensor weight, Tensor bias, float eps, str act, '
           'str group) -> (Tensor, Tensor, Tensor, Tensor)')
@_on_its_device
def _act_norm(x, residual, weight, bias, eps, act, group):
    x = _bhwc(x)
    mean, variance, count = _statistics(_rows(x), ACTS[act], group)
    added = None if residual is None else _rows(_bhwc(residual))
    y = _normalized(_rows(x), mean, variance, weight, bias, eps, ACTS[act], added)
    return _bchw(y.view(x.shape)), mean, variance, count


@torch.library.custom_op(
    'mmconvmixer::act_norm_gradient', mutates_args=(),
    schema='(Tensor grad, Tensor x, Tensor weight, Tensor mean, Tensor variance, Tensor count, '
           'float eps, str act, str group) -> (Tensor, Tensor, Tensor)')
@_on_its_device
def _act_norm_gradient(grad, x, weight, mean, variance, count, eps, act, group):
    x = _bhwc(x)
    by_x, by_weight, by_bias, _ = _act_norm_gradients(
        _rows(_bhwc(grad)), _rows(x), weight, mean, variance, count, eps, ACTS[act], group)
    return _bchw(by_x.view(x.shape)), by_weight, by_bias


def _empty_statistics(x: Tensor, norms: int = 1) -> tuple[Tensor, ...]:
    vectors = (x.new_empty(x.shape[1], dtype=torch.float32) for _ in range(2 * norms))
    return (*vectors, x.new_empty((), dtype=torch.float32))


@_act_norm.register_fake
def _(x, residual, weight, bias, eps, act, group):
    return _like(x), *_empty_statistics(x)


@_act_norm_gradient.register_fake
def _(grad, x, weight, mean, variance, count, eps, act, group):
    return _like(x), torch.empty_like(weight), torch.empty_like(weight)


def _keep_for_act_norm(ctx, inputs, output):
    x, residual, weight, _, *ctx.options = inputs
    ctx.has_residual = residual is not None
    ctx.save_for_backward(x, weight, *output[1:])
    _only_first_has_gradient(ctx, output)


def _only_first_has_gradient(ctx, output) -> None:
    # Else zeros of the others' sizes would be made for the backward pass.
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[1:])


def _act_norm_backward(ctx, grad, *_):
    if grad is None:
        return (None,) * 7
    by_x, by_weight, by_bias = _act_norm_gradient(grad, *ctx.saved_tensors, *ctx.options)
    return by_x, grad if ctx.has_residual else None, by_weight, by_bias, None, None, None


_act_norm.register_autograd(_act_norm_backward, setup_context=_keep_for_act_norm)


# --- a block in training: of its four large tensors, the convolutions' results are kept

_WEIGHTS = ('Tensor depthwise_weight, Tensor depthwise_bias, Tensor space_weight, '
            'Tensor space_bias, Tensor pointwise_weight, Tensor pointwise_bias, '
            'Tensor channel_weight, Tensor channel_bias, ')
_ORIGIN = ('Tensor? origin, Tensor? origin_mean, Tensor? origin_var, Tensor? origin_weight, '
           'Tensor? origin_bias, ')
_OPTIONS = 'float origin_eps, float space_eps, float channel_eps, str act, str group) -> '


@torch.library.custom_op(
    'mmconvmixer::block', mutates_args=(),
    schema='(Tensor x, ' + _WEIGHTS + _ORIGIN + _OPTIONS
           + '(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)')
@_on_its_device
def _block(x, depthwise_weight, depthwise_bias, space_weight, space_bias, pointwise_weight,
           pointwise_bias, channel_weight, channel_bias, origin, origin_mean, origin_var,
           origin_weight, origin_bias, origin_eps, space_eps, channel_eps, act, group):
    x = _bhwc(x)
    u = depthwise(x, depthwise_weight.flatten(0, 1), bias_C=depthwise_bias)
    space_mean, space_var, count = _statistics(_rows(u), ACTS[act], group)
    y = _normalized(_rows(u), space_mean, space_var, space_weight, space_bias, space_eps,
                    ACTS[act], _rows(x))
    with torch.autocast(x.device.type, enabled=False):
        z = F.linear(y, pointwise_weight.flatten(1).to(y.dtype), pointwise_bias.to(y.dtype))
    channel_mean, channel_var, _ = _statistics(z, ACTS[act], group)
    out = _normalized(z, channel_mean, channel_var, channel_weight, channel_bias, channel_eps,
                      ACTS[act])
    return (_bchw(out.view(x.shape)), space_mean, space_var, channel_mean, channel_var, count,
            _bchw(u), _bchw(z.view(x.shape)))


@torch.library.custom_op(
    'mmconvmixer::block_gradient', mutates_args=(),
    schema='(Tensor grad, Tensor? x, ' + _WEIGHTS + _ORIGIN
           + 'Tensor space_mean, Tensor space_var, Tensor channel_mean, Tensor channel_var, '
             'Tensor count, Tensor u, Tensor z, ' + _OPTIONS
           + '(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)')
@_on_its_device
def _block_gradient(
        grad, x, depthwise_weight_, depthwise_bias, space_weight, space_bias, pointwise_weight,
        pointwise_bias, channel_weight, channel_bias, origin, origin_mean, origin_var,
        origin_weight, origin_bias, space_mean, space_var, channel_mean, channel_var, count, u, z,
        origin_eps, space_eps, channel_eps, act, group):
    grad = _bhwc(grad)
    u, z = _rows(_bhwc(u)), _rows(_bhwc(z))
    by_z, by_channel_weight, by_channel_bias, by_pointwise_bias = _act_norm_gradients(
        _rows(grad), z, channel_weight, channel_mean, channel_var, count, channel_eps, ACTS[act],
        group)
    # Writing x and y again costs less than keeping them for every block would.
    x = _rows(_bhwc(x)) if origin is None else _normalized(
        _rows(_bhwc(origin)), origin_mean, origin_var, origin_weight, origin_bias, origin_eps,
        ACTS[act])
    y = _normalized(u, space_mean, space_var, space_weight, space_bias, space_eps, ACTS[act], x)
    by_pointwise = (by_z.t() @ y).to(pointwise_weight.dtype).view_as(pointwise_weight)
    by_y = by_z @ pointwise_weight.flatten(1).to(by_z.dtype)
    by_u, by_space_weight, by_space_bias, by_depthwise_bias = _act_norm_gradients(
        by_y, u, space_weight, space_mean, space_var, count, space_eps, ACTS[act], group)
    by_u, by_y = by_u.view(grad.shape), by_y.view(grad.shape)
    by_x = depthwise(by_u, depthwise_weight_.flatten(0, 1), added_BHWC=by_y, transposed=True)
    by_depthwise, _ = depthwise_weight(x.view(grad.shape), by_u, depthwise_weight_.shape[-1])
    return (_bchw(by_x), by_depthwise[:, None].to(depthwise_weight_.dtype).contiguous(),
            by_depthwise_bias.to(depthwise_bias.dtype), by_space_weight, by_space_bias,
            by_pointwise, by_pointwise_bias.to(pointwise_bias.dtype), by_channel_weight,
            by_channel_bias)


@_block.register_fake
def _(x, *rest):
    return _like(x), *_empty_statistics(x, norms=2), _like(x), _like(x)


@_block_gradient.register_fake
def _(grad, x, *rest):
    return _like(grad), *(torch.empty_like(weight) for weight in rest[:8])


def _keep_for_block(ctx, inputs, output):
    x, *tensors = inputs[:14]
    ctx.options = inputs[14:]
    origin = tensors[8]
    ctx.save_for_backward(x if origin is None else None, *tensors, *output[1:])
    _only_first_has_gradient(ctx, output)


def _block_backward(ctx, grad, *_):
    if grad is None:
        return (None,) * 19
    found = _block_gradient(grad, *ctx.saved_tensors, *ctx.options)
    return *found, *(None,) * 10


_block.register_autograd(_block_backward, setup_context=_keep_for_block)


# --- inference

_ACT_AFFINE = 'Tensor weight, Tensor bias, Tensor scale, Tensor shift, str act) -> Tensor'


@torch.library.custom_op('mmconvmixer::depthwise_act_affine', mutates_args=(),
                         schema='(Tensor x, ' + _ACT_AFFINE)
@_on_its_device
def _depthwise_act_affine(x, weight, bias, scale, shift, act):
    x = _bhwc(x)
    return _bchw(depthwise(x, weight.flatten(0, 1), bias_C=bias, act=ACTS[act], scale_C=scale,
                           shift_C=shift, added_BHWC=x))


@torch.library.custom_op('mmconvmixer::pointwise_act_affine', mutates_args=(),
                         schema='(Tensor x, ' + _ACT_AFFINE)
@_on_its_device
def _pointwise_act_affine(x, weight, bias, scale, shift, act):
    x = _bhwc(x)
    y = pointwise(_rows(x), weight.flatten(1), bias, scale, shift, ACTS[act])
    return _bchw(y.view(*x.shape[:3], len(weight)))


@torch.library.custom_op(
    'mmconvmixer::act_affine', mutates_args=(),
    schema='(Tensor x, Tensor scale, Tensor shift, str act, Tensor? residual) -> Tensor')
@_on_its_device
def _act_affine(x, scale, shift, act, residual):
    x = _bhwc(x)
    added = None if residual is None else _rows(_bhwc(residual))
    return _bchw(norms.act_affine(_rows(x), scale, shift, ACTS[act], added).view(x.shape))


@_depthwise_act_affine.register_fake
def _(x, weight, bias, scale, shift, act):
    return _like(x)


@_pointwise_act_affine.register_fake
def _(x, weight, bias, scale, shift, act):
    batch, _, height, width = x.shape
    return _empty(batch, len(weight), height, width, x)


@_act_affine.register_fake
def _(x, scale, shift, act, residual):
    return _like(x)
