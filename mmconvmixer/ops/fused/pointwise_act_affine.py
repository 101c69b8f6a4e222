"""A block's second half in inference; reference: `ops.reference.pointwise_act_affine`."""
from torch import Tensor

from mmconvmixer.ops.fused.operator import empty_like, from_rows, operator, rows
from mmconvmixer.ops.kernels import kernels_for


@operator('pointwise_act_affine(Tensor x, Tensor weight, Tensor bias, Tensor scale, '
          'Tensor shift, str act) -> Tensor')
def _pointwise_act_affine(x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor,
                          act: str) -> Tensor:
    return from_rows(kernels_for(x).pointwise_act_affine(
        rows(x), weight.flatten(1), bias, scale, shift, act), like=x)


@_pointwise_act_affine.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor, act: str) -> Tensor:
    return empty_like(x, channels=len(weight))


def pointwise_act_affine(x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor,
                         act: str) -> Tensor:
    """See `ops.reference.pointwise_act_affine`; it has no gradient."""
    return _pointwise_act_affine(x, weight, bias, scale, shift, act)
