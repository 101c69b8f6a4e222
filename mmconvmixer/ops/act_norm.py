"""norm(act(x)), the tail of every convolution in a ConvMixer.

Shapes: x (B, C, H, W), any memory format; the result has x's shape and format.
"""
import torch
from torch import Tensor, nn
from torch.nn import functional as F


def act_norm(x: Tensor, act: nn.Module, norm: nn.Module) -> Tensor:
    """The definition, for training and for every norm there is."""
    return norm(act(x))


def act_norm_(x: Tensor, act: nn.Module, norm: nn.BatchNorm2d) -> Tensor:
    """`act_norm` in x's own memory: no gradient, running statistics only.

    A fresh tensor costs page faults that take as long as the arithmetic; the
    tensor that a convolution just made is free to be overwritten.

    Args:
        norm: in eval mode, with affine parameters and running statistics.

    Returns:
        x, overwritten (a new tensor where `act` is neither ReLU nor GELU).
    """
    x = act_(x, act)
    scale, shift = affine_of(norm)
    return torch.addcmul(shift[:, None, None], x, scale[:, None, None], out=x)


def act_(x: Tensor, act: nn.Module) -> Tensor:
    """act(x), in x's own memory where torch can."""
    if type(act) is nn.ReLU:
        return F.relu_(x)
    if type(act) is nn.GELU:
        return torch.ops.aten.gelu_(x, approximate=act.approximate)
    return act(x)


def affine_of(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return scale (C,) and shift (C,): what BatchNorm is in eval mode."""
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale
