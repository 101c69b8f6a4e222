"""What the fused kernels compute, in plain PyTorch.

Every function here has a twin of the same name and signature in `ops.fused`.
Shapes: x, residual and results (B, C, H, W); weights as the modules keep them;
scale, shift, mean and variance (C,). `act` is a name of `ACTS`.
"""
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn import functional as F

ACTS = {'relu': F.relu, 'gelu': F.gelu, 'gelu_tanh': partial(F.gelu, approximate='tanh')}


class Origin(NamedTuple):
    """Of what a block's input is the `act_norm`, and with which statistics and activation."""
    x: Tensor
    mean: Tensor
    variance: Tensor
    weight: Tensor
    bias: Tensor
    eps: float
    act: str


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
    """Activation, then BatchNorm with the statistics of this batch (+ residual).

    Args:
        weight, bias: BatchNorm's, (C,).
        group: processes over whose batches together the statistics are (SyncBN);
            not here, only in `ops.fused`.

    Returns:
        The result, the statistics (mean and biased variance, (C,) in float32)
        and how many values of a channel they are of (float32, ()).
    """
    if group is not None:
        raise NotImplementedError('the reference for several processes is nn.SyncBatchNorm')
    a = ACTS[act](x)
    variance, mean = torch.var_mean(a.detach().float(), dim=(0, 2, 3), correction=0)
    y = F.batch_norm(a, None, None, weight, bias, training=True, eps=eps)
    count = torch.tensor(float(x[:, 0].numel()), device=x.device)
    return y if residual is None else residual + y, mean, variance, count


def block(x: Tensor, depthwise_weight: Tensor, depthwise_bias: Tensor, space_weight: Tensor,
          space_bias: Tensor, pointwise_weight: Tensor, pointwise_bias: Tensor,
          channel_weight: Tensor, channel_bias: Tensor, space_eps: float, channel_eps: float,
          act: str, group: ProcessGroup | None = None,
          origin: Origin | None = None) -> tuple[Tensor, ...]:
    """A ConvMixer block in training: x + mix space, then mix channels.

    Args:
        space_weight, space_bias, channel_weight, channel_bias: of the two
            BatchNorms, (C,).
        group: as in `act_norm`.
        origin: where x comes from, so that `ops.fused` need not keep x for the
            backward pass; here it makes no difference.

    Returns:
        The result, then `act_norm`'s statistics: mean and variance of the first
        BatchNorm, those of the second, the count; last, the pointwise
        convolution's result, without gradient: the next block's `origin.x`.
    """
    u = depthwise_conv(x, depthwise_weight, depthwise_bias)
    y, space_mean, space_var, count = act_norm(
        u, space_weight, space_bias, space_eps, act, residual=x, group=group)
    z = F.conv2d(y, pointwise_weight, pointwise_bias)
    out, channel_mean, channel_var, _ = act_norm(
        z, channel_weight, channel_bias, channel_eps, act, group=group)
    return out, space_mean, space_var, channel_mean, channel_var, count, z.detach()
