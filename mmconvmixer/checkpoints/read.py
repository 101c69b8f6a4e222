"""Reading a checkpoint file without running anything that is in it."""
import os
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

from mmconvmixer.checkpoints.numpy_data import STAND_INS, under_the_name
from mmconvmixer.errors import BadCheckpoint, CheckpointNotFound, UnsafeCheckpoint


def _statistics_method(owner: type, name: str) -> Callable:
    """Stand in for `getattr`, as a HistoryBuffer's pickle uses it, and only so."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise pickle.UnpicklingError(f'GLOBAL getattr of {name!r}')
    return getattr(HistoryBuffer, name)


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for `codecs.encode`, by which pickle protocol 2 writes bytes."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'GLOBAL codec {encoding!r}')
    return text.encode('latin1')


# What mmengine's checkpoints hold beside tensors: log histories, which are
# numpy arrays. All of it is data; none of it calls anything it is given.
DATA_TYPES = [
    HistoryBuffer,
    *STAND_INS,
    under_the_name('builtins', 'getattr', _statistics_method),
    under_the_name('_codecs', 'encode', _encode),  # torch < 2.6 does not know it
]


def read_checkpoint(path: str | os.PathLike, map_location: str = 'cpu') -> dict:
    """Return what a checkpoint file holds; no code in it is ever run.

    Args:
        path: a file that `torch.save` wrote: mmengine's, mmpretrain's, or any
            other that holds tensors and plain Python data.
        map_location: device for the tensors.

    Raises:
        CheckpointNotFound: no such file.
        UnsafeCheckpoint: the file asks for a class or function to be called.
        BadCheckpoint: cut short, or no checkpoint at all.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointNotFound(f'checkpoint {path} is not there; give a path, an http(s) '
                                 'URL or a name from list_models()')
    try:
        with _data_types_allowed():
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # a damaged pickle can make the reader raise anything
        raise _explain(path, error) from error
    if not isinstance(checkpoint, Mapping):
        raise BadCheckpoint(f'{path} holds a {type(checkpoint).__name__}; a checkpoint is a '
                            'dict with the key state_dict, or a dict of tensors')
    return dict(checkpoint)


def state_dict_of(checkpoint: Mapping, source: str = 'the checkpoint') -> dict[str, Tensor]:
    """Return the weights in a checkpoint, keys without DataParallel's `module.`.

    Args:
        checkpoint: what `read_checkpoint` returned.
        source: its name, for the message.

    Raises:
        BadCheckpoint: there are no weights in it.
    """
    weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, Mapping) or not weights or not all(
            isinstance(key, str) and isinstance(value, Tensor)
            for key, value in weights.items()):
        raise BadCheckpoint(f'{source} holds no weights: expected the key state_dict, or '
                            f'tensors only; got the keys {", ".join(map(str, checkpoint))}')
    return {key.removeprefix('module.'): value for key, value in weights.items()}


@contextmanager
def _data_types_allowed() -> Iterator[None]:
    # HistoryBuffer writes what it unpickles into its class: put that back, too.
    statistics = dict(HistoryBuffer._statistics_methods)
    allowed = list(torch.serialization.get_safe_globals())
    torch.serialization.add_safe_globals(DATA_TYPES)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)
        HistoryBuffer._statistics_methods.clear()
        HistoryBuffer._statistics_methods.update(statistics)


def _explain(path: Path, error: Exception) -> BadCheckpoint:
    if isinstance(error, PermissionError):
        return BadCheckpoint(f'{path} can not be opened: {error.strerror}')
    asked = re.search(r'GLOBAL ([\w.]+)', str(error))
    if asked:
        return UnsafeCheckpoint(
            f'{path} was not loaded: its pickle asks for {asked[1]}, which could run code. '
            'Ask its author for plain tensors (torch.save of a state_dict, or safetensors)')
    size = path.stat().st_size
    with open(path, 'rb') as file:
        begins_like_zip = file.read(2) == b'PK'
    if size == 0 or begins_like_zip:
        return BadCheckpoint(f'{path} is cut short or damaged ({size} bytes); copy or download '
                             'it again')
    return BadCheckpoint(f'{path} is no PyTorch checkpoint ({size} bytes); expected a file '
                         'that torch.save wrote')
