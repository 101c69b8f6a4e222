"""Read the files of flax's `msgpack_serialize`: nested dicts, and arrays as bytes.

Nothing in them is code: an array consists of its shape, the name of its dtype and its numbers.
"""
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmconvmixer._support.resources import raise_if_exhausted
from mmconvmixer.checkpoints.readers.nested_arrays import tensors_in
from mmconvmixer.checkpoints.readers.numpy_pickle import CODES
from mmconvmixer.errors import BadCheckpoint

_ARRAY, _SCALAR = 1, 3  # flax's kinds of extensions
_DTYPES = {np.dtype(code).name: np.dtype(code) for code in CODES}


def looks_like_msgpack(path: Path) -> bool:
    """Whether a file begins with a map whose first key is a short text."""
    with open(path, 'rb') as file:
        start = file.read(64)
    if len(start) < 3:
        return False
    # A map of 1 to 15 entries, or its length in two bytes. (A pickle begins with 0x80.)
    key = start[1:] if 0x81 <= start[0] <= 0x8f else start[3:] if start[0] == 0xde else b'\0'
    length = key[0] & 0x1f
    return 0xa1 <= key[0] <= 0xbf and len(key) > length and key[1:1 + length].isascii()


def read_msgpack(path: Path) -> dict[str, Tensor]:
    """Return the arrays as tensors by their keys, joined with slashes.

    Raises:
        BadCheckpoint: msgpack is not installed, or the file is cut short or damaged, or has no
            arrays of numbers.
    """
    try:
        import msgpack
    except ImportError as error:
        raise BadCheckpoint(f'{path} is a msgpack file, as flax writes them; to read it, install '
                            "msgpack: pip install 'mmconvmixer[flax]'") from error

    def array(code: int, data: bytes) -> np.ndarray | Tensor | None:
        if code not in (_ARRAY, _SCALAR):
            return None
        shape, name, numbers = msgpack.unpackb(data, raw=True)
        return _array(shape, name.decode(), numbers)
    try:
        packed = path.read_bytes()
        content = msgpack.unpackb(packed, ext_hook=array, strict_map_key=False)
        tensors = tensors_in(content, path, len(packed)) if isinstance(content, dict) else {}
    except BadCheckpoint:
        raise
    except Exception as error:  # msgpack has no common class of errors
        raise_if_exhausted(error)
        raise BadCheckpoint(f'{path} is a msgpack file, but cut short or damaged '
                            f'({type(error).__name__}: {error}); copy or download it again'
                            ) from error
    if not tensors:
        raise BadCheckpoint(f'{path} is a msgpack file without arrays; expected the weights of a '
                            'network')
    return tensors


def _array(shape: list[int], name: str, numbers: bytes) -> np.ndarray | Tensor:
    if name == 'bfloat16':  # which numpy does not have
        flat = torch.frombuffer(bytearray(numbers), dtype=torch.bfloat16) if numbers else (
            torch.empty(0, dtype=torch.bfloat16))
        return flat.reshape(shape)
    if name not in _DTYPES or prod(shape) * _DTYPES[name].itemsize != len(numbers):
        raise ValueError(f'an array {shape} of {name} in {len(numbers)} bytes')
    return np.frombuffer(numbers, _DTYPES[name]).reshape(shape)
