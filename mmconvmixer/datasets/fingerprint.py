"""A hash of a dataset's content, which tells whether two runs had the same data."""
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmcv
import numpy as np

from mmconvmixer._support.progress import Progress
from mmconvmixer.datasets.wrappers.in_memory import InMemory

# Above these limits, decoding every image, or asking a network disk for the size of every
# file, would delay a run by minutes.
MAX_BYTES_DECODED = 128 << 20
MAX_FILES_STATTED = 100_000


def fingerprint(dataset: Any) -> dict:
    """Return a hash of a dataset's images and labels.

    Neither the order nor the names of the images matter, nor whether they are kept in memory
    or read from files.

    Args:
        dataset: any map-style dataset, wrapped or not.

    Returns:
        `images`, the number of images; `sha256`; and `of`, what is hashed: 'pixels and
        labels'; 'names, labels and file sizes' if the files have more than 128 MiB; 'names and
        labels' if there are more than 100,000 files or they are not local. For a dataset
        without mmengine's `get_data_info`, `sha256` and `of` are None.
    """
    while not isinstance(dataset, InMemory) and _is_dataset(getattr(dataset, 'dataset', None)):
        dataset = dataset.dataset
    if not isinstance(dataset, InMemory) and not hasattr(dataset, 'get_data_info'):
        return dict(images=len(dataset), sha256=None, of=None)
    of, items = _kept(dataset) if isinstance(dataset, InMemory) else _annotated(dataset)
    progress = Progress('fingerprint', len(dataset), 'images')
    digests = []
    for number, item in enumerate(items):
        if item is None:  # can't be decoded, so no run sees it
            continue
        digests.append(hashlib.sha256(item).digest())
        progress.update(number + 1)
    whole = hashlib.sha256(b''.join(sorted(digests)))
    return dict(images=len(digests), sha256=whole.hexdigest(), of=of)


def _is_dataset(thing: object) -> bool:
    return (hasattr(thing, '__getitem__') and hasattr(thing, '__len__')
            and not isinstance(thing, str))


def _kept(dataset: InMemory) -> tuple[str, Iterator[bytes]]:
    pairs = zip(dataset.images.numpy(), dataset.labels.tolist(), strict=True)
    return 'pixels and labels', (_labeled(image.transpose(1, 2, 0), label)
                                 for image, label in pairs)


def _annotated(dataset: Any) -> tuple[str, Iterator[bytes]]:
    infos = map(dataset.get_data_info, range(len(dataset)))
    if len(dataset) > MAX_FILES_STATTED:
        return 'names and labels', map(_named, infos)
    infos = list(infos)
    sizes = [_size(info) for info in infos]
    if None in sizes:
        return 'names and labels', map(_named, infos)
    if sum(sizes) > MAX_BYTES_DECODED:
        return 'names, labels and file sizes', (
            _named(info) + size.to_bytes(8, 'big')
            for info, size in zip(infos, sizes, strict=True))
    return 'pixels and labels', map(_decoded, infos)


def _size(info: dict) -> int | None:
    """Return the size of a sample's array or file in bytes, None if it has no local one."""
    if 'img' in info:
        return getattr(info['img'], 'nbytes', None)
    try:
        return Path(info['img_path']).stat().st_size
    except (OSError, KeyError, TypeError):  # not a local file
        return None


def _decoded(info: dict) -> bytes | None:
    try:
        image = info['img'] if 'img' in info else mmcv.imread(info['img_path'])
    except Exception:  # a decoder may raise anything
        image = None
    return None if image is None else _labeled(image, info.get('gt_label'))


def _labeled(image: np.ndarray, label: object) -> bytes:
    height, width = image.shape[:2]
    return f'{label} {height}x{width} '.encode() + np.ascontiguousarray(image).tobytes()


def _named(info: dict) -> bytes:
    path = Path(str(info.get('img_path')))
    return f'{info.get("gt_label")} {path.parent.name}/{path.name} '.encode(
        errors='surrogateescape')
