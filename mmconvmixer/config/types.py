"""Check that the classes exist that a run builds once it has made its folder."""
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import mmpretrain.registry as host
from mmengine.config import Config
from mmengine.registry import Registry

from mmconvmixer.errors import BadConfig, nearest
from mmconvmixer.zoo.parameters import KNOWN_CONSTRUCTORS

# The registry of the classes in a section, by the end of its key, and the key in some sections
# whose dicts have classes of their own. Further below, classes have arguments of any kind.
_REGISTRIES = {'_hooks': 'HOOKS', '_cfg': 'LOOPS', '_evaluator': 'METRICS',
               'visualizer': 'VISUALIZERS', 'log_processor': 'LOG_PROCESSORS',
               'optim_wrapper': 'OPTIM_WRAPPERS', 'param_scheduler': 'PARAM_SCHEDULERS'}
_BELOW = {'visualizer': ('vis_backends', 'VISBACKENDS'), 'optim_wrapper': (
    'optimizer', 'OPTIMIZERS'), 'val_evaluator': ('metrics', 'METRICS'), 'test_evaluator': (
        'metrics', 'METRICS')}
# Every run builds these.
_ALWAYS = ('default_hooks', 'custom_hooks', 'visualizer', 'log_processor')
_OTHERS = ('train_cfg', 'val_cfg', 'test_cfg', 'optim_wrapper', 'param_scheduler', 'val_evaluator',
           'test_evaluator')


def check_types(cfg: Config, *sections: str) -> None:
    """Raise BadConfig for a `type` that is not registered, and for a value where a dict belongs.

    Args:
        cfg: the config of a run.
        sections: its keys that this run builds, besides those that every run does.
    """
    if cfg.get('default_scope') != 'mmpretrain':
        return
    if isinstance(cfg.get('custom_hooks'), Mapping):
        raise BadConfig('custom_hooks is a dict, expected a list of dicts; to add one hook, set '
                        'default_hooks.NAME.type')
    for section in (*_ALWAYS, *_OTHERS):
        name = next(name for end, name in _REGISTRIES.items() if section.endswith(end))
        for key, kind, registry, scope in _types(cfg.get(section), section, name):
            if section in (*_ALWAYS, *sections) and not _has(registry, kind, scope):
                raise BadConfig(
                    f'{key} is {kind}, which is not registered; nearest: '
                    f'{nearest(kind, _names(registry))}. Classes of your own are registered when '
                    'custom_imports names their module')


def _types(node: Any, key: str, name: str) -> Iterator[tuple[str, str, Registry, str | None]]:
    """Yield the dotted key of each `type` that is a name, the name, its registry and scope."""
    if isinstance(node, list | tuple):
        for number, item in enumerate(node):
            yield from _types(item, f'{key}.{number}', name)
    elif isinstance(node, Mapping):
        if key == 'default_hooks':
            for hook, options in node.items():
                yield from _types(options, f'{key}.{hook}', name)
            return
        if key == 'optim_wrapper' and node.get('constructor') not in KNOWN_CONSTRUCTORS:
            return  # a user's constructor may build anything
        below, name_below = _BELOW.get(key, ('', ''))
        if isinstance(node.get('type'), str):
            yield (f'{key}.type', node['type'], getattr(
                host, 'EVALUATORS' if below == 'metrics' in node else name), node.get('_scope_'))
        if below in node:
            yield from _types(node[below], f'{key}.{below}', name_below)
    elif isinstance(node, str | int | float):
        way_out = ('; to add a hook, set default_hooks.NAME.type' if '_hooks' in key else
                   f'; set {key}.type' if '.' not in key else '')
        raise BadConfig(f'{key} is {node!r}, expected a dict with the key type{way_out}')


def _has(registry: Registry, kind: str, scope: str | None) -> bool:
    try:
        with registry.switch_scope_and_registry(scope or 'mmpretrain') as scoped:
            return scoped.get(kind) is not None
    except RuntimeError:  # mmengine's, for a dotted name that cannot be imported
        return False


def _names(registry: Registry | None) -> Iterable[str]:
    while registry is not None:
        yield from registry.module_dict
        registry = registry.parent
