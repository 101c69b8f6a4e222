"""The names of this project's Keras networks: the torch module's name and the variable's.

`backbone.stem.0/kernel` corresponds to `backbone.stem.0.weight` in torch. The exporter to
TensorFlow gets the values of its layers from `from_mmpretrain`.
"""
import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from mmconvmixer.checkpoints.layouts.layout import Layout, Weights, unique

_DEPTHWISE = re.compile(r'backbone\.stages\.\d+\.0\.fn\.0')
_VARIABLES = dict(gamma='weight', beta='bias', bias='bias', moving_mean='running_mean',
                  moving_variance='running_var')
_IN_NORMS = dict(weight='gamma', bias='beta', running_mean='moving_mean',
                 running_var='moving_variance')


def _to_mmpretrain(weights: Mapping[str, Tensor]) -> Weights:
    def pairs() -> Iterator[tuple[str, Tensor]]:
        for key, value in weights.items():
            layer, _, variable = key.partition('/')
            if variable == 'kernel' and value.dim() in (2, 4):
                yield f'{layer}.weight', value.permute(_order(layer, value)).contiguous()
            elif variable in _VARIABLES:
                yield f'{layer}.{_VARIABLES[variable]}', value
            # Other variables belong to an optimizer or count something.
    return unique(pairs())


def _from_mmpretrain(weights: Mapping[str, Tensor]) -> Weights:
    norms = {key.rpartition('.')[0] for key, value in weights.items()
             if key.endswith('.weight') and value.dim() == 1}
    variables = {}
    for key, value in weights.items():
        layer, _, name = key.rpartition('.')
        if layer in norms:
            if name in _IN_NORMS:
                variables[f'{layer}/{_IN_NORMS[name]}'] = value
        elif name == 'weight':
            order = _order(layer, value)
            back = [order.index(dim) for dim in range(len(order))]
            variables[f'{layer}/kernel'] = value.permute(back).contiguous()
        else:
            variables[f'{layer}/{name}'] = value
    return variables


def _order(layer: str, kernel: Tensor) -> tuple[int, ...]:
    """Return the permutation from the axes of TensorFlow's kernel to torch's."""
    if kernel.dim() == 2:  # Dense: (in, out)
        return 1, 0
    if _DEPTHWISE.fullmatch(layer):  # DepthwiseConv2D: (h, w, channels, 1)
        return 2, 3, 0, 1
    return 3, 2, 0, 1  # Conv2D: (h, w, in, out)


CONVMIXER = Layout('keras', 'ConvMixer', frozenset((
    'backbone.stem.0/kernel', 'backbone.stages.0.0.fn.0/kernel')), _to_mmpretrain,
    _from_mmpretrain)
MIXER = Layout('keras', 'MLP-Mixer', frozenset((
    'backbone.patch_embed.projection/kernel', 'backbone.layers.0.token_mix.layers.0.0/kernel')),
    _to_mmpretrain, _from_mmpretrain)
