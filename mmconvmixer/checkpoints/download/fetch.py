"""Downloading published weights, once, checked against the hash they promise."""
import hashlib
import os
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urlparse

import torch
from mmengine.dist import barrier, is_main_process

from mmconvmixer._support.atomic_write import check_writable
from mmconvmixer._support.lock import locked
from mmconvmixer.checkpoints.download.mirror import file_in_mirror, url_in_mirror, warn_about_mirror
from mmconvmixer.checkpoints.download.resumable import download_file
from mmconvmixer.checkpoints.hashes import hash_in_name, matches_hash
from mmconvmixer.errors import DownloadError, HashMismatch


def fetch(url: str, folder: str | os.PathLike | None = None, sha256: str = '') -> Path:
    """Return a local copy of a URL, downloading it if need be.

    A copy that is there and right is taken, then one of the user's mirror
    (see `mmconvmixer.checkpoints.download.mirror`), then the URL is asked. A download
    that breaks off is resumed, in this call or a later one. Of several
    processes that want one file, one downloads and the others wait; in a
    distributed run that is rank 0.

    Args:
        url: http(s); a name like `x-1a2b3c4d.pth` promises its sha256 prefix,
            the OpenMMLab convention, and is held to it.
        folder: where copies are kept. Default: torch hub's, shared with
            mmengine and timm.
        sha256: the hash or its first digits, where it is known from elsewhere
            than the name.

    Returns:
        The path: in `folder`, or in the mirror where that is a folder.

    Raises:
        DownloadError: not reachable, refused, or broken off again and again.
        HashMismatch: the file is not the promised one; it is not kept.
        OutputNotWritable: the folder is read-only, full or no folder.
    """
    target = Path(folder or Path(torch.hub.get_dir()) / 'checkpoints') / cache_name(url)
    promised = sha256.lower() or hash_in_name(target.name)
    if not is_main_process():
        barrier()  # then the file is there, or this machine has its own disk
    try:
        if matches_hash(target, promised):
            return target
        known_as = mirror_name(url, promised)
        return file_in_mirror(known_as, promised) or fetch_to(
            target, [url_in_mirror(known_as), url], promised)
    finally:
        if is_main_process():
            barrier()


def file_name(url: str) -> str:
    """Return the name of the file at an address.

    Raises:
        DownloadError: it names none.
    """
    try:
        name = Path(unquote(urlparse(url).path)).name
    except ValueError as error:
        raise DownloadError(f'{url} is no address: {error}') from error
    if not name or '\0' in name:
        raise DownloadError(f'{url} names no file; expected an address like '
                            'https://host/folder/weights.pth')
    return name


def mirror_name(url: str, promised: str) -> str:
    """Return what a mirror calls the file at an address.

    Its name; where no hash tells it from others of that name (`Mixer-B_16.npz` is
    three files), with the folder that it is published in, such as `sam/Mixer-B_16.npz`.
    """
    name = file_name(url)
    folder = Path(unquote(urlparse(url).path)).parent.name
    return name if promised or folder in ('', '..') else f'{folder}/{name}'


def cache_name(url: str) -> str:
    """Return where in the cache the file at an address is kept.

    Its name; where no hash in the name tells it from others, such as every run's
    `epoch_1.pth`, in a folder named after the whole address.
    """
    name = file_name(url)
    if hash_in_name(name):
        return name
    return f'{hashlib.sha256(url.encode()).hexdigest()[:16]}/{name}'


def fetch_to(target: Path, urls: list[str], promised: str) -> Path:
    """Return `target`, downloaded from the first of `urls` that has it if need be.

    Args:
        target: where the file is or goes.
        urls: the original last, mirrors before it; empty ones are passed over.
        promised: prefix of its sha256, '' where nobody knows it.

    Raises: see `fetch`.
    """
    check_writable(target.parent)
    with locked(target.with_name(f'.{target.name}.lock'), f'downloading {urls[-1]}'):
        if matches_hash(target, promised):  # by now, or all the time
            return target
        for mirror in filter(None, urls[:-1]):
            try:
                download_file(mirror, target, promised)
                return target
            except (DownloadError, HashMismatch) as error:
                if not _is_missing(error):
                    warn_about_mirror(error)
        download_file(urls[-1], target, promised)
    return target


def _is_missing(error: Exception) -> bool:
    """Whether the server said so: no reason to warn, a mirror need not have all."""
    return isinstance(error.__cause__, HTTPError) and error.__cause__.code in (404, 410)
