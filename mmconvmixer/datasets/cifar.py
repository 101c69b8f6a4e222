"""CIFAR as image files, in one folder per class, instead of pickles."""
import tarfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mmpretrain.datasets import CIFAR10, CIFAR100, CustomDataset
from PIL import Image

from mmconvmixer._support.atomic_write import check_writable
from mmconvmixer._support.progress import Progress
from mmconvmixer.datasets.class_folders import checked_labels, find_samples
from mmconvmixer.datasets.image_files import class_folders
from mmconvmixer.datasets.split import check_part, last_name_first, names_in_part, shuffled
from mmconvmixer.errors import DatasetNotFound, OutputNotWritable


class CIFAR10Folder(CustomDataset):
    """`<data_root>/<data_prefix>/<class>/*.png`, labels in CIFAR's order.

    Args:
        *args: as in mmpretrain's `CustomDataset`.
        part: 'all' images, those 'held-out' (of the training images 5,000: the last tenth of
            each class by file name) or the 'rest'; see `datasets.split`.
        per_class: the number of images to keep of each class, the first in the order
            `datasets.split.shuffled`; None keeps all.
        seed: the seed of that order.
        **kwargs: as in mmpretrain's `CustomDataset`.

    Raises:
        DatasetNotFound: the folders are not CIFAR's classes.
        ValueError: `part` is unknown, or `per_class` is less than 1.
    """

    METAINFO = CIFAR10.METAINFO

    def __init__(self, *args: Any, part: str = 'all', per_class: int | None = None,
                 seed: int = 0, **kwargs: Any) -> None:
        check_part(part)
        if per_class is not None and per_class < 1:
            raise ValueError(f'per_class is {per_class}, expected 1 or more, or None for all')
        self.part, self.per_class, self.seed = part, per_class, seed
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return `img_path` and `gt_label` of each image of the part."""
        data_list = super().load_data_list()
        if self.part == 'all' and self.per_class is None:
            return data_list
        by_class: dict[int, list[dict]] = {}
        for info in sorted(data_list, key=lambda info: info['img_path']):
            by_class.setdefault(info['gt_label'], []).append(info)
        kept = []
        for infos in by_class.values():
            by_path = {info['img_path']: info for info in infos}
            # Not the order of other datasets: see the reason in datasets.split.
            paths = names_in_part(by_path, self.part, last_name_first)
            kept += self._some_of([by_path[path] for path in paths])
        return kept

    def _some_of(self, infos: list[dict]) -> list[dict]:
        """Return the images of one class that `per_class` keeps, in the order given."""
        if self.per_class is None:
            return infos
        by_name = {'/'.join(Path(info['img_path']).parts[-2:]): info for info in infos}
        chosen = set(shuffled(by_name, self.seed)[:self.per_class])
        return [info for name, info in by_name.items() if name in chosen]

    def _find_samples(self) -> list[tuple[str, int]]:
        found = class_folders(self.img_prefix)
        differing = sorted(set(found) ^ set(self.CLASSES))
        if differing:
            raise DatasetNotFound(
                f'{self.img_prefix} should hold one folder for each of the {len(self.CLASSES)} '
                f'classes of {type(self).__name__}; missing or unknown: '
                f'{", ".join(differing[:5])}. To test on images of some classes, give their '
                'folder as data (--data)')
        root = Path(self.img_prefix)
        return find_samples(root, checked_labels(root, self.CLASSES))


class CIFAR100Folder(CIFAR10Folder):
    """`CIFAR10Folder` with CIFAR-100's fine labels."""

    METAINFO = CIFAR100.METAINFO


def unpack_cifar(archive: str | Path, out: str | Path) -> int:
    """Write the images of a CIFAR archive as `<out>/{train,test}/<class>/<nnnnn>.png`.

    Args:
        archive: `cifar-10-binary.tar.gz` or `cifar-100-binary.tar.gz`, the
            "binary version" of https://www.cs.toronto.edu/~kriz/cifar.html.
        out: the folder to create, e.g. data/cifar10.

    Returns:
        The number of images.

    Raises:
        DatasetNotFound: the archive does not exist, is damaged, or is neither of the two.
        OutputNotWritable: `out` exists or can't be created.
    """
    out = Path(out)
    if out.exists():
        raise OutputNotWritable(f'{out} already exists; remove it or name another folder')
    check_writable(out)
    files = _binary_files(archive)
    if 'train.bin' in files:
        dataset, label_bytes = CIFAR100Folder, 2  # coarse, fine
    elif 'test_batch.bin' in files:
        dataset, label_bytes = CIFAR10Folder, 1
    else:
        raise DatasetNotFound(f'{archive} holds {", ".join(sorted(files)) or "no .bin file"}; '
                              'expected the binary version of CIFAR-10 or CIFAR-100')
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as scratch:
        unpacked = Path(scratch, out.name)
        count = _write_images(files, unpacked, dataset.METAINFO['classes'], label_bytes)
        unpacked.rename(out)
    return count


def _binary_files(archive: str | Path) -> dict[str, bytes]:
    try:
        with tarfile.open(archive) as tar:
            return {Path(member.name).name: tar.extractfile(member).read()
                    for member in tar if member.name.endswith('.bin')}
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        reason = getattr(error, 'strerror', None) or 'not a complete tar archive'
        raise DatasetNotFound(f"{archive} can't be read: {reason}; expected "
                              'cifar-10-binary.tar.gz or cifar-100-binary.tar.gz') from error


def _write_images(files: dict[str, bytes], out: Path, classes: Sequence[str],
                  label_bytes: int) -> int:
    written = Counter()
    progress = Progress('unpacking', sum(map(len, files.values())) // (label_bytes + 3072),
                        'images')
    for name in sorted(files):
        split = 'test' if name.startswith('test') else 'train'
        for record in np.frombuffer(files[name], np.uint8).reshape(-1, label_bytes + 3072):
            label = classes[record[label_bytes - 1]]
            path = out / split / label / f'{written[split, label]:05d}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = record[label_bytes:].reshape(3, 32, 32).transpose(1, 2, 0)
            Image.fromarray(pixels).save(path)
            written[split, label] += 1
            progress.update(written.total())
    return written.total()
