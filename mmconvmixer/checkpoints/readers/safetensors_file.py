"""Files in the safetensors format: numbers and a JSON header, nothing that runs."""
import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from mmconvmixer.errors import BadCheckpoint

_LONGEST_HEADER = 100_000_000  # bytes, the format's own limit
# In the metadata of files written here, of everything else in them: the format
# itself has no checksum.
DIGEST = 'sha256_of_the_rest'


def looks_like_safetensors(path: Path) -> bool:
    """Whether the file begins with the length of a JSON header and its brace."""
    with open(path, 'rb') as file:
        start = file.read(9)
    return (len(start) == 9 and start[8:] == b'{'
            and struct.unpack('<Q', start[:8])[0] <= _LONGEST_HEADER)


def read_safetensors(path: Path, map_location: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors and metadata.

    Raises:
        BadCheckpoint: cut short, damaged, or one name for two tensors.
    """
    # Here and below: importing the package is to load nothing but itself.
    from safetensors import SafetensorError, safe_open
    try:
        header, data_start = _header(path)
        with safe_open(path, framework='pt', device=map_location) as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except BadCheckpoint:
        raise
    except (SafetensorError, ValueError, RecursionError, RuntimeError, KeyError, TypeError,
            AttributeError, OverflowError) as error:
        raise BadCheckpoint(f'{path} is cut short or damaged ({path.stat().st_size} bytes: '
                            f'{error}); copy or download it again') from error
    if DIGEST in metadata and metadata[DIGEST] != _digest(header, _pieces(path, data_start)):
        raise BadCheckpoint(f'{path} is damaged: the checksum of its data is another; copy or '
                            'download it again')
    return tensors, metadata


def safetensors_bytes(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """Return the file's content, with a checksum of it in its metadata."""
    from safetensors.torch import save
    # Each with memory of its own, which the format asks for.
    tensors = {key: value.clone(memory_format=torch.contiguous_format)
               for key, value in tensors.items()}
    content = save(tensors, metadata)
    start = 8 + struct.unpack('<Q', content[:8])[0]
    digest = _digest(json.loads(content[8:start]), [content[start:]])
    return save(tensors, {**metadata, DIGEST: digest})


def _header(path: Path) -> tuple[dict, int]:
    """Return the header, and where the data begin."""
    with open(path, 'rb') as file:
        length, = struct.unpack('<Q', file.read(8))
        text = file.read(length)

    def unique(pairs: list[tuple]) -> dict:
        (name, times), = Counter(key for key, _ in pairs).most_common(1) or [('', 0)]
        if times > 1:
            raise BadCheckpoint(f'{path} has {name} twice; nobody knows which is meant. Get it '
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
