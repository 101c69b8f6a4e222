from .act_norm import act_, act_norm, act_norm_, affine_of
from .memory_format import gradient_channels_last
from .pointwise import PointwiseConv2d

__all__ = ['PointwiseConv2d', 'act_', 'act_norm', 'act_norm_', 'affine_of',
           'gradient_channels_last']
