"""Check that something reads the config keys that a user sets with `--cfg-options`.

mmengine accepts any key, and what nothing reads changes nothing: a misspelt option would be
lost without a word.
"""
import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry

from mmconvmixer.errors import BadConfig, nearest
from mmconvmixer.zoo.parameters import parameters_of

# What mmengine's Runner reads from a config besides its own arguments, then what mmpretrain's
# tools read, then what this package does.
_TOP = {'sync_bn', 'find_unused_parameters', 'model_wrapper_cfg', 'activation_checkpointing',
        'efficient_conv_bn_eval', 'compile', 'custom_imports', 'tta_model', 'tta_pipeline',
        'on_unreadable', 'freeze', 'new_head'}
# What only mmengine's FlexibleRunner reads.
_OTHER_RUNNER = ('runner_type', 'strategy')
# mmengine's own classes, and those of what it is built on, read nothing else from a config.
_KNOWN_PACKAGES = {'mmengine', 'mmpretrain', 'mmcv', 'mmconvmixer', 'torch', 'torchvision',
                   'builtins', 'transformers', 'timm'}


def check_overrides(cfg: Config, overrides: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Raise BadConfig for a key that nothing reads.

    Args:
        cfg: the config, with the overrides.
        overrides: values by dotted key.
        before: the config without the overrides.

    A key of the top level is read by mmengine, mmpretrain or this package, or by a class or
    module of the user's (whose source is searched for it), or it stands in the config for
    another reader. A key that the config only uses to make other values comes too late. Below
    the top level, the arguments of the class that is built from a dict decide; a class with
    `**kwargs` is left to refuse what it does not know.
    """
    for key in overrides:
        top, *rest = key.split('.')
        if top == 'launcher':
            raise BadConfig(f'{key} (--cfg-options) is read by nothing; give --launcher')
        if top in _OTHER_RUNNER:
            check_runner(cfg)
            continue
        if top not in _top_keys() and not _is_read(cfg, top):
            copies = _copies(before, top)
            if top in _variables(cfg.text) or (copies and isinstance(before[top], dict | list)):
                raise BadConfig(
                    f'{key} (--cfg-options) is only a variable of {cfg.filename}, whose value is '
                    f'used while the config is read; set '
                    f'{", ".join(copies) or "the keys that are made from it"} instead')
            if top not in before:
                raise BadConfig(f'{key} (--cfg-options) is read by nothing; nearest: '
                                f'{_nearest(before, key)}')
        if rest:
            _check_below(cfg, key)


def check_runner(cfg: Config) -> None:
    """Raise BadConfig if the config asks for a runner that is not used here."""
    for key in _OTHER_RUNNER:
        value = cfg.get(key)
        if value not in (None, 'Runner', {}):
            raise BadConfig(f"{key} is {value!r}, which mmengine's FlexibleRunner reads, and this "
                            "package runs on mmengine's Runner only; remove runner_type and "
                            'strategy. For several processes there is launcher (--launcher)')


def _top_keys() -> set[str]:
    from mmengine.runner import Runner
    return _TOP | (inspect.signature(Runner).parameters.keys() - {'cfg'})


def _variables(text: str) -> set[str]:
    """Return the names that a config's text uses to make other values."""
    used = set(re.findall(r'\{\{\s*_base_\.(\w+)', text))
    for node in ast.walk(_parsed(text)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            used.add(node.id)
        elif (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
              and node.value.id == '_base_'):
            used.add(node.attr)
    return used


def _parsed(text: str) -> ast.Module:
    # mmengine puts the path of each file before its text, and it is no Python.
    lines = [line for line in text.splitlines() if not re.fullmatch(r'\S.*\.(py|json|ya?ml)', line)]
    try:
        return ast.parse(re.sub(r'\{\{.*?\}\}', 'None', '\n'.join(lines)))
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _is_read(cfg: Config, key: str) -> bool:
    """Return whether the user's own modules or registered classes read this key of a config."""
    return any(_reads(source, key) for source in _sources(cfg))


def _sources(cfg: Config) -> Iterator[str]:
    imports = (cfg.get('custom_imports') or {}).get('imports') or ()
    roots = {name.split('.')[0] for name in ([imports] if isinstance(imports, str) else imports)}
    for name, module in list(sys.modules.items()):
        if name.split('.')[0] in roots - _KNOWN_PACKAGES:
            with suppress(OSError, TypeError):
                yield inspect.getsource(module)
    import mmpretrain.registry as host
    for registry in vars(host).values():
        for cls in list(registry.module_dict.values()) if isinstance(registry, Registry) else ():
            if str(getattr(cls, '__module__', '')).split('.')[0] not in _KNOWN_PACKAGES:
                with suppress(OSError, TypeError):
                    yield textwrap.dedent(inspect.getsource(cls))


def _reads(source: str, key: str) -> bool:
    """Return whether Python code has `cfg.key`, `cfg['key']`, `cfg.get('key')` or the like."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found, owner = node.attr == key, node.value
        elif isinstance(node, ast.Subscript):
            found, owner = _is_text(node.slice, key), node.value
        elif isinstance(node, ast.Call) and node.args:
            found = any(_is_text(argument, key) for argument in node.args)
            owner = node.func.value if isinstance(node.func, ast.Attribute) else node.args[0]
        elif isinstance(node, ast.Compare):
            found, owner = _is_text(node.left, key), node.comparators[0]
        else:
            continue
        if found and re.search('cfg|config', ast.unparse(owner), re.IGNORECASE):
            return True
    return False


def _is_text(node: ast.AST, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def _copies(before: Mapping[str, Any], name: str) -> list[str]:
    """Return dotted keys of the config that hold the value of a variable."""
    known = _top_keys()
    return [key for key, value in _items(before) if name in before and value == before[name]
            and key.split('.')[0] in known][:3]


def _nearest(before: Mapping[str, Any], key: str) -> str:
    """Return keys of the config with the same last part, or else those spelt most alike."""
    known = [name for name, _ in _items(before)]
    for ending in (f'.{key}', f'.{key.split(".")[-1]}'):
        if same := [name for name in known if name.endswith(ending)]:
            return ', '.join(same[:3])
    return nearest(key, {*known, *_top_keys()})


def _items(value: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of nested dicts and lists."""
    pairs = (value.items() if isinstance(value, Mapping | Config) else
             enumerate(value) if isinstance(value, list | tuple) else ())
    for key, item in pairs:
        yield f'{prefix}{key}', item
        yield from _items(item, f'{prefix}{key}.')


def _check_below(cfg: Config, key: str) -> None:
    """Raise BadConfig if a dict on the way to a key belongs to a class that lacks the argument."""
    parts, node = key.split('.'), cfg
    for depth, part in enumerate(parts):
        prefix = '.'.join(parts[:depth])
        if isinstance(node, list | tuple) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
            continue
        if not isinstance(node, Mapping | Config) or part not in node:
            return
        if prefix:
            known = parameters_of(prefix, node, cfg)
            if known is not None and part not in {*known, '_delete_', '_scope_'}:
                near = [name for name in nearest(part, known).split(', ') if name in known]
                raise BadConfig(f'{key} (--cfg-options) is read by nothing; nearest: ' + ', '.join(
                    f'{prefix}.{name}' for name in near or sorted(known)[:5]))
        node = node[part]
