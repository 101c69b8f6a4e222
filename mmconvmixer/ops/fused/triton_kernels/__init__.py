"""The kernels for a GPU, in Triton. Each module of kernels has functions of the same names.

They take float32, float16 and bfloat16 on a CUDA device, or on a CPU where Triton
interprets them (TRITON_INTERPRET=1, for tests).
"""
from mmconvmixer.ops.fused.triton_kernels.act_affine import act_affine
from mmconvmixer.ops.fused.triton_kernels.act_norm import gradient_sums, input_gradient, moments
from mmconvmixer.ops.fused.triton_kernels.depthwise_conv import depthwise, depthwise_act_affine
from mmconvmixer.ops.fused.triton_kernels.depthwise_conv_weight_gradient import (
    depthwise_weight_gradient,
)
from mmconvmixer.ops.fused.triton_kernels.pointwise_act_affine import pointwise_act_affine

# Whether `moments` and `act_affine` also write act(x), for the kernels that follow.
WRITES_ACTIVATED = False

__all__ = ['act_affine', 'depthwise', 'depthwise_act_affine', 'depthwise_weight_gradient',
           'gradient_sums', 'input_gradient', 'moments', 'pointwise_act_affine']
