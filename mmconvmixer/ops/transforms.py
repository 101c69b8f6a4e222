"""Recognize tensors that stand for others: in torch.func, forward-mode AD and torch.fx.

Under `vmap` a tensor has a dimension that it does not show, under `grad` it has no memory of
its own, and under `jvp` it has a tangent; some operations can't handle these. A `Proxy` of
symbolic tracing has no values.
"""
import torch
from torch import Tensor, fx
from torch.autograd import forward_ad


def is_transformed(x: Tensor | fx.Proxy) -> bool:
    """Whether only plain PyTorch, without a choice that depends on x, can compute with x."""
    return (isinstance(x, fx.Proxy) or torch._C._are_functorch_transforms_active()
            or forward_ad._current_level >= 0)
