"""Weights for networks with another head, or without one: all but those of the head."""
from collections.abc import Mapping

from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from mmconvmixer.checkpoints.weights import Weights
from mmconvmixer.errors import BadConfig

_HEAD = 'head.'


def with_own_head(model: nn.Module, weights: Mapping[str, Tensor]) -> Weights:
    """Return the weights with the model's own head in place of the checkpoint's.

    Other differences stay: `load_weights` reports them as errors, as always.

    Args:
        model: a classifier, wrapped or not.
        weights: what `state_dict_of` returned.

    Raises:
        BadConfig: the model has no head.
    """
    while is_model_wrapper(model):
        model = model.module
    own = {key: value for key, value in model.state_dict().items() if key.startswith(_HEAD)}
    if not own:
        raise BadConfig('new_head = True initializes a new head, but the model has none; remove '
                        'new_head')
    changed = without_head(weights)
    changed.update(own)
    return changed


def without_head(weights: Mapping[str, Tensor]) -> Weights:
    """Return all weights but those of the head; they know where they come from as before."""
    rest = Weights({key: value for key, value in weights.items() if not key.startswith(_HEAD)})
    rest.__dict__.update(getattr(weights, '__dict__', {}))
    return rest


def class_count(weights: Mapping[str, Tensor]) -> int | None:
    """Return the number of classes of the head, None if there is no head."""
    last = [value for key, value in weights.items()
            if key.startswith(_HEAD) and key.endswith('weight')]
    return len(last[-1]) if last else None


def describe_head(weights: Mapping[str, Tensor]) -> str:
    """Return the size of the head, such as `1000 classes`, or `no head`."""
    count = class_count(weights)
    return 'no head' if count is None else f'{count} classes'
