from .act_norm import act_norm, act_norm_
from .pointwise import PointwiseConv2d

__all__ = ['PointwiseConv2d', 'act_norm', 'act_norm_']
