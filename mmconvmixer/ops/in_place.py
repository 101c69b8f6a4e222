"""Activation and BatchNorm in the memory of their input, for inference.

A fresh tensor costs page faults, which take as long as the arithmetic. A tensor that a
convolution has just computed is used nowhere else and may be overwritten.

Shapes: x (B, C, H, W), in any memory format; the result has x's shape and format.
"""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmconvmixer.ops.transforms import is_transformed


def may_overwrite(x: Tensor) -> bool:
    """Whether nothing keeps intermediate results on x's device: no gradient, graph or transform.

    Autocast counts as well: results have another dtype than the weights then.
    """
    if is_transformed(x) or x.device.type == 'meta':  # which autocast does not know
        return False
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling()
                or torch.jit.is_tracing() or torch.is_autocast_enabled(x.device.type))


def act_norm_(x: Tensor, act: nn.Module, norm: nn.BatchNorm2d) -> Tensor:
    """Return norm(act(x)), computed in x's memory.

    Args:
        norm: in eval mode, with affine parameters and running statistics.

    Returns:
        x, overwritten (a new tensor if `act` is neither ReLU nor GELU).
    """
    x = act_(x, act)
    scale, shift = affine_of(norm)
    return torch.addcmul(shift[:, None, None], x, scale[:, None, None], out=x)


def act_(x: Tensor, act: nn.Module) -> Tensor:
    """Return act(x), computed in x's memory if torch can do that."""
    if type(act) is nn.ReLU:
        return F.relu_(x)
    if type(act) is nn.GELU:
        return torch.ops.aten.gelu_(x, approximate=act.approximate)
    return act(x)


def affine_of(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return scale (C,) and shift (C,): in eval mode, BatchNorm is scale * x + shift."""
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale
