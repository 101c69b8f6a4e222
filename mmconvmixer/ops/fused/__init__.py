"""Functions of the names and signatures of `ops.reference`, one operator and one file each.

They run through `triton_kernels` on a GPU and through `cpu_kernels` on a CPU.
"""
from mmconvmixer.ops.fused.act_affine import act_affine
from mmconvmixer.ops.fused.act_norm import act_norm
from mmconvmixer.ops.fused.block import block
from mmconvmixer.ops.fused.depthwise_act_affine import depthwise_act_affine
from mmconvmixer.ops.fused.depthwise_conv import depthwise_conv
from mmconvmixer.ops.fused.pointwise_act_affine import pointwise_act_affine

__all__ = ['act_affine', 'act_norm', 'block', 'depthwise_act_affine', 'depthwise_conv',
           'pointwise_act_affine']
