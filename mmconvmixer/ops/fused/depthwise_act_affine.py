"""A block's first half in inference; reference: `ops.reference.depthwise_act_affine`."""
from torch import Tensor

from mmconvmixer.ops.fused.operator import empty_like, operator, to_bchw, to_bhwc
from mmconvmixer.ops.kernels import kernels_for


@operator('depthwise_act_affine(Tensor x, Tensor weight, Tensor bias, Tensor scale, '
          'Tensor shift, str act) -> Tensor')
def _depthwise_act_affine(x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor,
                          act: str) -> Tensor:
    return to_bchw(kernels_for(x).depthwise_act_affine(
        to_bhwc(x), weight.flatten(0, 1), bias, scale, shift, act))


@_depthwise_act_affine.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor, act: str) -> Tensor:
    return empty_like(x)


def depthwise_act_affine(x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor,
                         act: str) -> Tensor:
    """See `ops.reference.depthwise_act_affine`; it has no gradient."""
    return _depthwise_act_affine(x, weight, bias, scale, shift, act)
