"""Read the files of torch.save, and other pickles of arrays, without running code from them."""
import argparse
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor
from torch.serialization import MAP_LOCATION

from mmconvmixer._support.resources import raise_if_exhausted
from mmconvmixer.checkpoints.readers.numpy_pickle import STAND_INS, under_the_name
from mmconvmixer.checkpoints.readers.pickle_protocol import (
    NEWEST,
    as_torch_file,
    is_plain,
    protocol_of,
    with_older_pickles,
)
from mmconvmixer.checkpoints.readers.plain_pickle import JAX_STAND_INS, weights_in
from mmconvmixer.checkpoints.readers.zip_archive import check_archive
from mmconvmixer.errors import BadCheckpoint, UnsafeCheckpoint

# The methods of a HistoryBuffer that its pickle may name.
STATISTICS = ('min', 'max', 'current', 'mean')


def _statistics_method(owner: type, name: str) -> Callable:
    """Replace `getattr` in the one way that a HistoryBuffer's pickle uses it."""
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise pickle.UnpicklingError(f'GLOBAL getattr of {name!r}')
    return getattr(HistoryBuffer, name)


def _encode(text: str, encoding: str) -> bytes:
    """Replace `codecs.encode`, with which pickle protocol 2 writes bytes."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'GLOBAL codec {encoding!r}')
    return text.encode('latin1')


# Besides tensors, mmengine's checkpoints hold log histories, which are numpy arrays. All of
# these types are data; none of them calls what it is given.
DATA_TYPES = [
    HistoryBuffer,
    argparse.Namespace,  # the options of timm's training script; its only method is ==
    *STAND_INS,
    *JAX_STAND_INS,
    under_the_name('builtins', 'getattr', _statistics_method),
    under_the_name('_codecs', 'encode', _encode),  # torch < 2.6 does not allow it
]


# Expanded tensors may take this much more memory than the data that they repeat.
_MOST_CLAIMED = 1 << 30  # bytes


def read_torch(path: Path, map_location: MAP_LOCATION) -> Any:
    """Return the content of the file.

    Args:
        path: a file of torch.save, or a pickle of arrays by Paddle or JAX.
        map_location: device of the tensors.

    Raises:
        UnsafeCheckpoint: the file calls a class or function that is not plain data.
        BadCheckpoint: the file is cut short or damaged, or none of these programs wrote it.
    """
    with open(path, 'rb') as file:
        begins_like_zip = file.read(2) == b'PK'
    if begins_like_zip:
        check_archive(path, compressed=False)
    try:
        # An open file, because torch.load goes by the suffix of a path.
        plain = not begins_like_zip and is_plain(path)
        with _data_types_allowed(), (
                as_torch_file(path) if plain else
                with_older_pickles(path) if 2 < protocol_of(path) <= NEWEST else
                open(path, 'rb')) as file:
            content = torch.load(file, map_location=map_location, weights_only=True)
    except Exception as error:  # for a damaged pickle torch may raise anything
        raise_if_exhausted(error)
        raise _explain(path, error) from error
    if plain:
        return weights_in(content, path)
    _check_claims(path, content)
    return content


def _check_claims(path: Path, content: Any) -> None:
    """Refuse tensors that take far more memory than the file has data."""
    stored, claimed = {}, 0
    for tensor in _tensors(content):
        storage = tensor.untyped_storage()
        stored[storage.data_ptr()] = storage.nbytes()
        claimed += tensor.numel() * tensor.element_size()
    size, held = path.stat().st_size, sum(stored.values())
    if held > size:  # torch.save does not compress
        raise BadCheckpoint(f'{path} is damaged: its {size} bytes claim to hold {held} bytes of '
                            'numbers; copy or download it again')
    if claimed > held + _MOST_CLAIMED:
        raise BadCheckpoint(f'{path} was not loaded: its tensors repeat the same {held} bytes '
                            f'until they take {claimed}; save them with .contiguous()')


def _tensors(content: Any) -> Iterator[Tensor]:
    """Yield each tensor in nested dicts, lists and tuples once."""
    waiting, seen = [content], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Tensor):
            if each.layout is torch.strided and each.device.type != 'meta':
                yield each
        elif isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list | tuple):
            waiting += each


@contextmanager
def _data_types_allowed() -> Iterator[None]:
    # Unpickling a HistoryBuffer changes its class, so the class is also restored. What
    # the first buffer of a process registers there has to stay, and so one is made.
    statistics = dict(HistoryBuffer()._statistics_methods)
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
    if isinstance(error, OSError) and error.strerror:
        return BadCheckpoint(f'{path} cannot be read: {error.strerror}')
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or (
            "can't allocate memory" in str(error)):
        return BadCheckpoint(f'{path} ({path.stat().st_size} bytes) needs more memory than there '
                             'is, or is damaged; close other programs, or download it again')
    asked = re.search(r'GLOBAL ([\w.]+)', str(error))
    if asked:
        return UnsafeCheckpoint(
            f'{path} was not loaded: its pickle asks for {asked[1]}, which could run code. '
            'Ask its author for plain tensors (torch.save of a state_dict, or safetensors)')
    if 'has no older form' in str(error):
        return BadCheckpoint(f'{path} has a pickle of protocol {protocol_of(path)} with something '
                             f'that protocol 2 lacks ({error}); load it where it comes from and '
                             'save its state_dict with torch.save(..., pickle_protocol=2)')
    size = path.stat().st_size
    with open(path, 'rb') as file:
        begins_like_zip = file.read(2) == b'PK'
    if size == 0 or begins_like_zip:
        return BadCheckpoint(f'{path} is cut short or damaged ({size} bytes); copy or download '
                             'it again')
    return BadCheckpoint(f'{path} is not a PyTorch checkpoint ({size} bytes); expected a file '
                         'that torch.save wrote')
