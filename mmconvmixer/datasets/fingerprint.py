"""Was it the same data? A hash of what a dataset holds."""
import hashlib
from collections.abc import Iterator
from pathlib import Path

import mmcv
import numpy as np

from mmconvmixer.datasets.in_memory import InMemory
from mmconvmixer.progress import Progress

# Beyond this, decoding every picture would delay a run by more than half a minute.
MOST_BYTES_DECODED = 128 << 20


def fingerprint(dataset) -> dict:
    """Return what tells this dataset from another.

    The same pictures with the same labels give the same fingerprint, in
    whatever order, under whatever names, kept in memory or read from files.

    Args:
        dataset: a dataset of this package or mmpretrain's, wrapped or not.

    Returns:
        pictures (int), sha256, and what it is the hash `of`: 'pixels and
        labels'; or, where the files are more than 128 MiB, 'names, labels and
        file sizes'; or, where they are not local, 'names and labels'.
    """
    while not isinstance(dataset, InMemory) and hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    if isinstance(dataset, InMemory):
        of, items = 'pixels and labels', _kept(dataset)
    else:
        infos = [dataset.get_data_info(number) for number in range(len(dataset))]
        sizes = [_size(info) for info in infos]
        if None in sizes:
            of, items = 'names and labels', (_named(info) for info in infos)
        elif sum(sizes) > MOST_BYTES_DECODED:
            of = 'names, labels and file sizes'
            items = (_named(info) + size.to_bytes(8, 'big') for info, size in
                     zip(infos, sizes, strict=True))
        else:
            of, items = 'pixels and labels', map(_decoded, infos)
    progress = Progress('fingerprint', len(dataset), 'pictures')
    digests = []
    for number, item in enumerate(items):
        digests.append(hashlib.sha256(item).digest())
        progress.update(number + 1)
    whole = hashlib.sha256(b''.join(sorted(digests)))
    return dict(pictures=len(digests), sha256=whole.hexdigest(), of=of)


def _size(info: dict) -> int | None:
    """Return the bytes of a sample's file, 0 if it is in memory, None if it is not local."""
    if 'img' in info:
        return 0
    try:
        return Path(info['img_path']).stat().st_size
    except OSError:
        return None


def _kept(dataset: InMemory) -> Iterator[bytes]:
    for image, label in zip(dataset.images.numpy(), dataset.labels.tolist(), strict=True):
        yield _labelled(image.transpose(1, 2, 0), label)


def _decoded(info: dict) -> bytes:
    image = info['img'] if 'img' in info else mmcv.imread(info['img_path'])
    # A picture that can't be decoded is no part of what a run sees.
    return b'' if image is None else _labelled(image, info['gt_label'])


def _labelled(image: np.ndarray, label: int) -> bytes:
    height, width = image.shape[:2]
    return f'{label} {height}x{width} '.encode() + np.ascontiguousarray(image).tobytes()


def _named(info: dict) -> bytes:
    path = Path(info['img_path'])
    return f'{info["gt_label"]} {path.parent.name}/{path.name} '.encode()
