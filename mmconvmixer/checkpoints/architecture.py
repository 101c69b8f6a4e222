"""Read the architecture off the shapes of the weights: everything but the activation."""
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt

from torch import Tensor

from mmconvmixer.checkpoints.layouts.lookalikes import lookalike
from mmconvmixer.checkpoints.weights import Weights
from mmconvmixer.errors import BadCheckpoint


@dataclass(frozen=True)
class ConvMixerShape:
    """Sizes of a ConvMixer; `num_classes` is None without a head."""
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
    """Sizes of an MLP-Mixer for square images of `image_size` pixels."""
    embed_dims: int
    depth: int
    patch_size: int
    image_size: int
    tokens_mlp_dims: int
    channels_mlp_dims: int
    num_classes: int | None

    def __str__(self) -> str:
        return (f'MLP-Mixer-{self.embed_dims}/{self.depth}, patch {self.patch_size}, images of '
                f'{self.image_size}, hidden {self.tokens_mlp_dims} and {self.channels_mlp_dims}'
                f'{_head(self.num_classes)}')


Shape = ConvMixerShape | MixerShape


def read_architecture(weights: Weights, source: str = 'the checkpoint') -> Shape:
    """Return the sizes of the network that the weights belong to.

    Args:
        weights: what `state_dict_of` returned.
        source: name of the checkpoint, for messages.

    Raises:
        BadCheckpoint: the network is neither a ConvMixer nor an MLP-Mixer, or its
            tensors are incomplete or don't fit together.
    """
    if weights.family is None:
        if other := lookalike(weights):
            raise BadCheckpoint(f'{source} is {other}')
        raise BadCheckpoint(f'{source} is not a ConvMixer or MLP-Mixer with the names of a known '
                            'library (docs/checkpoints.md has a list); it begins with '
                            f'{", ".join([*weights][:3])}')
    try:
        return _convmixer(weights) if weights.family == 'ConvMixer' else _mixer(weights)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise BadCheckpoint(f'{source} is not a complete {weights.family}: {error}') from error


def _convmixer(weights: Mapping[str, Tensor]) -> ConvMixerShape:
    dims, in_channels, patch_size, _ = weights['backbone.stem.0.weight'].shape
    depth = _depth(weights, 'stages')
    kernel_size = weights['backbone.stages.0.0.fn.0.weight'].shape[-1]
    expected = _layer('backbone.stem.0', dims, in_channels, patch_size, patch_size)
    expected |= _norm('backbone.stem.2', dims)
    for number in range(depth):
        block = f'backbone.stages.{number}'
        expected |= _layer(f'{block}.0.fn.0', dims, 1, kernel_size, kernel_size)
        expected |= _norm(f'{block}.0.fn.2', dims)
        expected |= _layer(f'{block}.1', dims, dims, 1, 1) | _norm(f'{block}.3', dims)
    return ConvMixerShape(dims, depth, patch_size, kernel_size, in_channels,
                          _checked(weights, expected, dims))


def _mixer(weights: Mapping[str, Tensor]) -> MixerShape:
    dims, in_channels, patch_size, _ = weights['backbone.patch_embed.projection.weight'].shape
    depth = _depth(weights, 'layers')
    tokens_mlp_dims, tokens = weights['backbone.layers.0.token_mix.layers.0.0.weight'].shape
    channels_mlp_dims = len(weights['backbone.layers.0.channel_mix.layers.0.0.weight'])
    if isqrt(tokens)**2 != tokens:
        raise ValueError(f'{tokens} patches don\'t make a square image')
    expected = _layer('backbone.patch_embed.projection', dims, in_channels, patch_size, patch_size)
    expected |= _vectors('backbone.ln1', dims)
    for number in range(depth):
        block = f'backbone.layers.{number}'
        expected |= _vectors(f'{block}.ln1', dims) | _vectors(f'{block}.ln2', dims)
        for mix, hidden, size in (('token_mix', tokens_mlp_dims, tokens),
                                  ('channel_mix', channels_mlp_dims, dims)):
            expected |= _layer(f'{block}.{mix}.layers.0.0', hidden, size)
            expected |= _layer(f'{block}.{mix}.layers.1', size, hidden)
    return MixerShape(dims, depth, patch_size, isqrt(tokens) * patch_size, tokens_mlp_dims,
                      channels_mlp_dims, _checked(weights, expected, dims))


Shapes = dict[str, tuple[int, ...]]


def _layer(name: str, *shape: int) -> Shapes:
    return {f'{name}.weight': shape, f'{name}.bias': shape[:1]}


def _vectors(name: str, dims: int, vectors: Sequence[str] = ('weight', 'bias')) -> Shapes:
    return {f'{name}.{vector}': (dims,) for vector in vectors}


def _norm(name: str, dims: int) -> Shapes:
    return _vectors(name, dims, ('weight', 'bias', 'running_mean', 'running_var'))


def _depth(weights: Mapping[str, Tensor], part: str) -> int:
    numbers = {int(match[1]) for key in weights
               if (match := re.match(rf'backbone\.{part}\.([0-9]{{1,6}})\.', key))}
    if numbers != set(range(len(numbers))):
        raise ValueError(f'some of its {max(numbers) + 1} blocks are missing')
    return len(numbers)


def _checked(weights: Mapping[str, Tensor], expected: Shapes, dims: int) -> int | None:
    """Check names and shapes; return the number of classes, None without a head."""
    head = weights.get('head.fc.weight')
    if head is not None:
        expected = expected | _layer('head.fc', len(head), dims)
    for key, shape in expected.items():
        if key not in weights:
            raise ValueError(f'{key} is missing')
        value = weights[key]
        if tuple(value.shape) != shape or not value.is_floating_point():
            raise ValueError(f'{key} is {tuple(value.shape)} of {value.dtype}, expected {shape} of '
                             'a floating-point type')
    unknown = [key for key in weights
               if key not in expected and not key.endswith('.num_batches_tracked')]
    if unknown:
        raise ValueError(f'{unknown[0]} does not belong to any part of it')
    return None if head is None else len(head)


def _channels(count: int) -> str:
    return '' if count == 3 else f', {count} input channel{"s" * (count != 1)}'


def _head(num_classes: int | None) -> str:
    return ', without a head' if num_classes is None else f', {num_classes} classes'
