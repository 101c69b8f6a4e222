"""ConvMixer (https://arxiv.org/abs/2201.09792).

image (B, C_in, H, W) -> stem -> depth x [mix space, mix channels]
                      -> feature map (B, embed_dims, H // patch, W // patch)

Tensors are NCHW in shape and channels-last in memory from the stem on: the
depthwise convolution and the pointwise product both read all channels of a pixel at once.
"""
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache

import torch
from mmcv.cnn import build_activation_layer, build_norm_layer
from mmcv.cnn.bricks import DropPath
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmconvmixer.errors import UnknownArch, nearest
from mmconvmixer.models import execution, fused_block
from mmconvmixer.models.indices import resolve_indices
from mmconvmixer.models.layer_depth import layer_depth
from mmconvmixer.models.residual import Residual
from mmconvmixer.ops import PointwiseConv2d, channels_last, gradient_channels_last, is_transformed


@dataclass(frozen=True)
class Arch:
    """What the weights of a variant depend on."""
    embed_dims: int
    depth: int
    patch_size: int
    kernel_size: int
    act: str = 'GELU'


# The paper's ImageNet table (with the appendix), then its CIFAR-10 nets. A name without
# a suffix is the released model. `-p14-k3` sets patch and kernel size; it works for any
# width and depth.
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
    # Added by this project, for small images on a CPU.
    '128/4': Arch(128, 4, patch_size=4, kernel_size=5),
    '64/4': Arch(64, 4, patch_size=1, kernel_size=3),
}


def resolve_arch(arch: str | dict) -> Arch:
    """Return the `Arch` for a name or a dict.

    Args:
        arch: a name of `ARCHS`, `'WIDTH/DEPTH-pPATCH-kKERNEL'`, or a dict with
            the keys embed_dims, depth, patch_size, kernel_size.

    Raises:
        UnknownArch: the name is unknown, a key is missing or unexpected, or a value
            is not a positive whole number.
    """
    if isinstance(arch, str):
        if arch in ARCHS:
            return ARCHS[arch]
        sizes = re.fullmatch(r'(\d+)/(\d+)-p(\d+)-k(\d+)', arch)
        if sizes is None:
            raise UnknownArch(
                f'arch {arch!r} is unknown; nearest: '
                f'{nearest(arch, ARCHS)}. Known: {", ".join(ARCHS)}, any '
                "'WIDTH/DEPTH-pPATCH-kKERNEL', or a dict.")
        arch = dict(zip(SIZES, map(int, sizes.groups()), strict=True))
        for known in ARCHS.values():  # a variant of the table, with its name spelled out
            if all(getattr(known, key) == value for key, value in arch.items()):
                return known
    if not isinstance(arch, dict) or set(arch) != set(SIZES):
        raise UnknownArch(f'arch takes a name or a dict with exactly the keys '
                          f'{", ".join(SIZES)}; got {arch!r}')
    for key, value in arch.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UnknownArch(f'arch[{key!r}] must be a positive whole number, '
                              f'got {value!r}')
    return Arch(**arch)


SIZES = [field.name for field in fields(Arch) if field.name != 'act']


class Stem(nn.Sequential):
    """Cut the image into patches, then activation and normalization."""

    impl = 'reference'

    def forward(self, x: Tensor) -> Tensor:
        """Return norm(act(patches(x))), channels-last in memory."""
        patches, *_ = self
        # A gray image is contiguous and channels-last at once. The convolution then
        # returns a contiguous tensor.
        x = channels_last(patches(x))
        return execution.stem_act_norm(self, x)


class ConvMixerBlock(nn.Sequential):
    """Mix space (depthwise, residual), then channels (pointwise).

    It is a Sequential because its positions 0, 1 and 3 are part of the saved keys.
    """

    impl = 'reference'

    def __init__(self, dims: int, kernel_size: int, act: nn.Module,
                 norm_cfg: dict, drop_path: float) -> None:
        mix_space = nn.Conv2d(dims, dims, kernel_size, groups=dims, padding='same')
        super().__init__(
            Residual(
                nn.Sequential(mix_space, act, build_norm_layer(norm_cfg, dims)[1]),
                DropPath(drop_path) if drop_path else None),
            PointwiseConv2d(dims, dims), act, build_norm_layer(norm_cfg, dims)[1])

    @execution.with_fastest_step
    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) for x of that shape."""
        residual, mix_channels, act, norm = self
        x = residual(x)  # x + norm(act(mix_space(x)))
        return norm(act(mix_channels(x)))


class ConvMixer(BaseModule):
    """ConvMixer backbone; its state dict has the same keys as mmpretrain's.

    Args:
        arch: a variant's name (see `ARCHS`), or a dict with embed_dims, depth,
            patch_size and kernel_size. A name also determines the activation.
        in_channels: channels of the input image, 3 for RGB.
        norm_cfg: mmcv config of every normalization.
        act_cfg: mmcv config of every activation. Default: the one that the
            arch was trained with (ReLU for '768/32', else GELU).
        out_indices: blocks whose feature maps are returned; negative ones count
            from the end. Default: the last.
        frozen_stages: freeze the stem and this many blocks: no gradients, and
            BatchNorm keeps its statistics. 0 (or -1, as in other backbones)
            freezes nothing.
        drop_path_rate: stochastic depth of the residual branches, rising
            linearly from 0 at the first block to this rate at the last.
        with_cp: recompute each block in the backward pass instead of keeping
            its activations (less memory, a third more arithmetic).
        impl: 'fused' for the kernels of `ops.fused`, 'reference' for plain PyTorch,
            'auto' for the kernels where they are faster: on a CUDA device with
            Triton, and in training in float32 on a CPU with a C++ compiler. What they
            can't do (gradients through running statistics,
            modules with hooks, float64) is always done in plain PyTorch.
        init_cfg: mmengine initialization config.

    Raises:
        UnknownArch: (a ValueError) see `resolve_arch`.
        ValueError: out_indices, frozen_stages or drop_path_rate is out of range;
            `impl` is unknown, or 'fused' with an activation or normalization that
            the kernels don't have.
        FusedKernelsUnavailable: (a RuntimeError) from `forward`, if `impl` is 'fused'
            and the kernels don't run on the input's device.

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
                 init_cfg: dict | list[dict] | None = None) -> None:
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
        x = self.stem(channels_last(x))
        if not torch.compiler.is_compiling():
            self._say_how(x)
        steps = execution.choose_steps(self.stages, x, self.impl, kind=ConvMixerBlock)
        recompute = self.with_cp and torch.is_grad_enabled() and not is_transformed(x)
        outs, origin = [], None
        for index, block in enumerate(self.stages):
            if recompute:
                x = execution.recomputed_in_backward(steps[index], block, x)
            else:
                x, origin = steps[index](block, x, origin)
            if index in self.out_indices:
                outs.append(gradient_channels_last(x))
        return tuple(outs)

    def _say_how(self, x: Tensor) -> None:
        if fused_block.wanted(self.impl, x, self.training):
            _log("ConvMixer runs through the fused kernels (impl='reference' for plain PyTorch)")
        elif lacks := fused_block.lacking(self.impl, x, self.training):
            _log(f'ConvMixer trains in plain PyTorch; to train faster, it needs {lacks}')

    def train(self, mode: bool = True) -> 'ConvMixer':
        """Set the mode, keep frozen parts in eval mode, and return the model."""
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

        Layer 0 is the stem, 1..depth are the blocks, depth + 1 is everything after
        the backbone.
        """
        return layer_depth(param_name, prefix, self.depth, stem='stem', blocks='stages')


@cache
def _log(message: str) -> None:
    print_log(message, logger='current')
