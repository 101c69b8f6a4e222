"""MLP-Mixer (https://arxiv.org/abs/2105.01601), mmpretrain's with its gaps filled.

image (B, 3, H, W) -> patches (B, N, C) -> num_layers x [mix tokens, mix channels]
                   -> norm -> (B, C, N), or as a map (B, C, H // patch, W // patch)
"""
import logging
import operator
import re
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmengine.logging import print_log
from mmpretrain.models.backbones.mlp_mixer import MlpMixer as MMPretrainMlpMixer
from torch import Tensor, fx

from mmconvmixer.errors import UnknownArch, nearest
from mmconvmixer.models.indices import resolve_indices
from mmconvmixer.models.layer_depth import layer_depth
from mmconvmixer.ops.token_grid import resize_token_mixing


@dataclass(frozen=True)
class MixerArch:
    """What the weights of a variant depend on, besides the patch size."""
    embed_dims: int
    num_layers: int
    tokens_mlp_dims: int
    channels_mlp_dims: int


# The paper's table 1, by size. A name is 'B/16' (size and patch) or, as in mmpretrain,
# 'b' or 'base', to which `patch_size` adds the patch.
SIZES = dict(
    S=MixerArch(512, 8, 256, 2048),
    B=MixerArch(768, 12, 384, 3072),
    L=MixerArch(1024, 24, 512, 4096),
    H=MixerArch(1280, 32, 640, 5120))
PATCHES = dict(S=(32, 16), B=(32, 16), L=(32, 16), H=(14,))
MIXERS = [f'{size}/{patch}' for size, patches in PATCHES.items() for patch in patches]
_LONG = dict(small='S', base='B', large='L', huge='H')

OUT_TYPES = ('raw', 'featmap')


def resolve_mixer(arch: str | dict, patch_size: int | None) -> tuple[MixerArch, int]:
    """Return the sizes and the patch size for a name or a dict.

    Args:
        arch: one of `MIXERS`; 's', 'small', 'b', ... or a dict with the keys embed_dims,
            num_layers, tokens_mlp_dims, channels_mlp_dims.
        patch_size: None means the one in the name, or else 16 (14 for H).

    Raises:
        UnknownArch: the name is unknown, a key is missing or unexpected, a value is not
            a positive whole number, or the patch size differs from that in the name.
    """
    if isinstance(arch, dict):
        keys = list(MixerArch.__dataclass_fields__)
        if set(arch) != set(keys):
            raise UnknownArch(f'arch takes a name or a dict with exactly the keys '
                              f'{", ".join(keys)}; got {arch!r}')
        sizes, own = MixerArch(**arch), None
    else:
        size, _, own = str(arch).partition('/')
        size = _LONG.get(size.lower(), size.upper())
        if size not in SIZES or own and not re.fullmatch(r'[1-9]\d*', own):
            raise UnknownArch(f'arch {arch!r} is unknown; nearest: '
                              f'{nearest(str(arch), MIXERS)}. Known: {", ".join(MIXERS)}, '
                              f'{", ".join(_LONG)}, or a dict')
        sizes, own = SIZES[size], int(own) if own else None
        if own and patch_size not in (None, own):
            raise UnknownArch(f'arch {arch!r} has patches of {own}, but patch_size is '
                              f'{patch_size}; leave patch_size out, or write '
                              f"'{size}/{patch_size}'")
    usual = own or (14 if sizes == SIZES['H'] else 16)
    patch = usual if patch_size is None else patch_size
    for key, value in dict(asdict(sizes), patch_size=patch).items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UnknownArch(f'{key} must be a positive whole number, got {value!r}')
    return sizes, patch


class MlpMixer(MMPretrainMlpMixer):
    """MLP-Mixer backbone with mmpretrain's state-dict keys, defaults and results.

    Args:
        arch: see `resolve_mixer`.
        img_size: height and width of the images in pixels, multiples of the patch size:
            one number or a pair. It determines the shape of the token-mixing weights, so
            that a network takes images of this size only.
        patch_size: side of a patch in pixels. Default: the one in the name, else 16.
        out_indices: blocks whose results are returned; negative ones count from the end.
            Default: the last.
        out_type: 'raw' returns (B, C, N) as mmpretrain does, for the neck
            `GlobalAveragePooling(dim=1)`; 'featmap' returns (B, C, H // patch, W // patch).
        interpolate_tokens: load weights for another img_size too, by resampling the
            token-mixing weights on the grid of patches (`ops.token_grid`). Accuracy falls
            until the network is fine-tuned at the new size, most for smaller images: a
            Mixer of 3 blocks, trained on digits of 32 x 32 (patches of 4), had 94.5 %
            there, 92.7 % at 40, 91.9 % at 64, 88.8 % at 28 and 80.3 % at 24, without
            further training (means of 3 seeds).
        drop_rate: of dropout, in training.
        drop_path_rate: of stochastic depth, in training.
        norm_cfg: of every normalization. The default is mmpretrain's, with eps 1e-5; the
            original flax network has `dict(type='LN', eps=1e-6)`.
        act_cfg: of every activation. The default is mmpretrain's, exact GELU; the original
            flax network has `dict(type='GELU', approximate='tanh')`, see
            `configs/_base_/models/mlp_mixer_flax.py`.
        patch_cfg: options of mmcv's `PatchEmbed`.
        layer_cfgs: options of all blocks, or a list with those of each block.
        init_cfg: mmengine initialization config.

    Raises:
        UnknownArch: (a ValueError) see `resolve_mixer`.
        ValueError: img_size is not a multiple of the patch size, or out_indices or
            out_type is out of range; from `forward`, if images have another size.

    Weights for the same number of patches in another grid (4 x 4 and 2 x 8) load unchanged.

    Source: paper, section 2 and table 1; google-research/vision_transformer
    `vit_jax/models_mixer.py`.
    """

    def __init__(self,
                 arch: str | dict = 'base',
                 img_size: int | tuple[int, int] = 224,
                 patch_size: int | None = None,
                 out_indices: int | Iterable[int] = -1,
                 drop_rate: float = 0.,
                 drop_path_rate: float = 0.,
                 norm_cfg: dict = dict(type='LN'),
                 act_cfg: dict = dict(type='GELU'),
                 patch_cfg: dict = dict(),
                 layer_cfgs: dict | list[dict] = dict(),
                 out_type: str = 'raw',
                 interpolate_tokens: bool = False,
                 init_cfg: dict | list[dict] | None = None) -> None:
        sizes, patch = resolve_mixer(arch, patch_size)
        height, width = _height_and_width(img_size)
        if height % patch or width % patch or min(height, width) < patch:
            raise ValueError(f'img_size is {height} x {width}, which is not a whole number of '
                             f'patches of {patch}; nearest: {_nearest_size(height, patch)} x '
                             f'{_nearest_size(width, patch)}')
        if out_type not in OUT_TYPES:
            raise ValueError(f'out_type is {out_type!r}, expected one of {", ".join(OUT_TYPES)}')
        indices = resolve_indices(out_indices, sizes.num_layers)
        # mmpretrain's check is inverted and refuses every index that is not negative.
        super().__init__(asdict(sizes), (height, width), patch, -1, drop_rate, drop_path_rate,
                         norm_cfg, act_cfg, patch_cfg, layer_cfgs, init_cfg)
        self.out_indices = indices
        self.patch_size, self.depth = patch, sizes.num_layers
        self.out_type, self.interpolate_tokens = out_type, interpolate_tokens
        if interpolate_tokens:
            self.register_load_state_dict_pre_hook(_resample_tokens)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the results of the blocks `out_indices`, shallowest first.

        Args:
            x: images (B, 3, H, W), H and W being `img_size`.

        Returns:
            Tensors (B, C, N), or (B, C, H // patch, W // patch) for 'featmap'. The last
            block's is normalized.
        """
        if isinstance(x, fx.Proxy):  # its size is not known, on which PatchEmbed's padding depends
            x = self.patch_embed.projection(x).flatten(2).transpose(1, 2)
            return self._mixed(x if self.patch_embed.norm is None else self.patch_embed.norm(x))
        if tuple(x.shape[2:]) != self.img_size:
            raise ValueError(
                f'images are {" x ".join(map(str, x.shape[2:]))}, but the token-mixing MLPs '
                f'are made for {" x ".join(map(str, self.img_size))}; resize the images, or '
                'build with that img_size and interpolate_tokens=True')
        return self._mixed(self.patch_embed(x)[0])

    def _mixed(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the results of the blocks `out_indices` for patches (B, N, C)."""
        x = x.contiguous()  # or every later operation reads a transposed tensor
        outs = []
        for index, block in enumerate(self.layers):
            x = block(x)
            if index == self.depth - 1:
                x = self.norm1(x)
            if index in self.out_indices:
                features = x.transpose(1, 2)
                outs.append(features if self.out_type == 'raw'
                            else features.unflatten(2, self.patch_resolution))
        return tuple(outs)

    def train(self, mode: bool = True) -> 'MlpMixer':
        """Set the mode and return the model; mmpretrain returns None."""
        super().train(mode)
        return self

    def resample_tokens(self, state_dict: MutableMapping[str, Tensor], prefix: str) -> None:
        """Resample token-mixing weights for another grid, in place, and log it.

        Args:
            state_dict: weights that are about to be loaded.
            prefix: of this backbone's names in it.
        """
        sides = resize_token_mixing(state_dict, prefix, self.patch_resolution)
        if sides:
            height, width = self.patch_resolution
            print_log(f'token-mixing weights of {", ".join(f"{side} x {side}" for side in sides)} '
                      f'patches were resampled for {height} x {width}; accuracy falls until the '
                      'network is fine-tuned', 'current', logging.WARNING)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return (layer, number of layers) for layer-wise learning-rate decay.

        Layer 0 is the patch embedding, 1..depth are the blocks, depth + 1 is the last
        norm and everything after the backbone.
        """
        return layer_depth(param_name, prefix, self.depth, stem='patch_embed', blocks='layers')


def _height_and_width(img_size: int | Sequence[int]) -> tuple[int, int]:
    sides = [img_size] * 2 if hasattr(img_size, '__index__') else img_size
    try:
        height, width = map(operator.index, sides)
    except (TypeError, ValueError):
        raise ValueError('img_size takes a whole number or a pair (height, width) of them, got '
                         f'{img_size!r}') from None
    return height, width


def _nearest_size(side: int, patch: int) -> int:
    return max(1, round(side / patch)) * patch


def _resample_tokens(backbone: MlpMixer, state_dict: dict, prefix: str, *_: Any) -> None:
    backbone.resample_tokens(state_dict, prefix)
