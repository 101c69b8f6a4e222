"""Images in one folder per class."""
import os
from collections.abc import Sequence
from pathlib import Path

from mmpretrain.datasets import CustomDataset

from mmconvmixer.datasets.image_files import IMAGE_SUFFIXES, image_files
from mmconvmixer.datasets.split import check_part, names_in_part
from mmconvmixer.errors import DatasetNotFound, EmptyDataset


class ImageFolder(CustomDataset):
    """`<data_root>/<data_prefix>/<class>/**/<image>`, on a local disk.

    `image_files` decides which files count as images.

    Args:
        data_root: the folder.
        data_prefix: a folder inside `data_root`, such as 'train'.
        part: 'all' images, those 'held-out' (a tenth of each class) or the 'rest'; see
            `datasets.split`.
        classes: the names of the classes, in the order of the labels; the folder may lack
            some of them. Default: the names of the folders, sorted.
        pipeline: transforms of a sample, which has `img_path` and `gt_label`.
        test_mode: as in mmengine's `BaseDataset`.

    Raises:
        DatasetNotFound: a folder is not one of `classes`.
        EmptyDataset: there is no image.
        ValueError: `part` is unknown.
    """

    def __init__(self, data_root: str, data_prefix: str = '', part: str = 'all',
                 classes: Sequence[str] | None = None, pipeline: Sequence = (),
                 test_mode: bool = False) -> None:
        check_part(part)
        self.part = part
        super().__init__(data_root=os.path.expanduser(data_root), data_prefix=data_prefix,
                         extensions=IMAGE_SUFFIXES, classes=classes, pipeline=pipeline,
                         test_mode=test_mode)

    def _find_samples(self) -> list[tuple[str, int]]:
        root = Path(self.img_prefix)
        found = class_folders(root)
        if self.CLASSES is None:
            self._metainfo['classes'] = tuple(found)
        unknown = [name for name in found if name not in self.CLASSES]
        if unknown:
            raise DatasetNotFound(
                f'{root} has folders that are not one of the {len(self.CLASSES)} classes '
                f'({_some(self.CLASSES)}): {_some(unknown)}. Remove or rename them')
        samples = []
        for label, name in enumerate(self.CLASSES):
            images = image_files(root / name) if name in found else []
            samples += [(f'{name}/{image}', label) for image in names_in_part(images, self.part)]
        if not samples:
            raise EmptyDataset(f'{root} has no images' + (
                f' in its part {self.part!r}' if self.part != 'all' else '') +
                f' in its class folders; image files end in {", ".join(IMAGE_SUFFIXES)}')
        return samples


def class_folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted, without hidden ones."""
    return sorted(path.name for path in folder.iterdir()
                  if path.is_dir() and not path.name.startswith(('.', '__MACOSX')))


def _some(names: Sequence[str], count: int = 5) -> str:
    return ', '.join(names[:count]) + (', ...' if len(names) > count else '')
