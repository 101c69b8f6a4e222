"""Read a checkpoint file of any library without running code from it."""
import json
import os
from collections.abc import Mapping
from pathlib import Path

from torch.serialization import MAP_LOCATION

from mmconvmixer.checkpoints.readers import (
    looks_like_npz,
    looks_like_safetensors,
    looks_like_tensorflow,
    read_npz,
    read_safetensors,
    read_tensorflow,
    read_torch,
)
from mmconvmixer.errors import BadCheckpoint, CheckpointNotFound

# Key in the metadata of safetensors files written here. Its value is a .pth file's `meta`, as JSON.
META = 'mmconvmixer'
_LONGEST_META = 4_000_000  # characters; with the names of ImageNet-21k's classes it has 1,000,000
# Names of the weights in a repository of the Hugging Face hub.
HUB_FILES = ('model.safetensors', 'pytorch_model.bin')


def read_checkpoint(path: str | os.PathLike, map_location: MAP_LOCATION = 'cpu') -> dict:
    """Return the contents of a checkpoint file; no code in it is ever run.

    The kind of file is recognized by its content, never by its name.

    Args:
        path: a file written by `torch.save`, `numpy.savez` or safetensors, the folder of a
            copied Hugging Face repository, or a TensorFlow SavedModel.
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
    path = Path(path)
    if path.is_dir():
        if looks_like_tensorflow(path):
            return dict(state_dict=read_tensorflow(path), meta={})
        path = next((path / name for name in HUB_FILES if (path / name).is_file()), path)
    if not path.is_file():
        raise CheckpointNotFound(f'checkpoint {path} is not there; give a path, an http(s) '
                                 'URL or a name from list_models()')
    try:
        if looks_like_safetensors(path):
            tensors, metadata = read_safetensors(path, map_location)
            return dict(state_dict=tensors, meta=_meta_of(metadata))
        if looks_like_npz(path):
            return dict(state_dict=read_npz(path), meta={})
        checkpoint = read_torch(path, map_location)
    except PermissionError as error:
        raise BadCheckpoint(f'{path} cannot be opened: {error.strerror}') from error
    if not isinstance(checkpoint, Mapping):
        raise BadCheckpoint(f'{path} holds a {type(checkpoint).__name__}; a checkpoint is a '
                            'dict with the key state_dict, or a dict of tensors')
    # As it is: an OrderedDict of torch knows the versions of the modules it comes from.
    return checkpoint if isinstance(checkpoint, dict) else dict(checkpoint)


def holds_weights(folder: Path) -> bool:
    """Whether `read_checkpoint` reads this folder."""
    return looks_like_tensorflow(folder) or any((folder / name).is_file() for name in HUB_FILES)


def _meta_of(metadata: dict[str, str]) -> dict:
    text = metadata.get(META, '{}')
    try:
        meta = json.loads(text) if len(text) <= _LONGEST_META else None
    except (ValueError, RecursionError):
        return {}  # written by another project under the same key
    return meta if isinstance(meta, dict) else {}
