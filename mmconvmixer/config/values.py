"""Check the values of a config that a command line most often gets wrong.

mmengine and torch use most of them without a check, and fail much later or in other words.
"""
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any

from mmengine.config import Config

from mmconvmixer.errors import BadConfig


def check_values(cfg: Config) -> None:
    """Raise BadConfig for a number in the config that is none, or out of its range."""
    for key, (is_right, expected) in _RULES.items():
        for found, value in _at(cfg, key.split('.')):
            if not is_right(value):
                raise BadConfig(f'{found} is {value!r}, expected {expected}'
                                + _hint(value, expected))


def _whole(least: int, also: tuple = ()) -> Callable[[Any], bool]:
    return lambda value: any(value is each for each in also) or (
        isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least)


def _number(least: float) -> Callable[[Any], bool]:
    return lambda value: (isinstance(value, Real) and not isinstance(value, bool)
                          and least <= float(value) < float('inf'))


def _truth(value: Any) -> bool:
    return value is None or isinstance(value, bool) or value in (0, 1)


_POSITIVE = _whole(1), 'a whole number, 1 or more'
_FROM_0 = _whole(0), 'a whole number, 0 or more'
# Rules by dotted key.
_RULES = {
    **{f'{name}_dataloader.batch_size': (_whole(1, (None,)), _POSITIVE[1])
       for name in ('train', 'val', 'test')},
    **{f'{name}_dataloader.num_workers': _FROM_0 for name in ('train', 'val', 'test')},
    **{f'train_cfg.{name}': _POSITIVE for name in ('max_epochs', 'max_iters', 'val_interval')},
    'train_cfg.val_begin': _FROM_0,
    'val_cfg.fp16': (_truth, 'True or False'), 'test_cfg.fp16': (_truth, 'True or False'),
    'optim_wrapper.optimizer.lr': (_number(0), 'a number, 0 or more'),
    'optim_wrapper.optimizer.weight_decay': (_number(0), 'a number, 0 or more'),
    'optim_wrapper.accumulative_counts': _POSITIVE,
    'optim_wrapper.clip_grad.max_norm': (_number(0), 'a number, 0 or more'),
    'default_hooks.checkpoint.interval': (
        lambda value: value == -1 or _number(0)(value) and value > 0,
        'a number above 0, or -1 for none'),
    'default_hooks.checkpoint.max_keep_ckpts': (
        _whole(-1), 'a whole number, 1 or more, or -1 for all'),
    'default_hooks.logger.interval': _POSITIVE,
    'randomness.seed': (_whole(0, (None,)), 'a whole number, 0 or more, or None'),
}


def _at(node: Any, parts: list[str], prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value at a place of a config, if it has that place."""
    part, *rest = parts
    if isinstance(node, dict | Config) and part in node:
        key = f'{prefix}{part}'
        if rest:
            yield from _at(node[part], rest, f'{key}.')
        else:
            yield key, node[part]


def _hint(value: Any, expected: str) -> str:
    if isinstance(value, list | tuple) and len(value) == 2 and 'number' in expected:
        return f'. A decimal point is a point: {value[0]}.{value[1]}'
    return ''
