"""flax's names and axes of a layer's variables, and torch's."""
from collections.abc import Mapping

from torch import Tensor

from mmconvmixer.checkpoints.layouts.layout import Weights, unique

_IN_NORMS = dict(weight='scale', running_mean='mean', running_var='var')
# keras-cv-attention-models has flax's layers, whose norms have Keras's variables.
_VARIABLES = {flax: torch for torch, flax in _IN_NORMS.items()} | dict(gamma='weight', beta='bias')


def from_flax(weights: Mapping[str, Tensor]) -> Weights:
    """Return weights whose last names are flax's (`stem.kernel`) with those of torch.

    Kernels are (h, w, in, out) or (in, out) in flax.

    Raises:
        ValueError: two weights get the same name.
    """
    def translated(key: str, value: Tensor) -> tuple[str, Tensor]:
        layer, _, variable = key.rpartition('.')
        if variable == 'kernel' and value.dim() in (2, 4):
            order = (3, 2, 0, 1) if value.dim() == 4 else (1, 0)
            return f'{layer}.weight', value.permute(order).contiguous()
        return (f'{layer}.{_VARIABLES[variable]}' if variable in _VARIABLES else key), value
    return unique(translated(key, value) for key, value in weights.items())


def to_flax(weights: Mapping[str, Tensor]) -> Weights:
    """Return weights whose last names are torch's (`stem/weight`) with those of flax."""
    flax = {}
    for key, value in weights.items():
        layer, _, variable = key.rpartition('/')
        if variable == 'weight' and value.dim() > 1:
            order = (2, 3, 1, 0) if value.dim() == 4 else (1, 0)
            flax[f'{layer}/kernel'] = value.permute(order).contiguous()
        else:
            flax[f'{layer}/{_IN_NORMS[variable]}' if variable in _IN_NORMS else key] = value
    return flax
