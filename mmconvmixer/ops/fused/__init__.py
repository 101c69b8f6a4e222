"""Triton kernels: functions of the names and signatures of `ops.reference`, one file each.

They take float32, float16 and bfloat16 on a CUDA device, or on a CPU where Triton
interprets its kernels (TRITON_INTERPRET=1, for tests).
"""
from mmconvmixer.ops.fused.act_affine import act_affine
from mmconvmixer.ops.fused.act_norm import act_norm
from mmconvmixer.ops.fused.block import block
from mmconvmixer.ops.fused.depthwise_act_affine import depthwise_act_affine
from mmconvmixer.ops.fused.depthwise_conv import depthwise_conv
from mmconvmixer.ops.fused.pointwise_act_affine import pointwise_act_affine

__all__ = ['act_affine', 'act_norm', 'block', 'depthwise_act_affine', 'depthwise_conv',
           'pointwise_act_affine']
