"""Downloading published weights, once, checked against the hash they promise."""
import hashlib
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlparse

import torch
from mmengine.dist import barrier, is_main_process

from mmconvmixer.download import download
from mmconvmixer.errors import DownloadError, HashMismatch
from mmconvmixer.files import check_writable, written_whole

_CHUNK = 1 << 20


def is_url(text: str) -> bool:
    return text.startswith(('http://', 'https://'))


def fetch(url: str, folder: str | os.PathLike | None = None) -> Path:
    """Return the local copy of a URL, downloading it if need be.

    In a distributed run rank 0 downloads and the others wait.

    Args:
        url: http(s); a name like `x-1a2b3c4d.pth` promises its sha256 prefix,
            the OpenMMLab convention, and is held to it.
        folder: where copies are kept. Default: torch hub's, shared with
            mmengine and timm.

    Raises:
        DownloadError: not reachable, refused, or broken off.
        HashMismatch: the file is not the promised one; it is not kept.
    """
    target = _target(url, Path(folder or Path(torch.hub.get_dir()) / 'checkpoints'))
    if not is_main_process():
        barrier()  # then the file is there, or this machine has its own disk
    try:
        return _fetch_missing(url, target)
    finally:
        if is_main_process():
            barrier()


def _target(url: str, folder: Path) -> Path:
    try:
        name = Path(unquote(urlparse(url).path)).name
    except ValueError as error:
        raise DownloadError(f'{url} is no address: {error}') from error
    if not name:
        raise DownloadError(f'{url} names no file; expected an address like '
                            'https://host/folder/weights.pth')
    if _promised(name):
        return folder / name
    # Nothing tells one `epoch_1.pth` from another's but where it comes from.
    return folder / hashlib.sha256(url.encode()).hexdigest()[:16] / name


def _promised(name: str) -> str:
    """Return the sha256 prefix in a file name; a date is none."""
    match = re.search(r'-([0-9a-f]{8,64})\.\w+$', name)
    if not match or re.fullmatch(r'20\d\d(0[1-9]|1[0-2])[0-3]\d', match[1]):
        return ''
    return match[1]


def _fetch_missing(url: str, target: Path) -> Path:
    prefix = _promised(target.name)
    if target.is_file() and _sha256(target).startswith(prefix):
        return target
    check_writable(target.parent)
    with written_whole(target) as part:
        digest = hashlib.sha256()
        with open(part, 'wb') as file:
            for chunk in download(url):
                file.write(chunk)
                digest.update(chunk)
        if not digest.hexdigest().startswith(prefix):
            raise HashMismatch(f'{url} gave a file with sha256 {digest.hexdigest()[:8]}, '
                               f'but its name promises {prefix}; it was not kept. Try again, '
                               'or ask who serves it')
    return target


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
