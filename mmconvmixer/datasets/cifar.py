"""CIFAR as folders of pictures, one a class: no pickle in sight."""
import tarfile
from pathlib import Path

import numpy as np
from mmpretrain.datasets import CIFAR10, CIFAR100, CustomDataset
from PIL import Image

from mmconvmixer.errors import DatasetNotFound
from mmconvmixer.progress import Progress


class CIFAR10Folder(CustomDataset):
    """`<data_root>/<data_prefix>/<class>/*.png`, labels in CIFAR's order.

    Args: those of mmpretrain's `CustomDataset`.

    Raises:
        DatasetNotFound: the folders are not CIFAR's classes.
    """

    METAINFO = CIFAR10.METAINFO

    def _find_samples(self):
        from mmpretrain.datasets.custom import find_folders
        found = find_folders(self.img_prefix)[0]
        strange = sorted(set(found) ^ set(self.CLASSES))
        if strange:
            raise DatasetNotFound(
                f'{self.img_prefix} should hold one folder for each of the {len(self.CLASSES)} '
                f'classes of {type(self).__name__}; missing or unknown: '
                f'{", ".join(strange[:5])}')
        return super()._find_samples()


class CIFAR100Folder(CIFAR10Folder):
    """The same with CIFAR-100's fine labels."""

    METAINFO = CIFAR100.METAINFO


def unpack_cifar(archive: str | Path, out: str | Path) -> int:
    """Write the pictures of a CIFAR archive as `<out>/{train,test}/<class>/<nnnnn>.png`.

    Args:
        archive: `cifar-10-binary.tar.gz` or `cifar-100-binary.tar.gz`, the
            "binary version" of https://www.cs.toronto.edu/~kriz/cifar.html.
        out: folder to make, e.g. data/cifar10.

    Returns:
        The number of pictures.

    Raises:
        DatasetNotFound: no such archive, or none of these two.
    """
    try:
        with tarfile.open(archive) as tar:
            files = {Path(member.name).name: tar.extractfile(member).read()
                     for member in tar if member.name.endswith('.bin')}
    except (OSError, tarfile.TarError) as error:
        reason = getattr(error, 'strerror', None) or 'no tar archive'
        raise DatasetNotFound(f'{archive} can not be opened: {reason}; expected '
                              'cifar-10-binary.tar.gz or cifar-100-binary.tar.gz') from error
    if 'train.bin' in files:
        dataset, label_bytes = CIFAR100Folder, 2  # coarse, fine
    elif 'test_batch.bin' in files:
        dataset, label_bytes = CIFAR10Folder, 1
    else:
        raise DatasetNotFound(f'{archive} holds {", ".join(sorted(files)) or "no .bin file"}; '
                              'expected the binary version of CIFAR-10 or CIFAR-100')
    classes = dataset.METAINFO['classes']
    counts: dict[tuple[str, str], int] = {}
    progress = Progress('unpacking', 60_000, 'pictures')
    for name in sorted(files):
        split = 'test' if name.startswith('test') else 'train'
        records = np.frombuffer(files[name], np.uint8).reshape(-1, label_bytes + 3072)
        for record in records:
            label = classes[record[label_bytes - 1]]
            number = counts[split, label] = counts.get((split, label), -1) + 1
            path = Path(out, split, label, f'{number:05d}.png')
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = record[label_bytes:].reshape(3, 32, 32).transpose(1, 2, 0)
            Image.fromarray(pixels).save(path)
            progress.update(sum(counts.values()) + len(counts))
    return sum(counts.values()) + len(counts)
