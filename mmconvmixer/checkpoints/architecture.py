"""What the weights say about their network: everything but the activation."""
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

from torch import Tensor

from mmconvmixer.checkpoints.weights import Weights
from mmconvmixer.errors import BadCheckpoint


@dataclass(frozen=True)
class ConvMixerShape:
    """Sizes of a ConvMixer; `num_classes` None: without a head."""
    embed_dims: int
    depth: int
    patch_size: int
    kernel_size: int
    in_channels: int
    num_classes: int | None

    def __str__(self) -> str:
        return (f'ConvMixer-{self.embed_dims}/{self.depth}, patch {self.patch_size}, kernel '
                f'{self.kernel_size}{_channels(self.in_channels)}{_head(self.num_classes)}')


@dataclass(frozen=True)
class MixerShape:
    """Sizes of an MLP-Mixer; pictures are `image_size` pixels wide and high."""
    embed_dims: int
    depth: int
    patch_size: int
    image_size: int
    tokens_mlp_dims: int
    channels_mlp_dims: int
    num_classes: int | None

    def __str__(self) -> str:
        return (f'MLP-Mixer-{self.embed_dims}/{self.depth}, patch {self.patch_size}, pictures of '
                f'{self.image_size}, hidden {self.tokens_mlp_dims} and {self.channels_mlp_dims}'
                f'{_head(self.num_classes)}')


Shape = ConvMixerShape | MixerShape


def read_architecture(weights: Weights, source: str = 'the checkpoint') -> Shape:
    """Return the sizes of the network that the weights are of.

    Args:
        weights: what `state_dict_of` returned.
        source: their name, for messages.

    Raises:
        BadCheckpoint: neither a ConvMixer nor an MLP-Mixer, or one whose tensors
            don't belong together.
    """
    if weights.family is None:
        raise BadCheckpoint(f'{source} is no ConvMixer or MLP-Mixer by any known naming (official, '
                            f'timm, mmpretrain, flax); it begins with {", ".join([*weights][:3])}')
    try:
        return _convmixer(weights) if weights.family == 'ConvMixer' else _mixer(weights)
    except (KeyError, ValueError) as error:
        raise BadCheckpoint(f'{source} is {weights.family}, but not whole: {error}') from error


def _convmixer(weights: Mapping[str, Tensor]) -> ConvMixerShape:
    dims, in_channels, patch_size, width = weights['backbone.stem.0.weight'].shape
    depth = _depth(weights, 'stages')
    kernel_size = weights['backbone.stages.0.0.fn.0.weight'].shape[-1]
    if patch_size != width:
        raise ValueError(f'patches of {patch_size} x {width} are not square')
    for number in range(depth):
        block = f'backbone.stages.{number}'
        _expect(weights, f'{block}.0.fn.0.weight', (dims, 1, kernel_size, kernel_size))
        _expect(weights, f'{block}.1.weight', (dims, dims, 1, 1))
        for norm in (f'{block}.0.fn.2', f'{block}.3'):
            for name in ('weight', 'bias', 'running_mean', 'running_var'):
                _expect(weights, f'{norm}.{name}', (dims,))
    return ConvMixerShape(dims, depth, patch_size, kernel_size, in_channels,
                          _num_classes(weights, dims))


def _mixer(weights: Mapping[str, Tensor]) -> MixerShape:
    dims, _, patch_size, width = weights['backbone.patch_embed.projection.weight'].shape
    depth = _depth(weights, 'layers')
    tokens_mlp_dims, tokens = weights['backbone.layers.0.token_mix.layers.0.0.weight'].shape
    channels_mlp_dims = len(weights['backbone.layers.0.channel_mix.layers.0.0.weight'])
    if patch_size != width or isqrt(tokens)**2 != tokens:
        raise ValueError(f'{tokens} patches of {patch_size} x {width} make no square picture')
    for number in range(depth):
        for mix, hidden, size in (('token_mix', tokens_mlp_dims, tokens),
                                  ('channel_mix', channels_mlp_dims, dims)):
            layers = f'backbone.layers.{number}.{mix}.layers'
            _expect(weights, f'{layers}.0.0.weight', (hidden, size))
            _expect(weights, f'{layers}.1.weight', (size, hidden))
    return MixerShape(dims, depth, patch_size, isqrt(tokens) * patch_size, tokens_mlp_dims,
                      channels_mlp_dims, _num_classes(weights, dims))


def _depth(weights: Mapping[str, Tensor], part: str) -> int:
    numbers = {int(match[1]) for key in weights
               if (match := re.match(rf'backbone\.{part}\.(\d+)\.', key))}
    if numbers != set(range(len(numbers))):
        raise ValueError(f'of its {max(numbers) + 1} blocks some are missing')
    return len(numbers)


def _expect(weights: Mapping[str, Tensor], key: str, shape: tuple[int, ...]) -> None:
    if key not in weights:
        raise ValueError(f'{key} is missing')
    if tuple(weights[key].shape) != shape:
        raise ValueError(f'{key} is {tuple(weights[key].shape)}, expected {shape}')


def _num_classes(weights: Mapping[str, Tensor], dims: int) -> int | None:
    head = weights.get('head.fc.weight')
    if head is None:
        return None
    _expect(weights, 'head.fc.weight', (len(head), dims))
    return len(head)


def _channels(count: int) -> str:
    return '' if count == 3 else f', {count} input channel{"s" * (count != 1)}'


def _head(num_classes: int | None) -> str:
    return ', without a head' if num_classes is None else f', {num_classes} classes'
