"""The weights in a checkpoint, under mmpretrain's names."""
import logging
import re
from collections import OrderedDict
from collections.abc import Mapping

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmconvmixer.checkpoints.layouts import recognize
from mmconvmixer.checkpoints.origin import origin_of
from mmconvmixer.errors import BadCheckpoint

# The key under which timm's training script, also used by the authors, saves averaged weights.
# (mmengine saves the average in `state_dict` itself.)
AVERAGE = 'state_dict_ema'
# The prefixes that DataParallel and torch.compile add to every name.
_WRAPPERS = re.compile(r'^(module\.|_orig_mod\.)+')
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn,
           torch.float8_e5m2)


class Weights(dict[str, Tensor]):
    """A state dict with mmpretrain's names that knows where it comes from.

    Attributes:
        layout: the library whose names the file has: 'official', 'timm', 'flax',
            'mmpretrain' or 'keras'; None for a network of another family.
        family: 'ConvMixer', 'MLP-Mixer' or None.
        numerics: a key of `checkpoints.numerics.NUMERICS`, or None.
        averaged: whether these are averages over the training.
        origin: a sentence that names the config they were trained with; '' if unknown.
    """
    layout: str | None = None
    family: str | None = None
    numerics: str | None = None
    averaged: bool = False
    origin: str = ''

    def __reduce__(self) -> tuple:
        # Saved as a plain state dict: safe readers would refuse this class.
        return OrderedDict, (), None, None, iter(self.items())


def state_dict_of(checkpoint: Mapping, source: str = 'the checkpoint',
                  ema: bool | None = None) -> Weights:
    """Return the weights in a checkpoint, under mmpretrain's names.

    The prefixes of DataParallel and torch.compile are removed. The weights of other
    networks than those in `checkpoints.layouts` keep their names.

    Args:
        checkpoint: what `read_checkpoint` returned.
        source: name of the checkpoint, for messages.
        ema: True for the averaged weights, False for the last ones; None prefers the
            averaged weights if there are any.

    Raises:
        BadCheckpoint: there are no (averaged) weights, or two tensors have the same name.
    """
    averaged = ema is not False and isinstance(checkpoint.get(AVERAGE), Mapping)
    if ema and not averaged:
        raise BadCheckpoint(f'{source} has no averaged weights; expected the key {AVERAGE}, got '
                            f'{_keys(checkpoint)}')
    weights = checkpoint.get(AVERAGE if averaged else 'state_dict', checkpoint)
    if not _are_weights(weights):
        raise BadCheckpoint(f'{source} holds no weights: expected the key state_dict, or '
                            f'tensors only; got {_keys(checkpoint)}')
    plain = {_WRAPPERS.sub('', key): value.detach() for key, value in weights.items()}
    if len(plain) < len(weights):
        raise BadCheckpoint(f'{source} has the same weights with and without the prefix module.; '
                            'it is unclear which to load. Remove one of them')
    _check_numbers(plain, source)
    layout = recognize(plain)
    try:
        result = Weights(layout.to_mmpretrain(plain) if layout else plain)
    except ValueError as error:
        raise BadCheckpoint(f'{source} has two tensors for one weight: {error}') from error
    result.averaged, result.origin = averaged, origin_of(checkpoint, source)
    if layout:
        result.layout, result.family = layout.name, layout.family
        result.numerics = _converted(checkpoint).get('numerics', layout.numerics)
    return result


def has_weights(checkpoint: Mapping) -> bool:
    """Whether `state_dict_of` finds weights in a checkpoint."""
    return any(_are_weights(checkpoint.get(key, checkpoint)) for key in (AVERAGE, 'state_dict'))


def _are_weights(content: object) -> bool:
    return isinstance(content, Mapping) and bool(content) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())


def _converted(checkpoint: Mapping) -> Mapping:
    """Return what `convert` recorded in the file, {} if it was not converted."""
    meta = checkpoint.get('meta')
    converted = meta.get('converted') if isinstance(meta, Mapping) else None
    return converted if isinstance(converted, Mapping) else {}


def _keys(checkpoint: Mapping) -> str:
    names = list(map(str, checkpoint))
    return f'the keys {", ".join(names[:8])}' + (', ...' if len(names) > 8 else '')


def _check_numbers(weights: Mapping[str, Tensor], source: str) -> None:
    """Refuse sparse, meta and quantized tensors; warn about NaN and infinity."""
    for key, value in weights.items():
        if value.layout is not torch.strided or value.device.type == 'meta' or (
                value.is_floating_point() and value.dtype not in _FLOATS):
            raise BadCheckpoint(f'{source} has {key} as a {value.layout} tensor of {value.dtype} '
                                f'on {value.device}; expected a dense tensor of plain numbers')
    bad = [key for key, value in weights.items()
           if value.is_floating_point() and not torch.isfinite(value.float()).all()]
    if bad:
        print_log(f'{source} has NaN or infinity in {", ".join(bad[:4])}'
                  + (f' and {len(bad) - 4} more' if len(bad) > 4 else ''), 'current',
                  logging.WARNING)
