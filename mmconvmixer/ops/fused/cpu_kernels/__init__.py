"""The kernels for a CPU, in C++. Each module of kernels has functions of the same names.

They take float32 only. Results are the same to the last bit for any number of threads.

Suffixes: B batch, H height, W width, R rows (positions of all images), C channels, K kernel size.
"""
from mmconvmixer.ops.fused.cpu_kernels.act_norm import (
    act_affine,
    gradient_sums,
    input_gradient,
    moments,
)
from mmconvmixer.ops.fused.cpu_kernels.depthwise_conv import (
    depthwise,
    depthwise_act_affine,
    depthwise_weight_gradient,
)
from mmconvmixer.ops.fused.cpu_kernels.pointwise_act_affine import pointwise_act_affine

# Whether `moments` and `act_affine` also write act(x), for the kernels that follow.
WRITES_ACTIVATED = True

__all__ = ['act_affine', 'depthwise', 'depthwise_act_affine', 'depthwise_weight_gradient',
           'gradient_sums', 'input_gradient', 'moments', 'pointwise_act_affine']
