"""This project's own names in TensorFlow: each layer has its torch module's, and owns variables.

`backbone.stem.0/kernel` is what `backbone.stem.0.weight` is in torch. The
exporter to TensorFlow joins here: `from_mmpretrain` gives its layers their values.
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


def _to_ours(weights: Mapping[str, Tensor]) -> Weights:
    def ours() -> Iterator[tuple[str, Tensor]]:
        for key, value in weights.items():
            layer, _, variable = key.partition('/')
            if variable == 'kernel' and value.dim() in (2, 4):
                yield f'{layer}.weight', value.permute(_order(layer, value)).contiguous()
            elif variable in _VARIABLES:
                yield f'{layer}.{_VARIABLES[variable]}', value
            # Else an optimizer's or a counter: no weight.
    return unique(ours())


def _from_ours(weights: Mapping[str, Tensor]) -> Weights:
    norms = {key.rpartition('.')[0] for key, value in weights.items()
             if key.endswith('.weight') and value.dim() == 1}
    theirs = {}
    for key, value in weights.items():
        layer, _, name = key.rpartition('.')
        if layer in norms:
            if name in _IN_NORMS:
                theirs[f'{layer}/{_IN_NORMS[name]}'] = value
        elif name == 'weight':
            order = _order(layer, value)
            back = [order.index(dim) for dim in range(len(order))]
            theirs[f'{layer}/kernel'] = value.permute(back).contiguous()
        else:
            theirs[f'{layer}/{name}'] = value
    return theirs


def _order(layer: str, kernel: Tensor) -> tuple[int, ...]:
    """Return the permutation that makes torch's weight of TensorFlow's kernel."""
    if kernel.dim() == 2:  # Dense: (in, out)
        return 1, 0
    if _DEPTHWISE.fullmatch(layer):  # DepthwiseConv2D: (h, w, channels, 1)
        return 2, 3, 0, 1
    return 3, 2, 0, 1  # Conv2D: (h, w, in, out)


CONVMIXER = Layout('keras', 'ConvMixer', frozenset((
    'backbone.stem.0/kernel', 'backbone.stages.0.0.fn.0/kernel')), _to_ours, _from_ours)
MIXER = Layout('keras', 'MLP-Mixer', frozenset((
    'backbone.patch_embed.projection/kernel', 'backbone.layers.0.token_mix.layers.0.0/kernel')),
    _to_ours, _from_ours)
