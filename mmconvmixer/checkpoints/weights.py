"""The weights in a checkpoint, under mmpretrain's names."""
import logging
import reprlib
from collections import OrderedDict
from collections.abc import Mapping

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmconvmixer.checkpoints.layouts import recognize
from mmconvmixer.checkpoints.meta import act_in, meta_of
from mmconvmixer.checkpoints.origin import origin_of
from mmconvmixer.checkpoints.places import AVERAGES, describe_choice, find_weights
from mmconvmixer.checkpoints.unwrap import Found, are_weights
from mmconvmixer.errors import BadCheckpoint, one_line

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn,
           torch.float8_e5m2)


class Weights(dict[str, Tensor]):
    """A state dict with mmpretrain's names that knows where it comes from.

    Attributes:
        layout: the name of one of `checkpoints.layouts.LAYOUTS`, such as 'official' or
            'timm'; None for a network of another family.
        family: 'ConvMixer', 'MLP-Mixer' or None.
        numerics: a key of `checkpoints.numerics.NUMERICS`, or None.
        act: the activation that the checkpoint names, None if it does not or guessed it.
        act_is_known: whether it knows it, or networks of its kind usually have it.
        averaged: whether these are averages over the training.
        origin: a sentence that names the config they were trained with; '' if unknown.
    """
    layout: str | None = None
    family: str | None = None
    numerics: str | None = None
    act: str | None = None
    act_is_known: bool = False
    averaged: bool = False
    origin: str = ''

    def __reduce__(self) -> tuple:
        # Saved as a plain state dict: safe readers would refuse this class.
        return OrderedDict, (), None, None, iter(self.items())


def state_dict_of(checkpoint: Mapping, source: str = 'the checkpoint',
                  ema: bool | None = None) -> Weights:
    """Return the weights in a checkpoint, under mmpretrain's names.

    What wrappers added to the names is removed (`checkpoints.unwrap`), and logged unless
    it is usual. The weights of other networks than those in `checkpoints.layouts` keep
    their names.

    Args:
        checkpoint: what `read_checkpoint` returned.
        source: name of the checkpoint, for messages.
        ema: True for the averaged weights, False for the last ones; None prefers the
            averaged weights if there are any.

    Raises:
        BadCheckpoint: there are no (averaged) weights, those of several networks, or two
            tensors with the same name.
    """
    found = find_weights(checkpoint, source, ema)
    if found is None and ema:
        raise BadCheckpoint(f'{source} has no averaged weights; expected the key {AVERAGES[0]}, '
                            f'got {_keys(checkpoint)}')
    if found is None:
        raise BadCheckpoint(f'{source} holds no weights: expected the key state_dict, or '
                            f'tensors only; got {_keys(checkpoint)}')
    _check_numbers(found.weights, source)
    if choice := describe_choice(found):
        print_log(one_line(f'{source}: {choice}'), 'current', logging.INFO)
    if found.prefix:
        print_log(one_line(f'{source}: {_description(found)}'), 'current',
                  logging.WARNING if found.left_out else logging.INFO)
    plain = {key: value.detach() for key, value in found.weights.items()}
    layout = recognize(plain)
    try:
        result = Weights(layout.to_mmpretrain(plain) if layout else plain)
    except ValueError as error:
        raise BadCheckpoint(f'{source} has two tensors for one weight: {error}') from error
    result.averaged, result.origin = found.averaged, origin_of(checkpoint, source)
    if layout:
        result.layout, result.family = layout.name, layout.family
        act, how = act_in(meta_of(checkpoint))
        result.act, result.act_is_known = None if how == 'guessed' else act, how == 'known'
        result.numerics = _converted(checkpoint).get('numerics', layout.numerics)
    return result


def renamed_for_mmengine(checkpoint: Mapping, source: str) -> Mapping:
    """Return a checkpoint that mmengine can load into a network with mmpretrain's names.

    mmengine expects the weights under `state_dict`, or no other keys. It removes
    `module.` itself. A checkpoint that needs nothing else is returned as it is.

    Args:
        checkpoint: what `read_checkpoint` returned.
        source: name of the checkpoint, for messages.

    Raises:
        BadCheckpoint: see `state_dict_of`.
    """
    found = find_weights(checkpoint, source, ema=None)
    if found is None or _suits_mmengine(checkpoint, found):
        return checkpoint
    weights = state_dict_of(checkpoint, source)
    if weights.numerics:
        print_log(f'{source} comes from {weights.numerics}, whose GELU or LayerNorm differs '
                  'slightly (docs/checkpoints.md); load it with load_from or get_model to get '
                  'the same outputs', 'current', logging.WARNING)
    return dict(weights) if are_weights(checkpoint) else {**checkpoint, 'state_dict': dict(weights)}


def _suits_mmengine(checkpoint: Mapping, found: Found) -> bool:
    own, layout = checkpoint.get('state_dict', checkpoint), recognize(found.weights)
    return (found.place in ('', 'state_dict') and are_weights(own)
            and found.weights.keys() == {key.removeprefix('module.') for key in own}
            and (layout is None or layout.name == 'mmpretrain'))


def _description(found: Found) -> str:
    text = f'the names of the network begin with {found.prefix}, which was removed'
    if found.left_out:
        text += (f'; {len(found.left_out)} other tensors were left out '
                 f'({", ".join(found.left_out[:4])})')
    return text


def _converted(checkpoint: Mapping) -> Mapping:
    """Return what `convert` recorded in the file, {} if it was not converted."""
    meta = checkpoint.get('meta')
    converted = meta.get('converted') if isinstance(meta, Mapping) else None
    return converted if isinstance(converted, Mapping) else {}


def _keys(checkpoint: Mapping) -> str:
    # Keys may be tuples in tuples, whose text Python gives up on.
    names = [key if isinstance(key, str) else reprlib.repr(key) for key in [*checkpoint][:8]]
    return f'the keys {", ".join(names)}' + (', ...' if len(checkpoint) > 8 else '')


def _check_numbers(weights: Mapping[str, Tensor], source: str) -> None:
    """Refuse all but dense tensors of plain numbers; warn about NaN and infinity."""
    for key, value in weights.items():
        # Other classes of tensors compute in their own ways, even what their layout is.
        if type(value) not in (Tensor, nn.Parameter) or value.is_nested or (
                value.layout is not torch.strided or value.device.type == 'meta'
                or value.is_quantized or value.is_floating_point() and value.dtype not in _FLOATS):
            kind = 'nested' if value.is_nested else value.layout
            raise BadCheckpoint(f'{source} has {key} as a {kind} {type(value).__name__} of '
                                f'{value.dtype} on {value.device}; expected a dense tensor of '
                                'plain numbers')
    bad = [key for key, value in weights.items()
           if value.is_floating_point() and not torch.isfinite(value.float()).all()]
    if bad:
        more = f' and {len(bad) - 4} more' if len(bad) > 4 else ''
        print_log(one_line(f'{source} has NaN or infinity in {", ".join(bad[:4])}{more}'),
                  'current', logging.WARNING)
