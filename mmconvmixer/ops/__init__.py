"""What the models compute with: plain PyTorch, and in `fused` the same through kernels."""
from mmconvmixer.ops.in_place import act_, act_norm_, affine_of, may_overwrite
from mmconvmixer.ops.memory_format import channels_last, gradient_channels_last
from mmconvmixer.ops.pointwise import PointwiseConv2d
from mmconvmixer.ops.transforms import is_transformed

__all__ = ['PointwiseConv2d', 'act_', 'act_norm_', 'affine_of', 'channels_last',
           'gradient_channels_last', 'is_transformed', 'may_overwrite']
