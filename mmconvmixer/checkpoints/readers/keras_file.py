"""Read Keras's HDF5 files, also in whole `.keras` archives; no code in them is ever run.

Keras 2 (`.h5`) lists the layers and their variables in attributes, in the order of the network.
Keras 3 (`.weights.h5`, and in a `.keras` archive) has a group for each layer, called after its
class and a counter, with numbered variables; an attribute has the layer's name. HDF5 is read by
pyfive, which is written in Python: a damaged file cannot make it write where it should not.
"""
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmconvmixer._support.resources import raise_if_exhausted
from mmconvmixer.checkpoints.readers.nested_arrays import as_tensor
from mmconvmixer.checkpoints.readers.zip_archive import check_archive, names_in_archive
from mmconvmixer.errors import BadCheckpoint

_HDF5 = b'\x89HDF\r\n\x1a\n'
_IN_ARCHIVE, _CONFIG = 'model.weights.h5', 'config.json'
_OF_TRAINING = ('optimizer', 'metrics', 'compile_metrics', 'loss_tracker')
_MOST_VARIABLES = 100_000
_IN_NORM = ('gamma', 'beta', 'moving_mean', 'moving_variance')
_LONGEST_CONFIG = 20_000_000  # characters


class KerasNetwork(NamedTuple):
    """What a file of Keras says about a network.

    Attributes:
        weights: by layer and variable, 'conv2d_1/kernel', in the order of the layers. In a file
            of Keras 3, only those of one class are in their order. What Keras 2 calls
            `depthwise_kernel` is a `kernel`, as in Keras 3.
        layers: names of all layers, also of those without weights.
        config: of the model as Keras writes it, {} if the file has none.
    """
    weights: dict[str, Tensor]
    layers: tuple[str, ...] = ()
    config: Mapping = MappingProxyType({})


def looks_like_keras(path: Path) -> bool:
    """Whether a file is HDF5, or an archive with a whole model of Keras 3."""
    with open(path, 'rb') as file:
        start = file.read(len(_HDF5))
    return start == _HDF5 or (start[:2] == b'PK' and _is_keras_archive(path))


def read_keras(path: Path) -> KerasNetwork:
    """Return the network in the file.

    Raises:
        BadCheckpoint: pyfive is not installed, or the file is cut short or damaged, or no
            network of Keras.
        UnsafeCheckpoint: see `zip_archive.check_archive`.
    """
    try:
        import pyfive
    except ImportError as error:
        raise BadCheckpoint(f'{path} is an HDF5 file of Keras; to read it, install pyfive: '
                            "pip install 'mmconvmixer[keras]'") from error
    config: Any = '{}'
    file: Any = str(path)
    if _is_keras_archive(path):
        check_archive(path, compressed=True)
        with zipfile.ZipFile(path) as archive:
            file = io.BytesIO(archive.read(_IN_ARCHIVE))
            config = archive.read(_CONFIG)
    try:
        with pyfive.File(file) as root:
            config = root.attrs.get('model_config', config)
            sets = _datasets_of_keras2(root) if _keras2(root) else _datasets_of_keras3(root, '')
            found = dict(_without_repeats(sets))
            held = sum(int(np.prod(each.shape, dtype=object)) * each.dtype.itemsize
                       for each in found.values())
            size = path.stat().st_size
            if held > size:  # Keras does not compress
                raise BadCheckpoint(f'{path} was not loaded: its {size} bytes claim to hold '
                                    f'{held} bytes of numbers')
            weights = {name: _as_tensor(each) for name, each in found.items()}
            layers = tuple(_layers(root))
    except BadCheckpoint:
        raise
    except Exception as error:  # for a damaged file pyfive may raise anything
        raise_if_exhausted(error)
        raise BadCheckpoint(f'{path} is an HDF5 file, but damaged or not by Keras '
                            f'({type(error).__name__}: {error}); copy or download it again'
                            ) from error
    if not weights:
        raise BadCheckpoint(f'{path} is an HDF5 file without weights of Keras; expected a file of '
                            'save_weights or save')
    return KerasNetwork(weights, layers, _parsed(config))


def _is_keras_archive(path: Path) -> bool:
    return {_IN_ARCHIVE, _CONFIG} <= {*names_in_archive(path)}


def _keras2(root: Any) -> Any:
    """Return the group that lists layers as Keras 2 does, None without one."""
    group = root.get('model_weights', root)
    return group if 'layer_names' in group.attrs or 'layer_names0' in group.attrs else None


def _names(group: Any, attribute: str) -> Iterator[str]:
    """Yield the names in an attribute; Keras 2 divides long ones into several."""
    keys = [attribute] if attribute in group.attrs else [
        f'{attribute}{number}' for number in range(len(group.attrs))]
    for key in keys:
        for name in np.atleast_1d(group.attrs[key]) if key in group.attrs else ():
            yield _text(name)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _datasets_of_keras2(root: Any) -> Iterator[tuple[str, Any]]:
    group = _keras2(root)
    for layer in _names(group, 'layer_names'):
        for name in _names(group[layer], 'weight_names'):
            plain = re.sub(r':\d+$', '', name).replace('/depthwise_kernel', '/kernel')
            yield plain, group[layer][name]


def _datasets_of_keras3(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name in sorted(group, key=by_counter):
        inside: Any = group[name]
        if not hasattr(inside, 'keys') or (not path and name in _OF_TRAINING):  # or a dataset
            continue
        if name != 'vars':
            yield from _datasets_of_keras3(inside, f'{path}/{name}')
            continue
        # In the same form, Keras 2 only writes a layer's place in the network.
        place = path.removeprefix('/').removeprefix('layers/')
        layer = _text(inside.attrs.get('name', place))
        variables = [inside[number] for number in sorted(inside, key=by_counter)]
        # Keras 3 only numbers the variables of a layer.
        known = ('kernel', 'bias') if variables and len(variables[0].shape) > 1 else _IN_NORM
        for number, each in enumerate(variables):
            yield f'{layer}/{known[number] if number < len(known) else number}', each


def by_counter(name: str) -> tuple[str, int]:
    """Return a key for sorting that puts conv2d, conv2d_2 and conv2d_10 in this order."""
    match = re.fullmatch(r'(.*?)_?(\d{1,9})?', name)
    assert match  # every text fits
    return match[1], int(match[2] or 0)


def _without_repeats(datasets: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for name, each in datasets:
        if name in seen:
            raise ValueError(f'two variables are called {name}')
        if len(seen) > _MOST_VARIABLES:
            raise ValueError('more variables than a network has')
        seen.add(name)
        yield name, each


def _layers(root: Any) -> Iterator[str]:
    group = _keras2(root)
    if group is not None:
        yield from _names(group, 'layer_names')
    elif 'layers' in root:
        yield from root['layers']


def _as_tensor(dataset: Any) -> Tensor:
    array = np.asarray(dataset[()])
    if _text(dataset.attrs.get('dtype', '')) == 'bfloat16':  # which numpy does not have
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return as_tensor(array)


def _parsed(config: Any) -> dict:
    text = _text(config)
    try:
        parsed = json.loads(text) if len(text) <= _LONGEST_CONFIG else None
    except (ValueError, RecursionError):
        return {}  # the weights are read without it
    return parsed if isinstance(parsed, dict) else {}
