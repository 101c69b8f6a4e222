"""Depthwise convolution, and its gradient by the weight (`depthwise.cpp`)."""
import torch
from torch import Tensor
from torch.nn import functional as F

from mmconvmixer.ops.fused.cpu_kernels.act_norm import act_affine
from mmconvmixer.ops.fused.cpu_kernels.call import call
from mmconvmixer.ops.fused.operator import kernel_size_of, vector

GROUP = 64  # channels of a task, as in `depthwise.cpp`
PARTS = 32  # of the images, for sums


def depthwise(x_BHWC: Tensor, weight_CKK: Tensor, *, bias_C: Tensor | None = None,
              added_BHWC: Tensor | None = None, transposed: bool = False,
              out_BHWC: Tensor | None = None) -> Tensor:
    """Return added + conv(x) + bias.

    Args:
        transposed: apply the transposed convolution, which turns grad_output into
            grad_input.
        out_BHWC: where the result is written; a new tensor if it is None.
    """
    channels = x_BHWC.shape[3]
    kernel_size = kernel_size_of(x_BHWC, weight_CKK, added_BHWC)
    out = torch.empty_like(x_BHWC) if out_BHWC is None else out_BHWC
    if not out.numel():
        return out
    before = (kernel_size - 1) // 2
    if transposed:
        weight_CKK, before = weight_CKK.flip(1, 2), kernel_size - 1 - before
    padded = F.pad(weight_CKK.float(), (0, 0, 0, 0, 0, -channels % GROUP))
    weight = padded.unflatten(0, (-1, GROUP)).permute(0, 2, 3, 1).contiguous()
    call('depthwise', x_BHWC, weight, None if bias_C is None else vector(bias_C, channels),
         added_BHWC, out, *x_BHWC.shape, kernel_size, before)
    return out


def depthwise_act_affine(x_BHWC: Tensor, weight_CKK: Tensor, bias_C: Tensor, scale_C: Tensor,
                         shift_C: Tensor, act: str) -> Tensor:
    """Return x + scale * act(conv(x) + bias) + shift."""
    convolved_RC = depthwise(x_BHWC, weight_CKK, bias_C=bias_C).flatten(0, 2)
    return act_affine(convolved_RC, scale_C, shift_C, act,
                      added_RC=x_BHWC.flatten(0, 2)).view_as(x_BHWC)


def depthwise_weight_gradient(x_BHWC: Tensor, grad_BHWC: Tensor, kernel_size: int, *,
                              bias: bool = True) -> tuple[Tensor, Tensor | None]:
    """Return grad_weight (C, K, K) and, if `bias`, grad_bias (C,)."""
    batch, _, _, channels = x_BHWC.shape
    groups, images_each = -(-channels // GROUP), max(1, -(-batch // PARTS))
    part_sums = x_BHWC.new_empty((-(-batch // images_each), groups, kernel_size**2 + 1, GROUP))
    grad_weight = x_BHWC.new_empty((groups, kernel_size, kernel_size, GROUP))
    grad_bias = x_BHWC.new_empty((groups, GROUP)) if bias else None
    call('depthwise_weight_gradient', x_BHWC, grad_BHWC, part_sums, grad_weight, grad_bias,
         *x_BHWC.shape, kernel_size, images_each)
    return (grad_weight.permute(0, 3, 1, 2).flatten(0, 1)[:channels],
            grad_bias.flatten()[:channels].contiguous() if bias else None)
