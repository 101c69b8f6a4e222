"""ConvMixer for inference only, BatchNorm reduced to what is left of it.

A block is `u = x + norm1(act(depthwise(x)))`, then `norm2(act(pointwise(u)))`. In
eval mode a norm is `scale * y + shift`, and so, exactly,

    pointwise(x + scale * y + shift) = pointwise(x + scale * y), the bias grown by W shift

One multiply-add with the residual is left of norm1, and one of norm2. That one can't
go on into the next depthwise convolution: beyond the image's border the convolution
reads 0, where the folded form would have `shift`.
"""
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmconvmixer.models import ConvMixer
from mmconvmixer.models.convmixer import ConvMixerBlock, Stem
from mmconvmixer.ops import PointwiseConv2d, act_, affine_of


def fuse(model: nn.Module, compile: bool = False) -> nn.Module:
    """Return a copy of a model for inference only: the same answers, fewer passes over memory.

    Args:
        model: a classifier, or a ConvMixer by itself; it is left as it is. Other
            networks than ConvMixer are copied as they are.
        compile: let `torch.compile` make one program of the backbone, for the
            shapes that it meets.

    Returns:
        The copy, in eval mode, without gradients; `ConvMixer` in it is an
        `InferenceConvMixer`. Outputs differ by rounding only (1e-5 of the largest).
        Blocks with another norm than BatchNorm with running statistics stay whole.
    """
    model = deepcopy(model).eval().requires_grad_(False)
    if isinstance(model, ConvMixer):
        model = InferenceConvMixer(model)
    else:
        for parent in list(model.modules()):
            for name, child in parent.named_children():
                if isinstance(child, ConvMixer):
                    setattr(parent, name, InferenceConvMixer(child))
    if compile:
        getattr(model, 'backbone', model).compile()
    return model


class InferenceConvMixer(nn.Module):
    """What `fuse` makes of a `ConvMixer`: images (N, C, H, W) -> feature maps of `out_indices`."""

    def __init__(self, backbone: ConvMixer):
        super().__init__()
        self.embed_dims, self.out_indices = backbone.embed_dims, backbone.out_indices
        self.stem = InferenceStem(backbone.stem) if _folds(backbone.stem[2]) else backbone.stem
        self.stages = nn.Sequential(*(
            InferenceBlock(block) if _folds(block[0].fn[2]) and _folds(block[3]) else block
            for block in backbone.stages))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return tensors (N, embed_dims, H // patch, W // patch), channels-last in memory."""
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        outs = []
        for index, block in enumerate(self.stages):
            x = block(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)


class InferenceStem(nn.Module):
    """scale * act(patches(x)) + shift."""

    def __init__(self, stem: Stem):
        super().__init__()
        self.patches, self.act, norm = stem
        self.patches.to(memory_format=torch.channels_last)
        self.affine = Affine(norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.affine(_act(self.patches(x), self.act))


class InferenceBlock(nn.Module):
    """x + scale1 * act(depthwise(x)), then scale2 * act(pointwise(.)) + shift2."""

    def __init__(self, block: ConvMixerBlock):
        super().__init__()
        residual, pointwise, self.act, norm = block
        self.mix_space, _, space_norm = residual.fn
        self.mix_space.to(memory_format=torch.channels_last)
        # In float64: every rounding of a scale is a rounding of the whole map.
        scale, shift = _affine_of(space_norm)
        weight = pointwise.weight.double().flatten(1)
        self.mix_channels = PointwiseConv2d(pointwise.in_channels, pointwise.out_channels)
        self.mix_channels.weight = pointwise.weight
        self.mix_channels.bias = nn.Parameter(
            (pointwise.bias.double() + weight @ shift).to(pointwise.bias.dtype),
            requires_grad=False)
        self.register_buffer('scale', _per_channel(scale, space_norm))
        self.affine = Affine(norm)

    def forward(self, x: Tensor) -> Tensor:
        y = _act(self.mix_space(x), self.act)
        # In y's memory: a fresh tensor costs page faults.
        y = (torch.addcmul(x, y, self.scale, out=y) if _in_place(y)
             else torch.addcmul(x, y, self.scale))
        return self.affine(_act(self.mix_channels(y), self.act))


class Affine(nn.Module):
    """What BatchNorm is in eval mode: scale * x + shift, in x's own memory."""

    def __init__(self, norm: _BatchNorm):
        super().__init__()
        scale, shift = _affine_of(norm)
        self.register_buffer('scale', _per_channel(scale, norm))
        self.register_buffer('shift', _per_channel(shift, norm))

    def forward(self, x: Tensor) -> Tensor:
        if _in_place(x):
            return torch.addcmul(self.shift, x, self.scale, out=x)
        return x * self.scale + self.shift


def _folds(norm: nn.Module) -> bool:
    return isinstance(norm, _BatchNorm) and norm.affine and norm.running_var is not None


def _affine_of(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    return affine_of(deepcopy(norm).double())


def _per_channel(vector: Tensor, norm: _BatchNorm) -> Tensor:
    return vector.to(norm.weight.dtype)[:, None, None]


def _act(x: Tensor, act: nn.Module) -> Tensor:
    return act_(x, act) if _in_place(x) else act(x)


def _in_place(x: Tensor) -> bool:
    """Whether what was just computed may be overwritten: no graph of it is made, no gradient."""
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling()
                or torch.jit.is_tracing() or torch.is_autocast_enabled(x.device.type))
