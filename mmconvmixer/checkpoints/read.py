"""Read a checkpoint file of any library without running code from it."""
import json
import os
from collections.abc import Mapping
from pathlib import Path

from torch.serialization import MAP_LOCATION

from mmconvmixer._support.resources import raise_if_exhausted
from mmconvmixer.checkpoints.hub_config import hub_meta
from mmconvmixer.checkpoints.keras_network import as_checkpoint
from mmconvmixer.checkpoints.readers import (
    kind_of_file,
    kind_of_folder,
    looks_like_keras,
    looks_like_mindspore,
    looks_like_msgpack,
    looks_like_npz,
    looks_like_safetensors,
    looks_like_tensorflow,
    orbax_folder,
    read_keras,
    read_mindspore,
    read_msgpack,
    read_npz,
    read_orbax,
    read_safetensors,
    read_tensorflow,
    read_torch,
)
from mmconvmixer.checkpoints.readers.keras_file import KerasNetwork
from mmconvmixer.checkpoints.readers.safetensors_file import META
from mmconvmixer.errors import BadCheckpoint, CheckpointNotFound

_LONGEST_META = 4_000_000  # characters; with the names of ImageNet-21k's classes it has 1,000,000
# Names of the weights in a repository of the Hugging Face hub.
HUB_FILES = ('model.safetensors', 'pytorch_model.bin')


def read_checkpoint(path: str | os.PathLike, map_location: MAP_LOCATION = 'cpu') -> dict:
    """Return the contents of a checkpoint file; no code in it is ever run.

    The kind of file is recognized by its content, never by its name.

    Args:
        path: a file written by `torch.save`, `numpy.savez`, safetensors or Keras, a pickle of
            arrays, the folder of a copied Hugging Face repository, or a TensorFlow SavedModel.
        map_location: device of the tensors, or what else `torch.load` takes.

    Returns:
        The dict that was given to `torch.save`; for other kinds of file a dict with the
        keys `state_dict` and `meta`.

    Raises:
        CheckpointNotFound: the file does not exist.
        UnsafeCheckpoint: the file calls a class or function, would fill the memory, or
            would write outside of its folder.
        BadCheckpoint: the file is cut short, damaged, or not a checkpoint.
    """
    if not os.fspath(path):  # as a Path, this would be the current folder
        raise CheckpointNotFound("checkpoint '' is not there; give a path, an http(s) URL or a "
                                 'name from list_models()')
    path = Path(path)
    _check_name(path)
    if os.path.isdir(path):
        if looks_like_tensorflow(path):
            return as_checkpoint(KerasNetwork(read_tensorflow(path)))
        if folder := orbax_folder(path):
            return dict(state_dict=read_orbax(folder), meta={})
        path = _weights_in(path)
    if not os.path.isfile(path):
        raise CheckpointNotFound(f'checkpoint {path} is not there; give a path, an http(s) '
                                 'URL or a name from list_models()')
    try:
        content = _read(path, map_location)
        meta = hub_meta(path.parent) if path.name in HUB_FILES else {}
    except OSError as error:
        raise_if_exhausted(error)
        raise BadCheckpoint(f'{path} cannot be read: {error.strerror or error}') from error
    if not meta:
        return content
    own = content.get('meta')
    return {**(content if 'state_dict' in content else dict(state_dict=content)),
            'meta': {**meta, **(own if isinstance(own, Mapping) else {})}}


def is_checkpoint(path: Path) -> bool:
    """Whether a path is for `read_checkpoint`: to read, or to say what is wrong with it."""
    return os.path.isfile(path) or os.path.isdir(path) and bool(
        looks_like_tensorflow(path) or orbax_folder(path)
        or any(os.path.isfile(path / name) for name in HUB_FILES)
        or kind_of_folder(path))


def _check_name(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise BadCheckpoint(f'{path} is not a name in UTF-8, which logs and libraries need; rename '
                            'the file or folder') from error


def _weights_in(folder: Path) -> Path:
    for name in HUB_FILES:
        if os.path.isfile(folder / name):
            return folder / name
    if kind := kind_of_folder(folder):
        raise BadCheckpoint(f'{folder} is {kind}')
    return folder


def _read(path: Path, map_location: MAP_LOCATION) -> dict:
    if looks_like_safetensors(path):
        tensors, metadata = read_safetensors(path, map_location)
        return dict(state_dict=tensors, meta=_meta_of(metadata))
    if looks_like_npz(path):
        return dict(state_dict=read_npz(path), meta={})
    if looks_like_keras(path):
        return as_checkpoint(read_keras(path))
    if looks_like_mindspore(path):
        return dict(state_dict=read_mindspore(path), meta={})
    if looks_like_msgpack(path):
        return dict(state_dict=read_msgpack(path), meta={})
    if kind := kind_of_file(path):
        raise BadCheckpoint(f'{path} is {kind}')
    checkpoint = read_torch(path, map_location)
    if not isinstance(checkpoint, Mapping):
        raise BadCheckpoint(f'{path} holds a {type(checkpoint).__name__}; a checkpoint is a '
                            'dict with the key state_dict, or a dict of tensors')
    # As it is: an OrderedDict of torch knows the versions of the modules it comes from.
    return checkpoint if isinstance(checkpoint, dict) else dict(checkpoint)


def _meta_of(metadata: dict[str, str]) -> dict:
    text = metadata.get(META, '{}')
    try:
        meta = json.loads(text) if len(text) <= _LONGEST_META else None
    except (ValueError, RecursionError):
        return {}  # written by another project under the same key
    return meta if isinstance(meta, dict) else {}
