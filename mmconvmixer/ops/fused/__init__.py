"""Triton kernels: functions of the names and signatures of `ops.reference`.

They take float32, float16 and bfloat16 on a CUDA device, or on a CPU where
Triton interprets its kernels (TRITON_INTERPRET=1, for tests).
"""
from torch import Tensor
from torch.distributed import ProcessGroup

from mmconvmixer.ops.reference import Origin

from . import library


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """See `ops.reference.depthwise_conv`."""
    return library._depthwise_conv(x, weight, bias)


def depthwise_act_affine(x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor,
                         act: str) -> Tensor:
    """See `ops.reference.depthwise_act_affine`; no gradient."""
    return library._depthwise_act_affine(x, weight, bias, scale, shift, act)


def pointwise_act_affine(x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor,
                         act: str) -> Tensor:
    """See `ops.reference.pointwise_act_affine`; no gradient."""
    return library._pointwise_act_affine(x, weight, bias, scale, shift, act)


def act_affine(x: Tensor, scale: Tensor, shift: Tensor, act: str,
               residual: Tensor | None = None) -> Tensor:
    """See `ops.reference.act_affine`; no gradient."""
    return library._act_affine(x, scale, shift, act, residual)


def act_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, act: str,
             residual: Tensor | None = None, group: ProcessGroup | None = None,
             ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `ops.reference.act_norm`; with `group`, the statistics of all its processes."""
    return library._act_norm(x, residual, weight, bias, eps, act, library.group_name(group))


def block(x: Tensor, depthwise_weight: Tensor, depthwise_bias: Tensor, space_weight: Tensor,
          space_bias: Tensor, pointwise_weight: Tensor, pointwise_bias: Tensor,
          channel_weight: Tensor, channel_bias: Tensor, space_eps: float, channel_eps: float,
          act: str, group: ProcessGroup | None = None,
          origin: Origin | None = None) -> tuple[Tensor, ...]:
    """See `ops.reference.block`.

    For the backward pass it keeps the two convolutions' results, and x if no
    `origin` is given, or one with another activation.
    """
    if origin is None or origin.act != act or origin.x.dtype is not x.dtype:
        origin = (None,) * 5 + (0., act)
    *results, _, z = library._block(
        x, depthwise_weight, depthwise_bias, space_weight, space_bias, pointwise_weight,
        pointwise_bias, channel_weight, channel_bias, *origin[:6], space_eps, channel_eps, act,
        library.group_name(group))
    return *results, z
