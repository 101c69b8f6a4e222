"""The sha256 of files, and the one that a file's name promises."""
import hashlib
import os
import re
from pathlib import Path

_CHUNK = 1 << 20


def hash_in_name(name: str) -> str:
    """Return the sha256 prefix at the end of a file name, '' if there is none.

    This is OpenMMLab's convention: `net-1a2b3c4d.pth`. A date there is not a hash.
    """
    match = re.search(r'-([0-9a-f]{8,64})\.\w+$', name)
    if not match or re.fullmatch(r'20\d\d(0[1-9]|1[0-2])[0-3]\d', match[1]):
        return ''
    return match[1]


def sha256_of(path: str | os.PathLike) -> str:
    """Return the sha256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def matches_hash(path: Path, promised: str) -> bool:
    """Whether the file exists and its sha256 has this prefix; '' fits any file."""
    return os.path.isfile(path) and (not promised or sha256_of(path).startswith(promised))
