"""A block's second half in inference."""
from torch import Tensor
from torch.nn import functional as F

from mmconvmixer.ops.fused.cpu_kernels.act_norm import act_affine


def pointwise_act_affine(x_RK: Tensor, weight_CK: Tensor, bias_C: Tensor, scale_C: Tensor,
                         shift_C: Tensor, act: str) -> Tensor:
    """Return scale * act(x @ weight.T + bias) + shift."""
    if weight_CK.shape[1:] != x_RK.shape[1:]:
        raise ValueError(f'{x_RK.shape[1]} channels need a weight (C_out, {x_RK.shape[1]}, 1, 1), '
                         f'got one for {weight_CK.shape[1]}')
    return act_affine(F.linear(x_RK, weight_CK, bias_C), scale_C, shift_C, act)
