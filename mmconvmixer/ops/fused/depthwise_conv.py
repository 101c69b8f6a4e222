"""Depthwise convolution: stride 1, 'same' padding; reference: `ops.reference.depthwise_conv`.

The gradient with respect to the input is the transposed convolution, by the same kernel.
"""
from typing import Any

import torch
from torch import Tensor

from mmconvmixer.ops.fused.operator import empty_like, operator, to_bchw, to_bhwc
from mmconvmixer.ops.kernels import kernels_for


@operator('depthwise_conv(Tensor x, Tensor weight, Tensor? bias) -> Tensor')
def _depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return to_bchw(kernels_for(x).depthwise(to_bhwc(x), weight.flatten(0, 1), bias_C=bias))


@operator('depthwise_conv_input_gradient(Tensor grad, Tensor weight) -> Tensor')
def _input_gradient(grad: Tensor, weight: Tensor) -> Tensor:
    return to_bchw(kernels_for(grad).depthwise(to_bhwc(grad), weight.flatten(0, 1),
                                               transposed=True))


@operator('depthwise_conv_weight_gradient(Tensor x, Tensor grad, int kernel_size) '
          '-> (Tensor, Tensor)')
def _weight_gradient(x: Tensor, grad: Tensor, kernel_size: int) -> tuple[Tensor, Tensor]:
    grad_weight, grad_bias = kernels_for(x).depthwise_weight_gradient(
        to_bhwc(x), to_bhwc(grad), kernel_size)
    return grad_weight[:, None].contiguous(), grad_bias


@_depthwise_conv.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return empty_like(x)


@_input_gradient.register_fake
def _(grad: Tensor, weight: Tensor) -> Tensor:
    return empty_like(grad)


@_weight_gradient.register_fake
def _(x: Tensor, grad: Tensor, kernel_size: int) -> tuple[Tensor, Tensor]:
    channels = x.shape[1]
    return (x.new_empty((channels, 1, kernel_size, kernel_size), dtype=torch.float32),
            x.new_empty(channels, dtype=torch.float32))


def _setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, bias = inputs
    ctx.save_for_backward(x, weight)
    ctx.bias_dtype = None if bias is None else bias.dtype


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    grad_input = grad_weight = grad_bias = None
    if ctx.needs_input_grad[0]:
        grad_input = _input_gradient(grad, weight)
    if any(ctx.needs_input_grad[1:]):
        grad_weight, grad_bias = _weight_gradient(x, grad, weight.shape[-1])
        grad_weight = grad_weight.to(weight.dtype)
        grad_bias = None if ctx.bias_dtype is None else grad_bias.to(ctx.bias_dtype)
    return grad_input, grad_weight, grad_bias


_depthwise_conv.register_autograd(_backward, setup_context=_setup_context)


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """See `ops.reference.depthwise_conv`."""
    return _depthwise_conv(x, weight, bias)
