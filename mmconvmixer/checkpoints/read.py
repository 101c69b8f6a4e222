"""Reading a checkpoint file, whatever wrote it, without running anything that is in it."""
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from mmconvmixer.checkpoints.readers.npz_file import read_npz
from mmconvmixer.checkpoints.readers.safetensors_file import (
    looks_like_safetensors,
    read_safetensors,
)
from mmconvmixer.checkpoints.readers.tensorflow_file import looks_like_tensorflow, read_tensorflow
from mmconvmixer.checkpoints.readers.torch_file import read_torch
from mmconvmixer.errors import BadCheckpoint, CheckpointNotFound

# In the metadata of safetensors files written here: what a .pth has as `meta`, as JSON.
META = 'mmconvmixer'
# A copy of a repository of the Hugging Face hub has its weights in one of these.
HUB_FILES = ('model.safetensors', 'pytorch_model.bin')


def read_checkpoint(path: str | os.PathLike, map_location: str = 'cpu') -> dict:
    """Return what a checkpoint file holds; no code in it is ever run.

    The kind of file is told by its content, never by its name.

    Args:
        path: a file that `torch.save`, `numpy.savez` or safetensors wrote; a
            folder of the Hugging Face hub's layout, or a SavedModel.
        map_location: device for the tensors.

    Returns:
        What `torch.save` was given; of the other kinds a dict with the keys
        `state_dict` and `meta`.

    Raises:
        CheckpointNotFound: no such file.
        UnsafeCheckpoint: the file asks for a class or function to be called,
            or would fill the memory or another folder.
        BadCheckpoint: cut short, damaged, or no checkpoint at all.
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
        if _looks_like_npz(path):
            return dict(state_dict=read_npz(path), meta={})
        checkpoint = read_torch(path, map_location)
    except PermissionError as error:
        raise BadCheckpoint(f'{path} can not be opened: {error.strerror}') from error
    if not isinstance(checkpoint, Mapping):
        raise BadCheckpoint(f'{path} holds a {type(checkpoint).__name__}; a checkpoint is a '
                            'dict with the key state_dict, or a dict of tensors')
    return dict(checkpoint)


def holds_weights(folder: Path) -> bool:
    """Whether a folder is one that `read_checkpoint` takes."""
    return looks_like_tensorflow(folder) or any((folder / name).is_file() for name in HUB_FILES)


def _looks_like_npz(path: Path) -> bool:
    """Whether it is a zip archive of .npy files; torch's has a data.pkl."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        return False  # read as torch's, which says what is wrong with it
    return bool(names) and all(name.endswith('.npy') for name in names)


def _meta_of(metadata: dict[str, str]) -> dict:
    try:
        meta = json.loads(metadata.get(META, '{}'))
    except (ValueError, RecursionError):
        return {}  # another project's key of that name
    return meta if isinstance(meta, dict) else {}
