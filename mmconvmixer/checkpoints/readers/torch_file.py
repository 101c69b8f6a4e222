"""Files that torch.save wrote, read without running anything that is in them."""
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

from mmconvmixer.checkpoints.readers.numpy_pickle import STAND_INS, under_the_name
from mmconvmixer.checkpoints.readers.zip_archive import check_archive
from mmconvmixer.errors import BadCheckpoint, UnsafeCheckpoint


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
    argparse.Namespace,  # the options of timm's training script; it has no method but ==
    *STAND_INS,
    under_the_name('builtins', 'getattr', _statistics_method),
    under_the_name('_codecs', 'encode', _encode),  # torch < 2.6 does not know it
]


# What tensors that repeat the little that a file holds may claim beyond it.
_MOST_CLAIMED = 1 << 30  # bytes


def read_torch(path: Path, map_location: str) -> Any:
    """Return what the file holds.

    Raises:
        UnsafeCheckpoint: the file asks for a class or function to be called.
        BadCheckpoint: cut short, damaged, or not torch's at all.
    """
    with open(path, 'rb') as file:
        begins_like_zip = file.read(2) == b'PK'
    if begins_like_zip:
        check_archive(path, compressed=False)
    try:
        with _data_types_allowed():
            content = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # a damaged pickle can make the reader raise anything
        raise _explain(path, error) from error
    _check_claims(path, content)
    return content


def _check_claims(path: Path, content: Any) -> None:
    """Refuse tensors of more numbers than the file can hold."""
    stored, claimed = {}, 0
    for tensor in _tensors(content):
        storage = tensor.untyped_storage()
        stored[storage.data_ptr()] = storage.nbytes()
        claimed += tensor.numel() * tensor.element_size()
    size, held = path.stat().st_size, sum(stored.values())
    if held > size:  # torch does not compress
        raise BadCheckpoint(f'{path} is damaged: its {size} bytes claim to hold {held} of numbers')
    if claimed > held + _MOST_CLAIMED:
        raise BadCheckpoint(f'{path} was not loaded: its tensors repeat the same {held} bytes to '
                            f'{claimed}; save them with .contiguous()')


def _tensors(content: Any) -> Iterator[Tensor]:
    """Yield each tensor once, whatever dicts and lists it lies in."""
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
