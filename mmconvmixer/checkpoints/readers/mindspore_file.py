"""Read the checkpoints of MindSpore: a list of named arrays in protobuf's encoding.

    message Checkpoint { repeated Value value = 1; }
    message Value { required string tag = 1; optional TensorProto tensor = 2; }
    message TensorProto { repeated int64 dims = 1; required string tensor_type = 2;
                          required bytes tensor_content = 3; }

An array of more than half a gigabyte is divided into several values of one tag. With
`crc_check=True`, the word crc_num and a checksum of all before it follow.
"""
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from mmconvmixer.errors import BadCheckpoint

_DTYPES = dict(Float16=torch.float16, BFloat16=torch.bfloat16, Float32=torch.float32,
               Float64=torch.float64, Int8=torch.int8, UInt8=torch.uint8, Int16=torch.int16,
               Int32=torch.int32, Int64=torch.int64, Bool=torch.bool)
_VARINT, _BYTES = 0, 2  # the kinds of fields that these messages have
_LONGEST_VARINT = 10
_CHECKSUM_NAME, _CHECKSUM = b'crc_num', 17  # bytes of the word and the number


def looks_like_mindspore(path: Path) -> bool:
    """Whether a file begins with a value that has a short text as its tag, and an array."""
    with open(path, 'rb') as file:
        start = file.read(2000)
    try:
        if start[:1] != b'\x0a':
            return False
        _, at = _varint(start, 1)
        if start[at:at + 1] != b'\x0a':
            return False
        length, at = _varint(start, at + 1)
        name = start[at:at + length]
        if not (len(name) == length > 0 and name.isascii() and name.decode().isprintable()
                and start[at + length:at + length + 1] == b'\x12'):
            return False
        # An array begins with a size or its type. In TensorFlow's graphs a text follows.
        _, at = _varint(start, at + length + 1)
        return start[at:at + 1] in (b'\x08', b'\x12')
    except ValueError:
        return False


def read_mindspore(path: Path) -> dict[str, Tensor]:
    """Return the arrays as tensors by their tags.

    Raises:
        BadCheckpoint: the file is cut short or damaged.
    """
    content = path.read_bytes()
    if content[-_CHECKSUM:].startswith(_CHECKSUM_NAME):
        content, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
        if zlib.crc32(content) != int.from_bytes(checksum[len(_CHECKSUM_NAME):], 'big'):
            raise BadCheckpoint(f'{path} is damaged: its checksum is wrong; copy or download it '
                                'again')
    shapes: dict[str, tuple[torch.dtype, list[int]]] = {}
    numbers: dict[str, bytearray] = {}
    try:
        for field, value in _fields(memoryview(content)):
            if field != 1:
                raise ValueError(f'a field {field} where only arrays are expected')
            tag, dtype, shape, part = _value(_content(value))
            if shapes.setdefault(tag, (dtype, shape))[0] is not dtype:
                raise ValueError(f'{tag} has parts of two types')
            numbers.setdefault(tag, bytearray()).extend(part)
        return {tag: _as_tensor(tag, *shapes[tag], numbers[tag]) for tag in shapes}
    except (ValueError, KeyError, TypeError, OverflowError, RuntimeError) as error:
        raise BadCheckpoint(f'{path} is a checkpoint of MindSpore, but cut short or damaged '
                            f'({error}); copy or download it again') from error


def _value(message: memoryview) -> tuple[str, torch.dtype, list[int], memoryview]:
    fields = dict(_fields(message))
    dims, kind, part = [], '', memoryview(b'')
    for field, value in _fields(_content(fields[2])):
        if field == 1 and isinstance(value, int):
            dims.append(value)
        elif field == 2:
            kind = bytes(_content(value)).decode()
        elif field == 3:
            part = _content(value)
    if kind not in _DTYPES:
        raise ValueError(f'an array of {kind or "no type"}')
    return bytes(_content(fields[1])).decode(), _DTYPES[kind], dims, part


def _content(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise ValueError('a number where a text or array is expected')
    return value


def _as_tensor(tag: str, dtype: torch.dtype, dims: list[int], numbers: bytearray) -> Tensor:
    shape = [] if dims == [0] and numbers else dims  # how a single number is written
    if prod(shape) * dtype.itemsize != len(numbers):
        raise ValueError(f'{tag} {tuple(shape)} of {dtype} in {len(numbers)} bytes')
    if not numbers:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(numbers, dtype=dtype).reshape(shape)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield number and content of each field of a message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        value, at = _varint(message, at)
        if key & 7 == _VARINT:
            yield key >> 3, value
        elif key & 7 == _BYTES:
            if at + value > len(message):
                raise ValueError(f'{value} bytes where {len(message) - at} are left')
            yield key >> 3, message[at:at + value]
            at += value
        else:
            raise ValueError(f'a field of kind {key & 7}')


def _varint(message: bytes | memoryview, at: int) -> tuple[int, int]:
    """Return the whole number at a place, and the place behind it."""
    number = 0
    for length in range(_LONGEST_VARINT):
        if at + length >= len(message):
            break
        byte = message[at + length]
        number |= (byte & 0x7f) << 7 * length
        if byte < 0x80:
            return number, at + length + 1
    raise ValueError('a number without an end')
