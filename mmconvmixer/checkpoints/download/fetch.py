"""Fetch files: from a cache, a mirror or their URL, with a checked hash."""
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

_LONGEST_NAME = 200  # bytes; file systems take 255, of which the temporary file's name needs some


def fetch(url: str, folder: str | os.PathLike | None = None, sha256: str = '', *,
          published: bool = True) -> Path:
    """Return a local copy of a file, downloading it if necessary.

    A copy in the cache with the right hash is used first, then one in the user's mirror
    (`mmconvmixer.checkpoints.download.mirror`), then the URL. An interrupted download is
    resumed, by this call or a later one. If several processes need one file, one
    downloads it and the others wait; in a distributed run that is rank 0.

    Args:
        url: http(s). The name may end in a sha256 prefix, OpenMMLab's convention:
            `x-1a2b3c4d.pth`. The file is checked against it.
        folder: the cache. Default: torch hub's, which mmengine and timm also use.
        sha256: the hash or its first digits, if known from another source.
        published: whether the file is one of those that mirrors are made of. If not, and no
            hash is known, no mirror is asked: it has files by name, and another run's
            `exp/epoch_1.pth` may have the same.

    Returns:
        The path in the cache, or in the mirror if that is a folder.

    Raises:
        DownloadError: the host can't be reached, refuses, or breaks off repeatedly.
        HashMismatch: the file does not have the promised hash; it is not kept.
        OutputNotWritable: the folder is read-only or full, or is not a folder.
    """
    target = Path(folder or Path(torch.hub.get_dir()) / 'checkpoints') / cache_name(url)
    promised = sha256.lower() or hash_in_name(target.name)
    if not is_main_process():
        barrier()  # rank 0 has the file now, unless this node has a separate disk
    try:
        if matches_hash(target, promised):
            return target
        if not (published or promised):
            return fetch_to(target, [url], promised)
        name = mirror_name(url, promised)
        return file_in_mirror(name, promised) or fetch_to(
            target, [url_in_mirror(name), url], promised)
    finally:
        if is_main_process():
            barrier()


def file_name(url: str) -> str:
    """Return the name of the file at a URL.

    Raises:
        DownloadError: the URL is invalid or does not name a file.
    """
    try:
        name = Path(unquote(urlparse(url).path)).name
    except ValueError as error:
        raise DownloadError(f'{url} is not a valid URL: {error}') from error
    if not name or '\0' in name:
        raise DownloadError(f'{url} does not name a file; expected a URL like '
                            'https://host/folder/weights.pth')
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise DownloadError(f'{url} names a file of {len(name)} characters, more than disks take; '
                            'download it under another name and give its path')
    return name


def mirror_name(url: str, promised: str) -> str:
    """Return the path of a URL's file in a mirror.

    It is the file name. If no hash distinguishes the file from others of that name
    (there are three `Mixer-B_16.npz`), its folder comes first: `sam/Mixer-B_16.npz`.
    """
    name = file_name(url)
    folder = Path(unquote(urlparse(url).path)).parent.name
    return name if promised or folder in ('', '..') else f'{folder}/{name}'


def cache_name(url: str) -> str:
    """Return the path of a URL's file in the cache.

    It is the file name. If no hash in it distinguishes the file from others of that
    name, such as every run's `epoch_1.pth`, it is in a folder named by a hash of the URL.
    """
    name = file_name(url)
    if hash_in_name(name):
        return name
    return f'{hashlib.sha256(url.encode()).hexdigest()[:16]}/{name}'


def fetch_to(target: Path, urls: list[str], promised: str) -> Path:
    """Return `target`, downloading it from the first of `urls` that has it if necessary.

    Args:
        target: path of the file.
        urls: those of mirrors, then the original; empty ones are skipped.
        promised: prefix of the file's sha256, '' if it is unknown.

    Raises:
        DownloadError, HashMismatch, OutputNotWritable: see `fetch`.
    """
    check_writable(target.parent)
    with locked(target.with_name(f'.{target.name}.lock'), f'downloading {urls[-1]}'):
        if matches_hash(target, promised):  # another process may have downloaded it
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
    """Whether the server does not have the file: a mirror may be incomplete."""
    return isinstance(error.__cause__, HTTPError) and error.__cause__.code in (404, 410)
