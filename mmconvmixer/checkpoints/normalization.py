"""Read how images are normalized for a checkpoint from the config text in it.

The text is parsed, never executed.
"""
import ast
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn

# Names of the normalization in configs of mmpretrain 1.x and mmcls 0.x, and of the configs in
# the meta of their checkpoints.
_NAMES = ('data_preprocessor', 'img_norm_cfg')
_TEXTS = ('cfg', 'config')


def normalization_of(meta: Mapping) -> dict | None:
    """Return mean, std (lists, one value per channel, in 0..255) and to_rgb; None if unknown."""
    converted = meta.get('converted')
    if isinstance(converted, Mapping) and _is_normalization(converted.get('preprocessing')):
        return converted['preprocessing']
    for text in (meta.get(key) for key in _TEXTS):
        if not isinstance(text, str):
            continue
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # not a config
        for value in _values(tree):
            found = {'to_rgb': False, **_literals(value)}
            found = {key: found.get(key) for key in ('mean', 'std', 'to_rgb')}
            if _is_normalization(found):
                return found
    return None


def use_normalization(model: nn.Module, meta: Mapping, source: str) -> None:
    """Make the model normalize images as its weights expect, and log the change.

    Args:
        model: a classifier with a `data_preprocessor` that normalizes.
        meta: the checkpoint's meta.
        source: name of the checkpoint, for the log.
    """
    found, preprocessor = normalization_of(meta), getattr(model, 'data_preprocessor', None)
    if found is None or not getattr(preprocessor, '_enable_normalize', False):
        return
    own = dict(mean=preprocessor.mean.flatten().tolist(), std=preprocessor.std.flatten().tolist(),
               to_rgb=preprocessor.to_rgb)
    if len(own['mean']) != len(found['mean']) or (
            _close(own['mean'], found['mean']) and _close(own['std'], found['std'])
            and own['to_rgb'] == found['to_rgb']):
        return
    for name in ('mean', 'std'):
        buffer = getattr(preprocessor, name)
        setattr(preprocessor, name, buffer.new_tensor(found[name]).view_as(buffer))
    preprocessor.to_rgb = found['to_rgb']
    print_log(f'{source} was trained on images with mean {found["mean"]}, std {found["std"]}, '
              f'{"RGB" if found["to_rgb"] else "BGR"}; the model now normalizes them so', 'current')


def _values(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what is assigned to one of the names: by `=`, as an argument or in a dict."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            if any(isinstance(target, ast.Name) and target.id in _NAMES
                   for target in node.targets):
                yield node.value
        elif isinstance(node, ast.keyword) and node.arg in _NAMES:
            yield node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in _NAMES:
                    yield value


def _literals(node: ast.AST) -> dict[str, Any]:
    """Return the entries of a `{...}` or `dict(...)` expression that are literals."""
    if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'dict':
        pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
    elif isinstance(node, ast.Dict):
        pairs = [(getattr(key, 'value', None), value)
                 for key, value in zip(node.keys, node.values, strict=True)]
    else:
        return {}
    literals = {}
    for key, value in pairs:
        try:
            literals[key] = ast.literal_eval(value)
        except (ValueError, TypeError, RecursionError, MemoryError):
            continue  # a name or a call, which is not part of a normalization
    return literals


def _is_normalization(found: object) -> bool:
    if not isinstance(found, Mapping) or not isinstance(found.get('to_rgb'), bool):
        return False
    sizes = []
    for key in ('mean', 'std'):
        numbers = found.get(key)
        if not isinstance(numbers, list | tuple) or not all(
                isinstance(number, int | float) for number in numbers):
            return False
        sizes.append(len(numbers))
    return sizes[0] == sizes[1] > 0 and all(found['std'])


def _close(one: list[float], other: list[float]) -> bool:
    return torch.allclose(torch.tensor(one), torch.tensor(other, dtype=torch.float32), rtol=1e-4)
