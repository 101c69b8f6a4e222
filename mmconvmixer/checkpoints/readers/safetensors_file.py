"""Read and write safetensors files: a JSON header and numbers, no code."""
import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.serialization import MAP_LOCATION

from mmconvmixer.errors import BadCheckpoint

_LONGEST_HEADER = 100_000_000  # bytes; a limit of the format
# Parsing takes thirty times the size in memory. This is enough for 200,000 tensors.
_LONGEST_PARSED = 20_000_000
# Keys in the metadata of files written here: a .pth file's `meta`, as JSON, and a checksum of
# everything else in the file. The format itself has no checksum.
META = 'mmconvmixer'
DIGEST = 'sha256_of_the_rest'


def looks_like_safetensors(path: Path) -> bool:
    """Whether the file begins with the length of a JSON header and an opening brace."""
    with open(path, 'rb') as file:
        start = file.read(9)
    return (len(start) == 9 and start[8:] == b'{'
            and struct.unpack('<Q', start[:8])[0] <= _LONGEST_HEADER)


def read_safetensors(path: Path, map_location: MAP_LOCATION
                     ) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata.

    Args:
        path: the file.
        map_location: device of the tensors. The file knows none, so rules for devices
            that `torch.load` takes mean the CPU.

    Raises:
        BadCheckpoint: the file is cut short or damaged, or two tensors have one name.
    """
    # Imported in the functions, because importing this package must stay fast.
    from safetensors import SafetensorError, safe_open
    device = str(map_location) if isinstance(map_location, str | torch.device) else 'cpu'
    try:
        header, data_start = _header(path)
        with safe_open(path, framework='pt', device=device) as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except BadCheckpoint:
        raise
    except (SafetensorError, ValueError, RecursionError, RuntimeError, KeyError, TypeError,
            AttributeError, OverflowError) as error:
        raise BadCheckpoint(f'{path} is cut short or damaged ({path.stat().st_size} bytes: '
                            f'{error}); copy or download it again') from error
    # A file with the one key and without the other was damaged in the name of the other.
    if (META in metadata or DIGEST in metadata) and (
            metadata.get(DIGEST) != _digest(header, _pieces(path, data_start))):
        raise BadCheckpoint(f'{path} is damaged: the checksum of its data is wrong; copy or '
                            'download it again')
    return tensors, metadata


def safetensors_bytes(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """Return the content of a file, with its checksum in the metadata.

    The same tensors and metadata always give the same bytes: safetensors would draw the order of
    the metadata's keys anew at each call, so the metadata is added to the header here.
    """
    from safetensors.torch import save
    # The format does not allow tensors that share memory.
    content = save({key: value.clone(memory_format=torch.contiguous_format)
                    for key, value in tensors.items()})
    start = 8 + struct.unpack('<Q', content[:8])[0]
    header, data = json.loads(content[8:start]), content[start:]
    digest = _digest({**header, '__metadata__': metadata}, [data])
    header = {'__metadata__': {**metadata, DIGEST: digest}, **header}
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)  # the data starts at a multiple of 8
    return struct.pack('<Q', len(text)) + text + data


def _header(path: Path) -> tuple[dict, int]:
    """Return the header and the offset of the data in bytes."""
    with open(path, 'rb') as file:
        length, = struct.unpack('<Q', file.read(8))
        if length > _LONGEST_PARSED:
            raise BadCheckpoint(f'{path} was not loaded: its header has {length} bytes, far more '
                                'than the names and shapes of weights need')
        text = file.read(length)

    def unique(pairs: list[tuple]) -> dict:
        (name, times), = Counter(key for key, _ in pairs).most_common(1) or [('', 0)]
        if times > 1:
            raise BadCheckpoint(f'{path} has {name} twice; it is unclear which to load. Get it '
                                'again from its author')
        return dict(pairs)
    return json.loads(text, object_pairs_hook=unique), 8 + length


def _pieces(path: Path, start: int) -> Iterator[bytes]:
    with open(path, 'rb') as file:
        file.seek(start)
        while piece := file.read(1 << 20):
            yield piece


def _digest(header: dict, data: Iterable[bytes]) -> str:
    metadata = {key: value for key, value in header.get('__metadata__', {}).items()
                if key != DIGEST}
    rest = json.dumps({**header, '__metadata__': metadata}, sort_keys=True)
    digest = hashlib.sha256(rest.encode())
    for piece in data:
        digest.update(piece)
    return digest.hexdigest()
