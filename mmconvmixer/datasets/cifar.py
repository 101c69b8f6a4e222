"""CIFAR as image files, in one folder per class, instead of pickles."""
from collections import Counter
from collections.abc import Mapping, Sequence
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
from mmconvmixer.datasets.unpacking import is_archive, naming_damage, read_members
from mmconvmixer.errors import BadArchive, DatasetNotFound, OutputNotWritable

# The published archives have 8 and 6 members and 60,000 images.
_MOST_MEMBERS = 100
_MOST_BYTES = 200_000_000


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
        DatasetNotFound: the archive does not exist or is neither of the two.
        BadArchive: it is damaged, or holds anything but whole records of known classes.
        OutputNotWritable: `out` exists or can't be created.
    """
    archive, out = Path(archive), Path(out)
    if out.exists():
        raise OutputNotWritable(f'{out} already exists; remove it or name another folder')
    check_writable(out)
    if not (archive.is_file() and is_archive(archive)):
        reason = 'it is not a tar archive' if archive.is_file() else 'there is no such file'
        raise DatasetNotFound(f"{archive} can't be read: {reason}; expected "
                              'cifar-10-binary.tar.gz or cifar-100-binary.tar.gz')
    files = _binary_files(archive)
    if 'train.bin' in files:
        dataset, label_bytes, expected = CIFAR100Folder, 2, ('train.bin', 'test.bin')
    elif 'test_batch.bin' in files:
        dataset, label_bytes, expected = CIFAR10Folder, 1, (
            'test_batch.bin', *(f'data_batch_{number}.bin' for number in range(1, 6)))
    else:
        raise DatasetNotFound(f'{archive} holds {", ".join(sorted(files)) or "no .bin file"}; '
                              'expected the binary version of CIFAR-10 or CIFAR-100')
    classes = dataset.METAINFO['classes']
    records = {name: _records(archive, name, content, expected, label_bytes, len(classes))
               for name, content in sorted(files.items())}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.parent) as scratch:
            unpacked = Path(scratch, out.name)
            count = _write_images(records, unpacked, classes)
            unpacked.rename(out)
    except OSError as error:
        raise OutputNotWritable(f"{out} can't be written: {error.strerror or error}; name a "
                                'writable folder') from error
    return count


def _binary_files(archive: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    with naming_damage(archive):
        for member, content in read_members(archive, _MOST_MEMBERS, _MOST_BYTES):
            name = Path(member.name).name
            if content is None or not name.endswith('.bin') or name.startswith('.'):
                continue
            if name in files:
                raise BadArchive(f'{archive} holds {name} twice; it was not unpacked')
            files[name] = content.read()
    return files


def _records(archive: Path, name: str, content: bytes, expected: Sequence[str], label_bytes: int,
             classes: int) -> np.ndarray:
    """Return a file's records as an array (N, 1 + 3072): the label and the pixels."""
    length = label_bytes + 3072
    if name not in expected:
        raise BadArchive(f'{archive} holds {name}; expected {", ".join(expected)}')
    if not content or len(content) % length:
        raise BadArchive(f'{name} in {archive} has {len(content)} bytes; expected a multiple of '
                         f'{length}, the size of an image with its label')
    records = np.frombuffer(content, np.uint8).reshape(-1, length)[:, label_bytes - 1:]
    if records[:, 0].max() >= classes:
        raise BadArchive(f'{name} in {archive} has the label {records[:, 0].max()}; expected 0 to '
                         f'{classes - 1}')
    return records


def _write_images(files: Mapping[str, np.ndarray], out: Path, classes: Sequence[str]) -> int:
    written = Counter()
    progress = Progress('unpacking', sum(map(len, files.values())), 'images')
    for name, records in files.items():
        split = 'test' if name.startswith('test') else 'train'
        for record in records:
            label = classes[record[0]]
            path = out / split / label / f'{written[split, label]:05d}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = record[1:].reshape(3, 32, 32).transpose(1, 2, 0)
            Image.fromarray(pixels).save(path)
            written[split, label] += 1
            progress.update(written.total())
    return written.total()
