"""The hashes that files are promised to have."""
import hashlib
import os
import re
from pathlib import Path

_CHUNK = 1 << 20


def hash_in_name(name: str) -> str:
    """Return the sha256 prefix in a file name, OpenMMLab's convention; a date is none."""
    match = re.search(r'-([0-9a-f]{8,64})\.\w+$', name)
    if not match or re.fullmatch(r'20\d\d(0[1-9]|1[0-2])[0-3]\d', match[1]):
        return ''
    return match[1]


def sha256_of(path: str | os.PathLike) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def matches_hash(path: Path, promised: str) -> bool:
    """Whether there is a file, and it is the one of this sha256 prefix, '' for any."""
    return path.is_file() and (not promised or sha256_of(path).startswith(promised))
