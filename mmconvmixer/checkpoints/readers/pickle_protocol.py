"""Rewrite pickles of the protocols 3 to 5 in protocol 2, the one that torch's safe reader knows.

Nothing in a pickle is built or called here. Its operations are copied, one by one, and those of
the newer protocols are replaced by older ones of the same meaning; torch then decides what
may be called, as for every file. A pickle that torch.save did not write gets around it what
torch.save writes.
"""
import io
import pickle
import pickletools
import struct
import zipfile
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION

NEWEST = 5
_IN_LEGACY_FILE = 5  # pickles: magic number, version, system, content, keys of the storages
_TEXTS = ('SHORT_BINUNICODE', 'BINUNICODE', 'BINUNICODE8')
_BYTES = ('SHORT_BINBYTES', 'BINBYTES', 'BINBYTES8')
_PUTS, _GETS = ('MEMOIZE', 'BINPUT', 'LONG_BINPUT'), ('BINGET', 'LONG_BINGET')
# What torch's reader does not know in any form, among what picklers write for data.
_WITHOUT_OLDER_FORM = ('ADDITEMS', 'FROZENSET', 'NEWOBJ_EX', 'NEXT_BUFFER', 'READONLY_BUFFER')


def protocol_of(path: Path) -> int:
    """Return the pickle protocol of a file of torch.save; 2 if it can't be told."""
    if _begins_like_zip(path):
        with zipfile.ZipFile(path) as archive:
            name = _pickle_in(archive)
            start = archive.open(name).read(2) if name else b''
    else:
        with open(path, 'rb') as file:
            start = file.read(2)
    return start[1] if len(start) == 2 and start[:1] == pickle.PROTO else 2


def is_plain(path: Path) -> bool:
    """Whether a file is a pickle that another program than torch.save wrote."""
    with open(path, 'rb') as file:
        if file.read(1) != pickle.PROTO:
            return False
        file.seek(0)
        try:
            first = next((argument for operation, argument, _ in islice(
                pickletools.genops(file), 3) if operation.name not in ('PROTO', 'FRAME')), None)
        except ValueError:  # the reader says what is wrong with it
            return False
    return first != MAGIC_NUMBER


def as_torch_file(path: Path) -> BinaryIO:
    """Return a plain pickle as the content of a file of torch.save before torch 1.6.

    Raises:
        pickle.UnpicklingError: an operation has no older form.
        ValueError: the pickle is damaged.
    """
    result = io.BytesIO()
    for before in (MAGIC_NUMBER, PROTOCOL_VERSION, {}):
        pickle.dump(before, result, 2)
    with open(path, 'rb') as file:
        result.write(_older(file))
    pickle.dump([], result, 2)  # the keys of the storages
    result.seek(0)
    return result


def with_older_pickles(path: Path) -> BinaryIO:
    """Return the content of a file of torch.save with its pickles in protocol 2.

    Raises:
        pickle.UnpicklingError: an operation has no older form.
        ValueError: a pickle is damaged.
    """
    result = io.BytesIO()
    if _begins_like_zip(path):
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(result, 'w') as older:
            name = _pickle_in(archive)
            for part in archive.infolist():
                content = archive.read(part)
                older.writestr(part.filename, _older(io.BytesIO(content))
                               if part.filename == name else content)
    else:
        with open(path, 'rb') as file:
            for _ in range(_IN_LEGACY_FILE):
                result.write(_older(file))
            result.write(file.read())
    result.seek(0)
    return result


def _begins_like_zip(path: Path) -> bool:
    """Whether torch takes the file for a zip archive, which was checked then."""
    with open(path, 'rb') as file:
        return file.read(2) == b'PK'


def _pickle_in(archive: zipfile.ZipFile) -> str:
    return next((name for name in archive.namelist() if name.endswith('/data.pkl')), '')


class _Writer:
    """The operations so far, and what is known of the texts on top of the unpickler's stack."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.texts: list[tuple[int, str]] = []  # those on top: where they begin, and the text
        self.memo: dict[int, str | None] = {}  # of the pickle: texts, None for anything else
        self.put_at: dict[int, int] = {}  # of the texts on top: where they were put into the memo
        self.lost: set[int] = set()  # texts that were only put where there is a name now

    def push(self, operation: bytes) -> None:
        self.texts.clear()
        self.put_at.clear()
        self.parts.append(operation)

    def push_text(self, text: str) -> None:
        self.texts.append((len(self.parts), text))
        self.parts.append(_text(text))

    def put(self, index: int) -> None:
        self.memo[index] = self.texts[-1][1] if self.texts else None
        self.put_at[index] = len(self.parts)
        self.lost.discard(index)
        self.parts.append(pickle.LONG_BINPUT + struct.pack('<I', index))

    def get(self, index: int) -> None:
        text = self.memo.get(index)
        if index in self.lost and text is not None:
            self.push_text(text)
            self.put(index)
            return
        operation = pickle.LONG_BINGET + struct.pack('<I', index)
        if text is None:
            self.push(operation)
        else:
            self.texts.append((len(self.parts), text))
            self.parts.append(operation)

    def name(self) -> None:
        """Replace the two texts on top by the class or function that they name."""
        if len(self.texts) < 2 or any('\n' in text for _, text in self.texts[-2:]):
            raise pickle.UnpicklingError('STACK_GLOBAL without a name')
        (place, module), (_, attribute) = self.texts[-2:]
        del self.parts[place:]
        self.lost |= {index for index, put_at in self.put_at.items() if put_at >= place}
        owner, *attributes = attribute.split('.')
        named = _global(module, owner)
        for attribute in attributes:  # a method, for example
            named = (_global('builtins', 'getattr') + named + _text(attribute) + pickle.TUPLE2
                     + pickle.REDUCE)
        self.push(named)


def _older(file: BinaryIO) -> bytes:
    """Return the pickle at a file's position in protocol 2; the file is at its end then."""
    writer = _Writer()
    for operation, argument, position in pickletools.genops(file):
        kind, end = operation.name, file.tell()
        if kind in _WITHOUT_OLDER_FORM:
            raise pickle.UnpicklingError(f'{kind} has no older form')
        if kind == 'PROTO':
            writer.push(pickle.PROTO + b'\2')
        elif kind in _TEXTS:
            writer.push_text(str(argument))
        elif kind in _BYTES:
            writer.push(_bytes(bytes(argument or b'')))
        elif kind == 'BYTEARRAY8':
            content = _bytes(bytes(argument or b''))
            writer.push(_global('builtins', 'bytearray') + content + pickle.TUPLE1 + pickle.REDUCE)
        elif kind in _PUTS:
            writer.put(len(writer.memo) if kind == 'MEMOIZE' else int(argument or 0))
        elif kind in _GETS:
            writer.get(int(argument or 0))
        elif kind == 'STACK_GLOBAL':
            writer.name()
        elif kind != 'FRAME':
            file.seek(position or 0)
            writer.push(file.read(end - (position or 0)))
    return b''.join(writer.parts)


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f'{module}\n{name}\n'.encode()


def _bytes(content: bytes) -> bytes:
    return (_global('_codecs', 'encode') + _text(content.decode('latin1')) + _text('latin1')
            + pickle.TUPLE2 + pickle.REDUCE)


def _text(text: str) -> bytes:
    encoded = text.encode('utf-8', 'surrogatepass')
    return pickle.BINUNICODE + struct.pack('<I', len(encoded)) + encoded
