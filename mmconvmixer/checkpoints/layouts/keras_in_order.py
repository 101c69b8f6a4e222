"""ConvMixers that were built in Keras, whose layers have the names that Keras gives them.

Keras counts the layers of each class: `conv2d`, `batch_normalization_3`. Their order says which is
which, and their shapes whether it can be a ConvMixer.
"""
from collections.abc import Mapping

from torch import Tensor

from mmconvmixer.checkpoints.layouts.layout import Weights

_NORM = {'gamma', 'beta', 'moving_mean', 'moving_variance'}


def named_in_order(weights: Mapping[str, Tensor]) -> Weights | None:
    """Return a ConvMixer's weights under this project's names in Keras, None if it is none.

    Args:
        weights: by layer and variable, those of layers of one class in their order.
    """
    layers: dict[str, dict[str, Tensor]] = {}
    for name, value in weights.items():
        layer, _, variable = name.rpartition('/')
        layers.setdefault(layer, {})[variable] = value
    convolutions, depthwise, norms, heads = [], [], [], []
    for variables in layers.values():
        kernel = variables.get('kernel')
        if variables.keys() == _NORM:
            norms.append(variables)
        elif variables.keys() != {'kernel', 'bias'} or kernel is None:
            return None
        elif kernel.dim() == 2:
            heads.append(variables)
        elif kernel.dim() != 4:
            return None
        else:  # a depthwise kernel is (h, w, channels, 1)
            (depthwise if kernel.shape[3] == 1 else convolutions).append(variables)
    depth = len(depthwise)
    if not depth or len(heads) > 1 or (len(convolutions), len(norms)) != (depth + 1, 2 * depth + 1):
        return None
    stem, *pointwise = convolutions
    width = stem['kernel'].shape[-1]
    if any(each['kernel'].shape != (1, 1, width, width) for each in pointwise) or any(
            each['kernel'].shape[2:] != (width, 1) for each in depthwise) or any(
            each['gamma'].shape != (width,) for each in norms):
        return None
    places = {'backbone.stem.0': stem, 'backbone.stem.2': norms[0]}
    for number in range(depth):
        block = f'backbone.stages.{number}'
        places |= {f'{block}.0.fn.0': depthwise[number], f'{block}.0.fn.2': norms[2 * number + 1],
                   f'{block}.1': pointwise[number], f'{block}.3': norms[2 * number + 2]}
    if heads:
        places['head.fc'] = heads[0]
    return {f'{place}/{variable}': value for place, variables in places.items()
            for variable, value in variables.items()}
