"""Read the folders of Orbax, in which JAX's training loops save nested dicts of arrays.

Orbax and JAX read them, both forms: one database for all arrays, or a folder for each.
"""
import logging
import warnings
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from torch import Tensor

from mmconvmixer._support.resources import raise_if_exhausted
from mmconvmixer.checkpoints.readers.nested_arrays import tensors_in
from mmconvmixer.errors import BadCheckpoint, one_line

_TREE = '_METADATA'  # what is in a checkpoint
_MARKS = (_TREE, 'manifest.ocdbt')
_MOST_STEPS = 10_000
_MOST_EXPANDED = 50  # arrays are compressed; see zip_archive.py
_ALWAYS_ALLOWED = 64 << 20  # bytes


def orbax_folder(path: Path) -> Path | None:
    """Return the checkpoint that is or lies in a folder, None if there is none.

    Of the steps that a CheckpointManager saved, it is the last one.
    """
    try:
        if _is_checkpoint(path):
            return path
        inside = [each for each in sorted(path.iterdir())[:_MOST_STEPS] if each.is_dir()]
    except OSError:  # a folder that may not be read
        return None
    inside.sort(key=lambda each: int(each.name) if each.name.isdecimal() else -1, reverse=True)
    return next((each for step in inside for each in (step / 'default', step)
                 if _is_checkpoint(each)), None)


def read_orbax(path: Path) -> dict[str, Tensor]:
    """Return the arrays as tensors by their keys, joined with slashes.

    Args:
        path: what `orbax_folder` returned.

    Raises:
        BadCheckpoint: Orbax is not installed, or the folder is damaged, or has no arrays.
    """
    try:
        import jax
        import orbax.checkpoint as orbax
    except ImportError as error:
        raise BadCheckpoint(f'{path} is a checkpoint of Orbax; to read it, install Orbax: '
                            "pip install 'mmconvmixer[flax]'") from error
    size = sum(file.stat().st_size for file in path.rglob('*') if file.is_file())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # about devices, which numpy's arrays have not
            reader = orbax.Checkpointer(orbax.PyTreeCheckpointHandler())
            said: Any = reader.metadata(path.absolute()).item_metadata
            tree = said.tree
            held = sum(prod(each.shape) * np.dtype(each.dtype).itemsize
                       for each in jax.tree.leaves(tree))
            if held > max(_ALWAYS_ALLOWED, _MOST_EXPANDED * size):
                raise BadCheckpoint(f'{path} was not loaded: its {size} bytes would unpack to '
                                    f'{held}, more than weights ever do')
            content = reader.restore(path.absolute(), args=orbax.args.PyTreeRestore(
                restore_args=jax.tree.map(
                    lambda _: orbax.RestoreArgs(restore_type=np.ndarray), tree)))
    except BadCheckpoint:
        raise
    except Exception as error:  # Orbax and what reads for it have no common class of errors
        raise_if_exhausted(error)
        raise BadCheckpoint(one_line(f'{path} is a checkpoint of Orbax, but damaged '
                                     f'({type(error).__name__}: {error}); copy it again')[:2000]
                            ) from error
    tensors = tensors_in(content, path, held) if isinstance(content, Mapping) else {}
    if not tensors:
        raise BadCheckpoint(f'{path} is a checkpoint of Orbax without arrays in dicts; expected '
                            'the weights of a network')
    print_log(f'reads the checkpoint of Orbax in {path}', 'current', logging.INFO)
    return tensors


def _is_checkpoint(path: Path) -> bool:
    return any((path / mark).is_file() for mark in _MARKS)
