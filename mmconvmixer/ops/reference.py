"""What the fused kernels compute, in plain PyTorch.

Every function here has a twin in `ops.fused`, with the same name and signature, in the
file of that name. Shapes: x, residual and results are (B, C, H, W), weights are as the
modules keep them, and scale, shift, mean and variance are (C,). `act` is a name of `ACTS`.
"""
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn import functional as F

ACTS = {'relu': F.relu, 'gelu': F.gelu, 'gelu_tanh': partial(F.gelu, approximate='tanh')}


class BlockWeights(NamedTuple):
    """The weights of a ConvMixer block in training, or their gradients.

    `space_*` and `channel_*` are those of the BatchNorms after the depthwise and after
    the pointwise convolution, (C,). The kernels are (C, 1, K, K) and (C, C, 1, 1).
    """
    depthwise_weight: Tensor
    depthwise_bias: Tensor
    space_weight: Tensor
    space_bias: Tensor
    pointwise_weight: Tensor
    pointwise_bias: Tensor
    channel_weight: Tensor
    channel_bias: Tensor


class BlockOptions(NamedTuple):
    """A block's settings: its BatchNorms' eps, the activation, the process group for `act_norm`."""
    space_eps: float
    channel_eps: float
    act: str
    group: ProcessGroup | None = None


class Origin(NamedTuple):
    """The tensor whose `act_norm` is a block's input, its statistics and its settings."""
    x: Tensor
    mean: Tensor
    variance: Tensor
    weight: Tensor
    bias: Tensor
    eps: float
    act: str


class BlockResult(NamedTuple):
    """A block's output and the statistics of its two BatchNorms, as `act_norm` returns them.

    z is the pointwise convolution's result, without a gradient: the `x` of the next
    block's `Origin`.
    """
    out: Tensor
    space_mean: Tensor
    space_var: Tensor
    channel_mean: Tensor
    channel_var: Tensor
    count: Tensor
    z: Tensor


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve each channel with its own kernel, stride 1, 'same' padding.

    Args:
        weight: (C, 1, K, K).
        bias: (C,).
    """
    return F.conv2d(x, weight, bias, padding='same', groups=x.shape[1])


def depthwise_act_affine(x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor,
                         act: str) -> Tensor:
    """Return x + scale * act(depthwise_conv(x)) + shift: a block's first half in inference."""
    return act_affine(depthwise_conv(x, weight, bias), scale, shift, act, residual=x)


def pointwise_act_affine(x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor,
                         act: str) -> Tensor:
    """Return scale * act(1x1 convolution of x) + shift: a block's second half in inference.

    Args:
        weight: (C_out, C, 1, 1).
    """
    return act_affine(F.conv2d(x, weight, bias), scale, shift, act)


def act_affine(x: Tensor, scale: Tensor, shift: Tensor, act: str,
               residual: Tensor | None = None) -> Tensor:
    """Return scale * act(x) + shift (+ residual)."""
    y = torch.addcmul(shift[:, None, None].to(x.dtype), ACTS[act](x),
                      scale[:, None, None].to(x.dtype))
    return y if residual is None else residual + y


def act_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, act: str,
             residual: Tensor | None = None, group: ProcessGroup | None = None,
             ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Apply the activation, then BatchNorm with the statistics of this batch (+ residual).

    Args:
        weight: BatchNorm's, (C,).
        bias: BatchNorm's, (C,).
        group: the processes whose batches the statistics are taken over (SyncBN). Only
            `ops.fused` supports it.

    Returns:
        The result, the statistics (mean and biased variance, (C,) in float32) and the
        number of values per channel that they were taken over (float32, ()).
    """
    if group is not None:
        raise NotImplementedError('the reference for several processes is nn.SyncBatchNorm')
    a = ACTS[act](x)
    variance, mean = torch.var_mean(a.detach().float(), dim=(0, 2, 3), correction=0)
    y = F.batch_norm(a, None, None, weight, bias, training=True, eps=eps)
    count = torch.tensor(float(x[:, 0].numel()), device=x.device)
    return y if residual is None else residual + y, mean, variance, count


def block(x: Tensor, weights: BlockWeights, options: BlockOptions,
          origin: Origin | None = None) -> BlockResult:
    """Compute a ConvMixer block in training: x + mix space, then mix channels.

    Args:
        origin: where x comes from, so that `ops.fused` does not keep x for the
            backward pass; the reference ignores it.
    """
    u = depthwise_conv(x, weights.depthwise_weight, weights.depthwise_bias)
    y, space_mean, space_var, count = act_norm(
        u, weights.space_weight, weights.space_bias, options.space_eps, options.act, x,
        options.group)
    z = F.conv2d(y, weights.pointwise_weight, weights.pointwise_bias)
    out, channel_mean, channel_var, _ = act_norm(
        z, weights.channel_weight, weights.channel_bias, options.channel_eps, options.act,
        group=options.group)
    return BlockResult(out, space_mean, space_var, channel_mean, channel_var, count, z.detach())
