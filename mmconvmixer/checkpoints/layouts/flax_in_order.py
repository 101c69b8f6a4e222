"""MLP-Mixers that were converted from JAX to TensorFlow, whose variables have no names.

The converters of the collection on TF-Hub put flax's weights into a list, as TensorFlow flattens
nested dicts: in the order of their keys. The length of the list says how many blocks there are.
"""
import re
from collections.abc import Mapping

from torch import Tensor

from mmconvmixer.checkpoints.layouts.layout import Weights

_PLACE = re.compile(r'\w+/\d+')
_DENSE, _NORM = ('bias', 'kernel'), ('bias', 'scale')
_IN_BLOCKS = {'LayerNorm_0': _NORM, 'LayerNorm_1': _NORM, **{
    f'{mix}_mixing/Dense_{number}': _DENSE for mix in ('channel', 'token') for number in (0, 1)}}
_BLOCK = sum(map(len, _IN_BLOCKS.values()))
_PARTS = {'head': _DENSE, 'pre_head_layer_norm': _NORM, 'stem': _DENSE}


def named_in_flax_order(weights: Mapping[str, Tensor]) -> Weights | None:
    """Return an MLP-Mixer's weights under flax's names, None if it is none.

    Args:
        weights: by their place in the list (`variables/12`), in its order.
    """
    blocks, others = divmod(len(weights), _BLOCK)
    if not blocks or others not in (4, 6) or not all(map(_PLACE.fullmatch, weights)):
        return None
    parts = _PARTS if others == 6 else {name: _PARTS[name] for name in [*_PARTS][1:]}
    in_order = sorted(f'MixerBlock_{number}' for number in range(blocks))
    names = [f'{block}/{layer}/{variable}' for block in in_order
             for layer, variables in _IN_BLOCKS.items() for variable in variables]
    names += [f'{layer}/{variable}' for layer, variables in parts.items() for variable in variables]
    named = dict(zip(names, weights.values(), strict=True))
    fits = all(value.dim() == _dims(name) for name, value in named.items())
    return named if fits else None


def _dims(name: str) -> int:
    return 4 if name == 'stem/kernel' else 2 if name.endswith('kernel') else 1
