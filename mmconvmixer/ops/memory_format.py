"""Keeping gradients in the memory format of what they are gradients of."""
import torch
from torch import Tensor


def gradient_channels_last(x_BCHW: Tensor) -> Tensor:
    """Return `x`, whose gradient will arrive channels-last.

    Average pooling hands back its gradient channel by channel, and BatchNorm's
    backward pass over two formats takes ten times as long as over one (75 ms
    against 7 for (512, 128, 8, 8) on two cores).
    """
    if x_BCHW.requires_grad and not torch.compiler.is_compiling():
        x_BCHW.register_hook(_channels_last)
    return x_BCHW


def _channels_last(gradient: Tensor | None) -> Tensor | None:
    return None if gradient is None else gradient.contiguous(memory_format=torch.channels_last)
