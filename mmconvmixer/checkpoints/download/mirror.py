"""The user's mirror of published files: a folder or URL in MMCONVMIXER_MIRROR."""
import logging
import os
from pathlib import Path
from urllib.parse import quote

from mmengine.logging import print_log

from mmconvmixer.checkpoints.download.http import is_url
from mmconvmixer.checkpoints.hashes import matches_hash

VARIABLE = 'MMCONVMIXER_MIRROR'


def file_in_mirror(name: str, promised: str) -> Path | None:
    """Return the path of a file in the mirror, if the mirror is a folder.

    The file is used in place: a large shared folder does not fill every user's disk, and
    the cache may be read-only. Its hash is checked each time.

    Args:
        name: path in the mirror, from `download.fetch.mirror_name`.
        promised: prefix of the file's sha256, '' if it is unknown.

    Returns:
        The path. None if the mirror is not a folder or does not have the file, or, with a
        warning, if the file has a different hash.
    """
    mirror = os.environ.get(VARIABLE, '')
    if not mirror or is_url(mirror):
        return None
    folder = Path(mirror).expanduser()
    path = folder / name
    if not folder.is_dir():
        warn_about_mirror(f'{folder} is not a folder')
    elif path.is_file():
        if matches_hash(path, promised):
            return path
        warn_about_mirror(f'{path} is not the file with sha256 {promised} and is not used')
    return None


def url_in_mirror(name: str) -> str:
    """Return the URL of a file in the mirror, '' if the mirror is not a URL."""
    mirror = os.environ.get(VARIABLE, '')
    return f'{mirror.rstrip("/")}/{quote(name)}' if is_url(mirror) else ''


def warn_about_mirror(problem: object) -> None:
    """Warn that the mirror can't be used for a file."""
    print_log(f'{VARIABLE}: {problem}. Using the original host instead', 'current',
              logging.WARNING)
