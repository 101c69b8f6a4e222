"""A network that was built in Keras, as a checkpoint.

What a file of weights does not say is Keras's default, unless the file has the whole model with its
config: BatchNorm's eps is 1e-3, GELU is exact, and a Rescaling layer divides by 255.
"""
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from mmconvmixer.checkpoints.layouts.flax_in_order import named_in_flax_order
from mmconvmixer.checkpoints.layouts.keras_in_order import named_in_order
from mmconvmixer.checkpoints.readers.keras_file import KerasNetwork
from mmconvmixer.checkpoints.unwrap import holds_a_network

_EPS, _TORCH_EPS = 1e-3, 1e-5  # of BatchNorm
_ACT_LAYERS = ('ReLU', 'LeakyReLU', 'PReLU', 'ELU')
_TORCH_ACTS = dict(gelu='GELU', relu='ReLU', swish='SiLU', silu='SiLU', elu='ELU')


def as_checkpoint(network: KerasNetwork) -> dict:
    """Return the weights as `state_dict`, and as `meta` what the network expects of its input.

    The layers of a ConvMixer that was built by hand get this project's names in Keras. Its
    BatchNorms' eps is folded into their variance, because torch's has another.
    """
    weights = None if holds_a_network(network.weights) else named_in_order(network.weights)
    if weights is None:
        return dict(state_dict=named_in_flax_order(network.weights) or network.weights, meta={})
    layers = [*_layers_in(network.config)]
    eps = next((each['epsilon'] for _, each in layers if _is_number(each.get('epsilon'))), _EPS)
    act = _act_in(layers)
    meta: dict[str, Any] = dict(act=act) if act else dict(likely_act='GELU')
    scale, offset = _rescaling(network, layers)
    if scale:
        channels = weights['backbone.stem.0/kernel'].shape[2]
        meta['normalization'] = dict(mean=[0. - offset / scale] * channels,
                                     std=[1 / scale] * channels, to_rgb=True)
    folded = {name: _folded(name, value, eps) for name, value in weights.items()}
    return dict(state_dict=folded, meta=meta)


def _act_in(layers: list[tuple[str, Mapping]]) -> str | None:
    """Return the activation that a model's config names, torch's name of it if it is usual."""
    named = [kind if kind in _ACT_LAYERS else each.get('activation') for kind, each in layers
             if kind != 'Dense']
    found = {name for name in named if isinstance(name, str)} - {'linear', 'softmax'}
    return _TORCH_ACTS.get(name := found.pop(), name) if len(found) == 1 else None


def _folded(name: str, value: Tensor, eps: float) -> Tensor:
    if not name.endswith('/moving_variance'):
        return value
    return (value.double() + (eps - _TORCH_EPS)).to(torch.promote_types(value.dtype, torch.float32))


def _rescaling(network: KerasNetwork, layers: list[tuple[str, Mapping]]) -> tuple[float, float]:
    """Return scale and offset of the layer that rescales images; (0, 0) without one."""
    for kind, config in layers:
        if kind == 'Rescaling' and _is_number(config.get('scale')) and config['scale'] > 0 and (
                _is_number(config.get('offset'))):
            return config['scale'], config['offset']
    return (1 / 255, 0.) if any('rescaling' in each for each in network.layers) else (0., 0.)


def _layers_in(config: Any) -> Iterator[tuple[str, Mapping]]:
    """Yield class and config of each layer in a model's config, and in models inside of it."""
    waiting = [config]
    while waiting:
        layer = waiting.pop()
        inside = layer.get('config') if isinstance(layer, Mapping) else None
        if isinstance(inside, Mapping):
            yield str(layer.get('class_name')), inside
            layers = inside.get('layers')
            waiting += layers if isinstance(layers, list) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
