"""What every operator needs: its registration, the kernels' order of memory, and sums of parts.

The kernels are called through operators of torch.library, which torch.compile,
export, autocast and DDP understand. An operator takes tensors (B, C, H, W) in any
memory format and returns channels-last ones; its kernels see (B, H, W, C).
"""
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.library import CustomOpDef


def operator(schema: str) -> Callable[[Callable], CustomOpDef]:
    """Register a function as the operator `mmconvmixer::name`.

    Args:
        schema: in torch's words, 'name(Tensor x, ...) -> Tensor'.
    """
    name, arguments = schema.split('(', 1)

    def register(implementation: Callable) -> CustomOpDef:
        @wraps(implementation)
        def on_device(x: Tensor, *rest: Any) -> Any:
            # Triton launches on the current GPU, which may differ from the tensor's.
            with torch.cuda.device_of(x):
                return implementation(x, *rest)
        return torch.library.custom_op(f'mmconvmixer::{name}', on_device, mutates_args=(),
                                       schema=f'({arguments}')
    return register


def to_bhwc(x: Tensor) -> Tensor:
    """Return (B, C, H, W) as a contiguous (B, H, W, C), without a copy if it is channels-last."""
    return x.permute(0, 2, 3, 1).contiguous()


def to_bchw(x_BHWC: Tensor) -> Tensor:
    """Return (B, H, W, C) as a channels-last (B, C, H, W) in the same memory."""
    # autograd does not let users change a view in place if an operator returned it;
    # this tensor is not a view.
    view = x_BHWC.permute(0, 3, 1, 2)
    return x_BHWC.new_empty(0).set_(
        view.untyped_storage(), view.storage_offset(), view.shape, view.stride())


def rows(x: Tensor) -> Tensor:
    """Return (B, C, H, W) as (B * H * W, C), one row for each position of each image."""
    return to_bhwc(x).flatten(0, 2)


def from_rows(x_RC: Tensor, like: Tensor) -> Tensor:
    """Return (B * H * W, C) as a channels-last (B, C, H, W), B, H and W those of `like`."""
    batch, _, height, width = like.shape
    return to_bchw(x_RC.view(batch, height, width, x_RC.shape[1]))


def empty_like(x: Tensor, channels: int | None = None) -> Tensor:
    """Return what `to_bchw` would give an operator of x, for its fake implementation."""
    batch, own_channels, height, width = x.shape
    return torch.empty((batch, channels or own_channels, height, width), dtype=x.dtype,
                       device=x.device, memory_format=torch.channels_last)


def vector(values: Tensor, channels: int) -> Tensor:
    """Return one value per channel as the kernels read it: contiguous float32.

    Raises:
        ValueError: `values` is not of shape (channels,).
    """
    if values.shape != (channels,):
        raise ValueError(f'expected one value for each of {channels} channels, got a tensor of '
                         f'shape {tuple(values.shape)}')
    return values.float().contiguous()


def join_moments(mean_SC: Tensor, squared_deviations_SC: Tensor,
                 count_S: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Join the moments of S parts into those of the whole (Chan et al., 1979)."""
    count = count_S.sum()
    mean = (mean_SC * count_S[:, None]).sum(0) / count.clamp(min=1)
    away = mean_SC - mean
    return mean, (squared_deviations_SC + away.square() * count_S[:, None]).sum(0), count


def kernel_size_of(x_BHWC: Tensor, weight_CKK: Tensor, added_BHWC: Tensor | None) -> int:
    """Return the size K of a depthwise convolution's kernels.

    Raises:
        ValueError: the tensors' shapes do not fit.
    """
    channels, kernel_size = x_BHWC.shape[3], weight_CKK.shape[-1]
    if weight_CKK.shape != (channels, kernel_size, kernel_size) or (
            added_BHWC is not None and added_BHWC.shape != x_BHWC.shape):
        raise ValueError(f'{channels} channels need a weight ({channels}, 1, K, K), got '
                         f'{tuple(weight_CKK.shape)}, and a residual needs the shape of x')
    return kernel_size


def check_residual(x_RC: Tensor, added_RC: Tensor | None) -> None:
    """Raise ValueError if a residual has another shape than x."""
    if added_RC is not None and added_RC.shape != x_RC.shape:
        raise ValueError(f'the residual has {tuple(added_RC.shape)} positions and channels; '
                         f'expected those of x, {tuple(x_RC.shape)}')
