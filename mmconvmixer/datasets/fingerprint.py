"""Was it the same data? A hash of what a dataset holds."""
import hashlib
from collections.abc import Iterator
from pathlib import Path

import mmcv
import numpy as np

from mmconvmixer._support.progress import Progress
from mmconvmixer.datasets.wrappers.in_memory import InMemory

# Beyond these, reading every image, or asking for the size of every file of a
# network disk, would delay a run by minutes.
MOST_BYTES_DECODED = 128 << 20
MOST_FILES_ASKED = 100_000


def fingerprint(dataset) -> dict:
    """Return what tells this dataset from another.

    The same images with the same labels give the same fingerprint, in
    whatever order, under whatever names, kept in memory or read from files.

    Args:
        dataset: any map-style dataset, wrapped or not.

    Returns:
        images (int), sha256, and what it is the hash `of`: 'pixels and
        labels'; 'names, labels and file sizes' where the files are more than
        128 MiB; 'names and labels' where they are more than 100,000 or not
        local. Of a dataset without mmengine's `get_data_info` only `images`
        is known; sha256 and `of` are None.
    """
    while not isinstance(dataset, InMemory) and _is_dataset(getattr(dataset, 'dataset', None)):
        dataset = dataset.dataset
    if not isinstance(dataset, InMemory) and not hasattr(dataset, 'get_data_info'):
        return dict(images=len(dataset), sha256=None, of=None)
    of, items = _kept(dataset) if isinstance(dataset, InMemory) else _annotated(dataset)
    progress = Progress('fingerprint', len(dataset), 'images')
    digests = []
    for number, item in enumerate(items):
        if item is None:  # can't be decoded: no part of what a run sees
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
    return 'pixels and labels', (_labelled(image.transpose(1, 2, 0), label)
                                 for image, label in pairs)


def _annotated(dataset) -> tuple[str, Iterator[bytes]]:
    infos = map(dataset.get_data_info, range(len(dataset)))
    if len(dataset) > MOST_FILES_ASKED:
        return 'names and labels', map(_named, infos)
    infos = list(infos)
    sizes = [_size(info) for info in infos]
    if None in sizes:
        return 'names and labels', map(_named, infos)
    if sum(sizes) > MOST_BYTES_DECODED:
        return 'names, labels and file sizes', (
            _named(info) + size.to_bytes(8, 'big')
            for info, size in zip(infos, sizes, strict=True))
    return 'pixels and labels', map(_decoded, infos)


def _size(info: dict) -> int | None:
    """Return the bytes of a sample's file or array, None if there is neither here."""
    if 'img' in info:
        return getattr(info['img'], 'nbytes', None)
    try:
        return Path(info['img_path']).stat().st_size
    except (OSError, KeyError, TypeError):  # elsewhere, or no image file at all
        return None


def _decoded(info: dict) -> bytes | None:
    try:
        image = info['img'] if 'img' in info else mmcv.imread(info['img_path'])
    except Exception:  # whatever a decoder throws
        image = None
    return None if image is None else _labelled(image, info.get('gt_label'))


def _labelled(image: np.ndarray, label: object) -> bytes:
    height, width = image.shape[:2]
    return f'{label} {height}x{width} '.encode() + np.ascontiguousarray(image).tobytes()


def _named(info: dict) -> bytes:
    path = Path(str(info.get('img_path')))
    return f'{info.get("gt_label")} {path.parent.name}/{path.name} '.encode()
