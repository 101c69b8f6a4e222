from .act_norm import act_, act_norm, act_norm_, affine_of
from .pointwise import PointwiseConv2d

__all__ = ['PointwiseConv2d', 'act_', 'act_norm', 'act_norm_', 'affine_of']
