"""Downloading published weights, once, checked against the hash they promise."""
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlparse

import torch
from mmengine.dist import barrier, is_main_process

from mmconvmixer.errors import DownloadError, HashMismatch
from mmconvmixer.files import check_writable, written_whole
from mmconvmixer.progress import Progress

TIMEOUT = 30  # seconds without a byte
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
        digest = _download(url, part)
        if not digest.startswith(prefix):
            raise HashMismatch(f'{url} gave a file with sha256 {digest[:8]}..., but its name '
                               f'promises {prefix}; it was not kept. Try again, or ask who '
                               'serves it')
    return target


def _download(url: str, part: Path) -> str:
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response, open(part, 'wb') as file:
            total = int(response.headers.get('Content-Length') or 0)
            progress = Progress(f'downloading {url}', total, 'bytes')
            done = 0
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                progress.update(done)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError,
            ValueError) as error:
        reason = ' '.join(str(getattr(error, 'reason', None) or error).split())
        raise DownloadError(f'{url} could not be downloaded: {reason}. Check the address and '
                            'the network, or give the path of a copy') from error
    if total and done != total:
        raise DownloadError(f'{url} broke off after {done} of {total} bytes; try again')
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
