"""Images in one folder per class."""
import os
from collections.abc import Sequence
from pathlib import Path

from mmpretrain.datasets import CustomDataset

from mmconvmixer.datasets.class_folders import checked_labels, find_samples
from mmconvmixer.datasets.image_files import IMAGE_SUFFIXES, class_folders
from mmconvmixer.datasets.split import check_part


class ImageFolder(CustomDataset):
    """`<data_root>/<data_prefix>/<class>/**/<image>`, on a local disk.

    `datasets.image_files` decides which files and folders count.

    Args:
        data_root: the folder.
        data_prefix: a folder inside `data_root`, such as 'train'.
        part: 'all' images, those 'held-out' (a tenth of each class) or the 'rest'; see
            `datasets.split`.
        classes: the names of the classes, in the order of the labels; the folder may lack
            some of them, and `datasets.class_names.labels_of` finds the class of a folder.
            Default: the names of the folders, sorted.
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
        classes = self.CLASSES
        if classes is None:
            classes = self._metainfo['classes'] = tuple(class_folders(root))
        return find_samples(root, checked_labels(root, classes), self.part,
                            len(classes) if self.test_mode else 0)
