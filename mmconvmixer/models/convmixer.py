"""ConvMixer (https://arxiv.org/abs/2201.09792).

image (B, C_in, H, W) -> stem -> depth x [mix space, mix channels]
                      -> feature map (B, embed_dims, H // patch, W // patch)

Tensors are NCHW in shape and channels-last in memory from the stem on: the
depthwise convolution and the pointwise product then both read whole pixels.
"""
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from functools import cache

import torch
from mmcv.cnn import build_activation_layer, build_norm_layer
from mmcv.cnn.bricks import DropPath
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmconvmixer.errors import UnknownArch, nearest
from mmconvmixer.models import fused_block
from mmconvmixer.models.indices import resolve_indices
from mmconvmixer.models.layer_depth import layer_depth
from mmconvmixer.ops import (
    PointwiseConv2d,
    act_,
    act_norm,
    act_norm_,
    affine_of,
    gradient_channels_last,
)


@dataclass(frozen=True)
class Arch:
    """What the weights of a variant depend on."""
    embed_dims: int
    depth: int
    patch_size: int
    kernel_size: int
    act: str = 'GELU'


# The paper's ImageNet table (with the appendix), then its CIFAR-10 nets. The
# short name belongs to the released weights; `-p14-k3` names patch and kernel
# where they differ from those, and works for every width and depth.
ARCHS = {
    '1536/20': Arch(1536, 20, patch_size=7, kernel_size=9),
    '1536/20-p7-k3': Arch(1536, 20, patch_size=7, kernel_size=3),
    '1536/20-p14-k9': Arch(1536, 20, patch_size=14, kernel_size=9),
    # ReLU, not GELU: the released 768/32 weights were trained with it.
    '768/32': Arch(768, 32, patch_size=7, kernel_size=7, act='ReLU'),
    '768/32-p14-k3': Arch(768, 32, patch_size=14, kernel_size=3, act='ReLU'),
    '1024/20': Arch(1024, 20, patch_size=14, kernel_size=9),
    '1024/16': Arch(1024, 16, patch_size=7, kernel_size=9),
    '1024/12': Arch(1024, 12, patch_size=7, kernel_size=8),
    '512/16': Arch(512, 16, patch_size=7, kernel_size=8),
    '512/12': Arch(512, 12, patch_size=7, kernel_size=8),
    '256/8': Arch(256, 8, patch_size=2, kernel_size=5),
    '256/8-p1-k9': Arch(256, 8, patch_size=1, kernel_size=9),
    # This project's own, for small images on a CPU.
    '128/4': Arch(128, 4, patch_size=4, kernel_size=5),
    '64/4': Arch(64, 4, patch_size=1, kernel_size=3),
}


def resolve_arch(arch: str | dict) -> Arch:
    """Return the `Arch` that a name or a dict means.

    Args:
        arch: a name of `ARCHS`, `'WIDTH/DEPTH-pPATCH-kKERNEL'`, or a dict with
            the keys embed_dims, depth, patch_size, kernel_size.

    Raises:
        UnknownArch: no such name, a key too few or too many, or a value that
            is no positive whole number.
    """
    if isinstance(arch, str):
        if arch in ARCHS:
            return ARCHS[arch]
        sizes = re.fullmatch(r'(\d+)/(\d+)-p(\d+)-k(\d+)', arch)
        if sizes is None:
            raise UnknownArch(
                f'arch {arch!r} is no ConvMixer of the paper; nearest: '
                f'{nearest(arch, ARCHS)}. Known: {", ".join(ARCHS)}, any '
                "'WIDTH/DEPTH-pPATCH-kKERNEL', or a dict.")
        arch = dict(zip(_SIZES, map(int, sizes.groups()), strict=True))
        for known in ARCHS.values():  # the long name of a short one
            if all(getattr(known, key) == value for key, value in arch.items()):
                return known
    if not isinstance(arch, dict) or set(arch) != set(_SIZES):
        raise UnknownArch(f'arch takes a name or a dict with exactly the keys '
                          f'{", ".join(_SIZES)}; got {arch!r}')
    for key, value in arch.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UnknownArch(f'arch[{key!r}] must be a positive whole number, '
                              f'got {value!r}')
    return Arch(**arch)


_SIZES = [field.name for field in fields(Arch) if field.name != 'act']


class Stem(nn.Sequential):
    """Cut into patches, then activation and normalization."""

    impl = 'reference'

    def forward(self, x: Tensor) -> Tensor:
        patches, act, norm = self
        # Of a gray image, either layout is channels-last, and the convolution
        # then chooses the other.
        x = patches(x).contiguous(memory_format=torch.channels_last)
        if fused_block.wanted(self.impl, x.device) and not _observed(self):
            mode = fused_block.mode(x, act, norm)
            if mode == 'train':
                return fused_block.train_act_norm(x, act, norm)
            if mode == 'infer':
                return fused_block.infer_act_norm(x, act, norm)
        return norm(act(x))


class Residual(nn.Module):
    """x + fn(x); its name and attribute are in the saved keys."""

    def __init__(self, fn: nn.Module, drop_path: float = 0.):
        super().__init__()
        self.fn = fn
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.fn(x))


class _OnEveryModule:
    """The hooks that somebody registered for all modules at once."""
    _forward_hooks = nn.modules.module._global_forward_hooks
    _forward_pre_hooks = nn.modules.module._global_forward_pre_hooks
    _backward_hooks = nn.modules.module._global_backward_hooks
    _backward_pre_hooks = nn.modules.module._global_backward_pre_hooks


def _observed(module: nn.Module) -> bool:
    """Whether hooks look at the module's parts: then these are called one by one."""
    return any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks
               or part._backward_pre_hooks for part in (*module.modules(), _OnEveryModule))


class ConvMixerBlock(nn.Sequential):
    """Mix space (depthwise, residual), then channels (pointwise).

    A Sequential because its positions 0, 1 and 3 are in the saved keys.
    """

    def __init__(self, dims: int, kernel_size: int, act: nn.Module,
                 norm_cfg: dict, drop_path: float):
        mix_space = nn.Conv2d(dims, dims, kernel_size, groups=dims, padding='same')
        super().__init__(
            Residual(
                nn.Sequential(mix_space, act, build_norm_layer(norm_cfg, dims)[1]),
                drop_path),
            PointwiseConv2d(dims, dims), act, build_norm_layer(norm_cfg, dims)[1])

    impl = 'reference'

    def forward(self, x: Tensor) -> Tensor:
        mode = self.fused_mode(x)
        if mode == 'train':
            return fused_block.train_block(self, x)[0]
        if mode == 'infer':
            return fused_block.infer_block(self, x)
        residual, mix_channels, act, norm = self
        if not self._in_place(x):
            return act_norm(mix_channels(residual(x)), act, norm)
        mix_space, _, space_norm = residual.fn
        # x + norm(y) = (x + scale * y) + shift: one pass over memory, and the
        # shift goes through the pointwise product as a bias.
        y = act_(mix_space(x), act)
        scale, shift = affine_of(space_norm)
        y = torch.addcmul(x, y, scale[:, None, None], out=y)
        return act_norm_(mix_channels.forward_shifted(y, shift), act, norm)

    def fused_mode(self, x: Tensor) -> str | None:
        """Return how the fused kernels take the block: 'train', 'infer' or, not at all, None."""
        if fused_block.wanted(self.impl, x.device) and not _observed(self):
            return fused_block.block_mode(self, x)
        return None

    def _in_place(self, x: Tensor) -> bool:
        """Whether intermediate results are nobody's but ours.

        Hooks may keep what they see; graphs being recorded and gradients do.
        """
        if (self.training or torch.is_grad_enabled() or torch.compiler.is_compiling()
                or torch.jit.is_tracing() or torch.is_autocast_enabled(x.device.type)):
            return False
        norms = self[0].fn[2], self[3]
        return (type(self[1]) is PointwiseConv2d
                and all(type(norm) is nn.BatchNorm2d and not norm.training and norm.affine
                        and norm.running_var is not None and norm.weight.dtype == x.dtype
                        for norm in norms)
                and not _observed(self))


class ConvMixer(BaseModule):
    """ConvMixer backbone; keys of its state dict equal mmpretrain's.

    Args:
        arch: a variant's name (see `ARCHS`), or a dict with embed_dims, depth,
            patch_size and kernel_size. A name also settles the activation.
        in_channels: channels of the input image, 3 for RGB.
        norm_cfg: mmcv config of every normalization.
        act_cfg: mmcv config of every activation. Default: the one that the
            arch was trained with (ReLU for '768/32', else GELU).
        out_indices: blocks whose feature maps are returned, negative ones
            counted from the end. Default: the last.
        frozen_stages: freeze the stem and this many blocks: no gradients, and
            BatchNorm keeps its statistics. 0 (or -1, as other backbones say it)
            freezes nothing.
        drop_path_rate: stochastic depth of the residual branches, rising
            linearly from 0 at the first block to this rate at the last.
        with_cp: recompute each block in the backward pass instead of keeping
            its activations (less memory, a third more arithmetic).
        impl: 'fused' for the Triton kernels of `ops.fused`, 'reference' for
            plain PyTorch, 'auto' for the kernels where Triton and a CUDA device
            are. What they can't do (a gradient through running statistics,
            modules with hooks, float64) is done in plain PyTorch in any case.
        init_cfg: mmengine initialization config.

    Raises:
        UnknownArch: (a ValueError) see `resolve_arch`.
        ValueError: out_indices, frozen_stages or drop_path_rate out of range;
            `impl` unknown, or 'fused' with an activation or normalization that
            the kernels don't have.
        FusedKernelsUnavailable: (a RuntimeError) from `forward`, 'fused' where
            the kernels don't run.

    Source: paper, section 2 and figure 3; locuslab/convmixer `convmixer.py`.
    """

    impl = 'reference'

    def __init__(self,
                 arch: str | dict = '768/32',
                 in_channels: int = 3,
                 norm_cfg: dict = dict(type='BN'),
                 act_cfg: dict | None = None,
                 out_indices: int | Iterable[int] = -1,
                 frozen_stages: int = 0,
                 drop_path_rate: float = 0.,
                 with_cp: bool = False,
                 impl: str = 'auto',
                 init_cfg: dict | list[dict] | None = None):
        super().__init__(init_cfg=init_cfg)
        sizes = resolve_arch(arch)
        self.embed_dims = sizes.embed_dims
        self.depth = sizes.depth
        self.patch_size = sizes.patch_size
        self.kernel_size = sizes.kernel_size
        self.out_indices = resolve_indices(out_indices, self.depth)
        if not isinstance(frozen_stages, int) or not -1 <= frozen_stages <= self.depth:
            raise ValueError(f'frozen_stages is {frozen_stages!r}, but a backbone of '
                             f'depth {self.depth} takes 0..{self.depth} (or -1, for none)')
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f'drop_path_rate is {drop_path_rate}, expected 0 <= rate < 1')
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp

        self.act = build_activation_layer(act_cfg or dict(type=sizes.act))
        self.stem = Stem(
            nn.Conv2d(in_channels, self.embed_dims, self.patch_size, self.patch_size),
            self.act,
            build_norm_layer(norm_cfg, self.embed_dims)[1])
        self.stages = nn.Sequential(*(
            ConvMixerBlock(self.embed_dims, self.kernel_size, self.act, norm_cfg,
                           drop_path_rate * index / max(self.depth - 1, 1))
            for index in range(self.depth)))
        if impl not in fused_block.IMPLEMENTATIONS:
            raise ValueError(f'impl is {impl!r}, expected one of '
                             f'{", ".join(fused_block.IMPLEMENTATIONS)}')
        norm = self.stem[2]
        if impl == 'fused' and not fused_block.supports(self.act, norm):
            raise ValueError(f"impl='fused' has kernels for ReLU or GELU with an affine "
                             f"BatchNorm, not for {self.act} with {norm}; use impl='auto'")
        self.impl = impl
        for part in (self.stem, *self.stages):
            part.impl = impl
        self._freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps of `out_indices`, shallowest first.

        Args:
            x: images (B, in_channels, H, W); H and W at least patch_size.

        Returns:
            Tensors (B, embed_dims, H // patch_size, W // patch_size),
            channels-last in memory.
        """
        if fused_block.wanted(self.impl, x.device) and not torch.compiler.is_compiling():
            _say_fused()
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        outs, origin = [], None
        for index, block in enumerate(self.stages):
            if self.with_cp and torch.is_grad_enabled():
                x = _checkpointed(block, x)
            elif (fused_block.is_as_made(block, ConvMixerBlock)
                  and block.fused_mode(x) == 'train'):
                x, origin = fused_block.train_block(block, x, origin)
            else:
                x, origin = block(x), None
            if index in self.out_indices:
                outs.append(gradient_channels_last(x))
        return tuple(outs)

    def train(self, mode: bool = True) -> 'ConvMixer':
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages <= 0:
            return
        for part in (self.stem, *self.stages[:self.frozen_stages]):
            part.eval().requires_grad_(False)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return (layer, number of layers) for layer-wise learning-rate decay.

        Layer 0 is the stem, 1..depth are the blocks, depth + 1 is what follows
        the backbone.
        """
        return layer_depth(param_name, prefix, self.depth, stem='stem', blocks='stages')


@cache
def _say_fused() -> None:
    print_log('ConvMixer runs through the fused kernels (impl=\'reference\' for plain PyTorch)',
              logger='current')


def _checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    return checkpoint(block, x, use_reentrant=False,
                      context_fn=lambda: (nullcontext(), _statistics_kept(block)))


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    # The second forward of activation checkpointing would count every batch
    # twice in the running statistics: it gets copies to write into.
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    buffers = [dict(norm._buffers) for norm in norms]
    for norm in norms:
        norm._buffers.update({name: buffer.clone() for name, buffer in norm._buffers.items()
                              if buffer is not None})
    try:
        yield
    finally:
        for norm, before in zip(norms, buffers, strict=True):
            norm._buffers.update(before)
