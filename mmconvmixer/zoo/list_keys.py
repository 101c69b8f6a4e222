"""Check the `--cfg-options` keys that lead to an item of a list, such as `test_evaluator.0.topk`.

Where there is no list, mmengine makes a dict with the key '0', which fails when the run has made
its folder, or is lost without a word.
"""
from collections.abc import Collection, Mapping
from typing import Any

from mmengine.config import Config

from mmconvmixer.errors import BadConfig
from mmconvmixer.zoo.parameters import parameters_of

_HOOKS = ('custom_hooks', 'default_hooks')
_TO_ADD_A_HOOK = 'to add a hook, set default_hooks.NAME.type'


def check_list_keys(cfg: Config, key: str, value: Any, replaced: Collection[str] = ()) -> None:
    """Raise BadConfig if a key numbers an item that is not there, or gives a list no number.

    Args:
        cfg: the config, without the override.
        key: dotted.
        value: what is to be set.
        replaced: keys whose lists and dicts give way to a new dict (`_delete_=True`).
    """
    parts, node = key.split('.'), cfg
    for depth, part in enumerate(parts):
        prefix, below = '.'.join(parts[:depth]), parts[depth + 1:]
        if prefix in replaced:
            node = {}
        if isinstance(node, list | tuple):
            reason = _misfit(cfg, prefix, node, part, below, value)
            node = node[int(part)] if reason is None else None
        elif isinstance(node, Mapping | Config) and part in node:
            reason, node = None, node[part]
        elif part.isdecimal() and not _has_numbers(node):
            reason = _no_list(prefix, node, below)
        else:
            _check_missing(cfg, key, depth, node)
            return
        if reason is not None:
            raise _error(cfg, key, reason)


def _no_list(prefix: str, node: Any, below: list[str]) -> str:
    """Return why a key does not fit where it has a number and the config has no list."""
    is_dict = isinstance(node, Mapping | Config)
    if prefix in _HOOKS:
        way_out = _TO_ADD_A_HOOK
    elif is_dict:
        way_out = f'set {".".join([prefix, *(below or ["KEY"])])}'
    else:
        way_out = f'set {prefix}'
    return f'{prefix} is {"a dict" if is_dict else repr(node)} and not a list; {way_out}'


def _check_missing(cfg: Config, key: str, depth: int, node: Any) -> None:
    """Raise BadConfig if a key numbers an item of a list that the config does not have."""
    parts = key.split('.')
    number = next((at for at in range(depth + 1, len(parts)) if parts[at].isdecimal()), None)
    if number is not None and isinstance(node, Mapping | Config):
        missing = '.'.join(parts[:number])
        raise _error(cfg, key, f'there is no list {missing}'
                               f'{_instead(missing, parts[number + 1:])}')


def _misfit(cfg: Config, prefix: str, items: list | tuple, part: str, below: list[str],
            value: Any) -> str | None:
    """Return why a key does not fit the items of a list, None if it does."""
    count = f'{prefix} is a list of {len(items)}'
    if not part.isdecimal():
        taking = [number for number, item in enumerate(items) if isinstance(item, Mapping)
                  and (part in item or part in (
                      parameters_of(f'{prefix}.{number}', item, cfg) or ()))]
        number = taking[0] if taking else 'N'
        return f'{count}, numbered from 0; set {".".join([prefix, str(number), part, *below])}'
    if int(part) >= len(items):
        return f'{count}, numbered from 0, and has no {part}{_instead(prefix, below, True)}'
    item = items[int(part)]
    if isinstance(items, tuple) or not isinstance(item, Mapping | list | tuple):
        return (f'the items of {prefix} ({items!r:.100}) cannot be set one by one; '
                f'set {prefix}="[...]"')
    if not below and not isinstance(value, Mapping):
        keys = ', '.join(f'{prefix}.{part}.{each}' for each in [*item][:3])
        return f'item {part} of {prefix} cannot be replaced; set its keys, such as {keys}'
    return None


def _instead(prefix: str, below: list[str], is_list: bool = False) -> str:
    """Return a clause with what to do where there is no such item."""
    if prefix in _HOOKS:
        return f'; {_TO_ADD_A_HOOK}'
    if not below:
        return f'; set all of it, {prefix}="[...]"'
    if not is_list and (prefix == 'param_scheduler' or prefix.endswith('_evaluator')):
        return f'; set {prefix}.{".".join(below)}'  # one dict stands for a list of one
    return '; to add to it, write a config with this one in its _base_'


def _has_numbers(node: Any) -> bool:
    """Return whether a dict has numbers for keys, so that another may be one."""
    return isinstance(node, Mapping) and any(str(key).isdecimal() for key in node)


def _error(cfg: Config, key: str, reason: str) -> BadConfig:
    return BadConfig(f'{key} (--cfg-options) does not fit {cfg.filename}, where {reason}')
