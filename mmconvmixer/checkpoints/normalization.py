"""How images are normalized for a checkpoint, as the file says."""
import logging
import reprlib
from collections.abc import Mapping
from numbers import Real

import torch
from mmengine.logging import print_log
from torch import nn

from mmconvmixer.checkpoints.config_text import dicts_named
from mmconvmixer.errors import one_line

# Names of the normalization in configs of mmpretrain 1.x and mmcls 0.x, and the keys of the
# configs in the meta of their checkpoints.
_NAMES = ('data_preprocessor', 'img_norm_cfg')
_TEXTS = ('cfg', 'config')
# Of pixels from 0 to 255. Beyond these, what the network sees is not an image any more.
_LARGEST = 1e6
_SMALLEST_STD = 1e-6


def normalization_of(meta: Mapping, source: str = 'the checkpoint') -> dict | None:
    """Return mean, std (lists, one value per channel, in 0..255) and to_rgb; None if unknown.

    Args:
        meta: the checkpoint's meta.
        source: name of the checkpoint, for the warning about values that can't be used.
    """
    converted = meta.get('converted')
    for noted in (converted.get('preprocessing') if isinstance(converted, Mapping) else None,
                  meta.get('normalization')):  # of timm, see `hub_config`
        if isinstance(noted, Mapping):
            return _usable(noted, source)
    for text in (meta.get(key) for key in _TEXTS):
        if not isinstance(text, str):
            continue
        try:
            for found in dicts_named(_NAMES, text):
                if 'mean' in found and 'std' in found:
                    return _usable({'to_rgb': False, **found}, source)
        except ValueError as error:
            _warn(f'{source}: {error}; how images are normalized was not read from it')
    return None


def use_normalization(model: nn.Module, meta: Mapping, source: str) -> None:
    """Make the model normalize images as its weights expect, and log the change.

    Args:
        model: a classifier with a `data_preprocessor` that normalizes.
        meta: the checkpoint's meta.
        source: name of the checkpoint, for the log.
    """
    found, preprocessor = normalization_of(meta, source), getattr(model, 'data_preprocessor', None)
    if found is None or not getattr(preprocessor, '_enable_normalize', False):
        return
    own = dict(mean=preprocessor.mean.flatten().tolist(), std=preprocessor.std.flatten().tolist(),
               to_rgb=preprocessor.to_rgb)
    channels = len(own['mean'])
    if len(found['mean']) == 1:  # for all channels, in mmengine
        found = dict(found, mean=found['mean'] * channels, std=found['std'] * channels)
    if len(found['mean']) != channels:
        _warn(f'{source} has a mean of {len(found["mean"])} values, but the model normalizes '
              f'{channels} channels; it keeps its own mean and std')
        return
    if (_close(own['mean'], found['mean']) and _close(own['std'], found['std'])
            and own['to_rgb'] == found['to_rgb']):
        return
    for name in ('mean', 'std'):
        buffer = getattr(preprocessor, name)
        setattr(preprocessor, name, buffer.new_tensor(found[name]).view_as(buffer))
    preprocessor.to_rgb = found['to_rgb']
    print_log(f'{source} was trained on images with mean {found["mean"]}, std {found["std"]}, '
              f'{"RGB" if found["to_rgb"] else "BGR"}; the model now normalizes them so', 'current')


def _usable(found: Mapping, source: str) -> dict | None:
    """Return what a file says as floats; None with a warning if no image can be so normalized."""
    problem = _problem(found)
    if problem:
        _warn(f'{source} says how images are normalized, but {problem}; the model keeps its own '
              'mean and std')
        return None
    return dict(mean=[float(value) for value in found['mean']],
                std=[float(value) for value in found['std']], to_rgb=found['to_rgb'])


def _problem(found: Mapping) -> str:
    if not isinstance(found.get('to_rgb'), bool):
        return f'to_rgb is {reprlib.repr(found.get("to_rgb"))}, expected True or False'
    for name in ('mean', 'std'):
        values = found.get(name)
        if not isinstance(values, list | tuple) or not values or len(values) > 1000 or not all(
                isinstance(value, Real) and not isinstance(value, bool) for value in values):
            return f'{name} is not a list of numbers, one per channel'
        for value in values:
            if not abs(value) <= _LARGEST:  # also for NaN, and for numbers of 400 digits
                return f'{name} has {_short(value)}, expected numbers for pixels from 0 to 255'
    if min(found['std']) < _SMALLEST_STD:
        return f'std has {_short(min(found["std"]))}, expected positive numbers'
    if len(found['mean']) != len(found['std']):
        return f'mean has {len(found["mean"])} values and std {len(found["std"])}'
    return ''


def _short(value: Real) -> str:
    try:
        return f'{float(value):g}'
    except OverflowError:
        return 'a number of hundreds of digits'


def _close(one: list[float], other: list[float]) -> bool:
    return torch.allclose(torch.tensor(one), torch.tensor(other, dtype=torch.float32), rtol=1e-4)


def _warn(text: str) -> None:
    print_log(one_line(text), 'current', logging.WARNING)
