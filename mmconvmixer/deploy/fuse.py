"""ConvMixer for inference only, with BatchNorm folded into its neighbors.

A block is `u = x + norm1(act(depthwise(x)))`, then `norm2(act(pointwise(u)))`. In
eval mode a norm is `scale * y + shift`, so the following is exact:

    pointwise(x + scale * y + shift) = pointwise(x + scale * y) + W shift

`W shift` becomes part of the pointwise bias. What remains of norm1 is one multiply-add
with the residual, and of norm2 one multiply-add. The latter can't be folded into the
next depthwise convolution: beyond the image's border that convolution reads 0, where
the folded form would need `shift`.
"""
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmconvmixer.models.convmixer import ConvMixer, ConvMixerBlock, Stem
from mmconvmixer.models.residual import behaves_as, is_usual
from mmconvmixer.ops import PointwiseConv2d, act_, affine_of, channels_last, may_overwrite


def fuse(model: nn.Module, compile: bool = False) -> nn.Module:
    """Return a copy of a model for inference only, with fewer passes over memory.

    Args:
        model: a classifier, or a ConvMixer backbone; it is not modified. Networks
            other than ConvMixer are only copied.
        compile: compile the backbone with `torch.compile`, for the shapes it is given.

    Returns:
        The copy, in eval mode and without gradients for its parameters. `ConvMixer` is
        replaced by `InferenceConvMixer`, whose outputs differ by rounding only (by 1e-5
        of the largest). Blocks are folded only if they are as `ConvMixer` builds them, and
        their norms are BatchNorm with running statistics.
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
    """A folded `ConvMixer`: images (N, C, H, W) -> feature maps of `out_indices`."""

    def __init__(self, backbone: ConvMixer) -> None:
        super().__init__()
        self.embed_dims, self.out_indices = backbone.embed_dims, backbone.out_indices
        self.stem = (InferenceStem(backbone.stem) if _stem_folds(backbone.stem)
                     else backbone.stem)
        self.stages = nn.Sequential(*(
            InferenceBlock(block) if _block_folds(block) else block
            for block in backbone.stages))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return tensors (N, embed_dims, H // patch, W // patch), channels-last in memory."""
        x = self.stem(channels_last(x))
        outs = []
        for index, block in enumerate(self.stages):
            x = block(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)


class InferenceStem(nn.Module):
    """scale * act(patches(x)) + shift."""

    def __init__(self, stem: Stem) -> None:
        super().__init__()
        self.patches, self.act, norm = stem
        self.patches.to(memory_format=torch.channels_last)
        self.affine = Affine(norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return patches (N, embed_dims, H // patch, W // patch) of images (N, C, H, W)."""
        return self.affine(_act(self.patches(x), self.act))


class InferenceBlock(nn.Module):
    """x + scale1 * act(depthwise(x)), then scale2 * act(pointwise(.)) + shift2."""

    def __init__(self, block: ConvMixerBlock) -> None:
        super().__init__()
        residual, pointwise, self.act, norm = block
        self.mix_space, _, space_norm = residual.fn
        self.mix_space.to(memory_format=torch.channels_last)
        # In float64, because an error in a scale is an error in the whole feature map.
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
        """Return (N, C, H, W) for x of that shape."""
        y = _act(self.mix_space(x), self.act)
        # In y's memory, because a fresh tensor costs page faults.
        y = (torch.addcmul(x, y, self.scale, out=y) if may_overwrite(y)
             else torch.addcmul(x, y, self.scale))
        return self.affine(_act(self.mix_channels(y), self.act))


class Affine(nn.Module):
    """BatchNorm in eval mode, scale * x + shift, in x's memory if nothing else needs x."""

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        scale, shift = _affine_of(norm)
        self.register_buffer('scale', _per_channel(scale, norm))
        self.register_buffer('shift', _per_channel(shift, norm))

    def forward(self, x: Tensor) -> Tensor:
        """Return scale * x + shift; x may be overwritten."""
        if may_overwrite(x):
            return torch.addcmul(self.shift, x, self.scale, out=x)
        return x * self.scale + self.shift


def _stem_folds(stem: nn.Module) -> bool:
    return behaves_as(stem, Stem) and len(stem) == 3 and _norm_folds(stem[2])


def _block_folds(block: nn.Module) -> bool:
    if not (behaves_as(block, ConvMixerBlock) and len(block) == 4 and is_usual(block[0])):
        return False
    residual, pointwise, act, norm = block
    _, space_act, space_norm = residual.fn
    return (space_act is act and behaves_as(pointwise, PointwiseConv2d)
            and pointwise.bias is not None and _norm_folds(space_norm) and _norm_folds(norm))


def _norm_folds(norm: nn.Module) -> bool:
    return ((behaves_as(norm, nn.BatchNorm2d) or behaves_as(norm, nn.SyncBatchNorm))
            and norm.affine and norm.running_var is not None)


def _affine_of(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    return affine_of(deepcopy(norm).double())


def _per_channel(vector: Tensor, norm: _BatchNorm) -> Tensor:
    return vector.to(norm.weight.dtype)[:, None, None]


def _act(x: Tensor, act: nn.Module) -> Tensor:
    return act_(x, act) if may_overwrite(x) else act(x)
