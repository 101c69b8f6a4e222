"""A user's own copies of published files, MMCONVMIXER_MIRROR: a folder or an address."""
import logging
import os
from pathlib import Path
from urllib.parse import quote

from mmengine.logging import print_log

from mmconvmixer.checkpoints.download.http import is_url
from mmconvmixer.checkpoints.hashes import matches_hash

VARIABLE = 'MMCONVMIXER_MIRROR'


def file_in_mirror(name: str, promised: str) -> Path | None:
    """Return the file of that name in the mirror, if the mirror is a folder.

    It is used in place: a shared folder may be as large as it likes without
    filling a disk of every user, the cache need not be writable, and the hash
    is compared at each use anyway.

    Args:
        name: of the file, as `checkpoints.fetch.mirror_name` says it.
        promised: prefix of its sha256, '' where nobody knows it.

    Returns:
        The path; None where there is no such mirror, no such file, or (with a
        warning) one with another hash.
    """
    mirror = os.environ.get(VARIABLE, '')
    if not mirror or is_url(mirror):
        return None
    folder = Path(mirror).expanduser()
    path = folder / name
    if not folder.is_dir():
        warn_about_mirror(f'{folder} is no folder')
    elif path.is_file():
        if matches_hash(path, promised):
            return path
        warn_about_mirror(f'{path} is not the file with sha256 {promised}, and is not used')
    return None


def url_in_mirror(name: str) -> str:
    """Return the address of a file of that name in the mirror, '' if it has no address."""
    mirror = os.environ.get(VARIABLE, '')
    return f'{mirror.rstrip("/")}/{quote(name)}' if is_url(mirror) else ''


def warn_about_mirror(trouble: object) -> None:
    """Say what is wrong with the mirror, before the original host is asked."""
    print_log(f'{VARIABLE}: {trouble}. The original host is asked', 'current', logging.WARNING)
