"""Activation, then scale and shift (+ residual); reference: `ops.reference.act_affine`."""
from torch import Tensor

from mmconvmixer.ops.fused.operator import empty_like, from_rows, operator, rows
from mmconvmixer.ops.kernels import kernels_for


@operator('act_affine(Tensor x, Tensor scale, Tensor shift, str act, Tensor? residual) -> Tensor')
def _act_affine(x: Tensor, scale: Tensor, shift: Tensor, act: str,
                residual: Tensor | None) -> Tensor:
    added = None if residual is None else rows(residual)
    return from_rows(kernels_for(x).act_affine(rows(x), scale, shift, act, added), like=x)


@_act_affine.register_fake
def _(x: Tensor, scale: Tensor, shift: Tensor, act: str, residual: Tensor | None) -> Tensor:
    return empty_like(x)


def act_affine(x: Tensor, scale: Tensor, shift: Tensor, act: str,
               residual: Tensor | None = None) -> Tensor:
    """See `ops.reference.act_affine`; it has no gradient."""
    return _act_affine(x, scale, shift, act, residual)
