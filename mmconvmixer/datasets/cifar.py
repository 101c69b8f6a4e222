"""CIFAR as folders of pictures, one a class: no pickle in sight."""
from mmpretrain.datasets import CIFAR10, CIFAR100, CustomDataset

from mmconvmixer.errors import DatasetNotFound


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
