"""Readers of checkpoints for mmengine's `CheckpointLoader`, under the names of its own.

mmengine's readers fail on checkpoints that mmengine wrote, or run the code in a file. What
these return is what torch.save was given, as there, except that the names of weights are
mmpretrain's.
"""
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch.serialization import MAP_LOCATION

from mmconvmixer.checkpoints import fetch, read_checkpoint, renamed_for_mmengine
from mmconvmixer.zoo.checkpoint import resolve_checkpoint


def load_from_local(filename: str, map_location: MAP_LOCATION = None) -> Mapping:
    """Return the content of a checkpoint file.

    Args:
        filename: its path; a leading `~` is the home folder.
        map_location: see `torch.load`. None restores the devices where they exist here.

    Raises:
        BadCheckpoint, CheckpointNotFound: see `read_checkpoint`.
    """
    path = os.path.expanduser(filename)
    return renamed_for_mmengine(
        read_checkpoint(path, _devices_that_exist if map_location is None else map_location),
        filename)


def load_from_http(filename: str, map_location: MAP_LOCATION = None,
                   model_dir: str | None = None, progress: bool = True) -> Mapping:
    """Return the content of a checkpoint file at an http(s) URL.

    Args:
        filename: the URL.
        map_location: see `load_from_local`.
        model_dir: folder of the download; see `checkpoints.fetch`.
        progress: ignored: progress is always reported.

    Raises:
        MMConvMixerError: see `resolve_checkpoint` and `read_checkpoint`.
    """
    path = fetch(filename, model_dir) if model_dir else resolve_checkpoint(filename)
    return load_from_local(str(path), map_location)


def _devices_that_exist(storage: Any, location: str) -> Any:
    try:
        return torch.serialization.default_restore_location(storage, location)
    except RuntimeError:  # a device that this machine lacks
        return storage


# The schemes of mmengine's CheckpointLoader, which `init_cfg` and mmpretrain's own get_model use.
READERS = {'': load_from_local, 'http://': load_from_http, 'https://': load_from_http}
