"""mmpretrain's datasets with one folder per class, by the rule of this package for files."""
from pathlib import Path

import mmpretrain.datasets
from mmengine.logging import print_log

from mmconvmixer.datasets.class_folders import find_samples, is_local
from mmconvmixer.datasets.class_names import labels_of
from mmconvmixer.datasets.image_files import class_folders

_DEFAULT_SUFFIXES = set(mmpretrain.datasets.ImageNet.IMG_EXTENSIONS)


class CustomDataset(mmpretrain.datasets.CustomDataset):
    """mmpretrain's class; `datasets.image_files` decides which files and folders count.

    If `classes` are given and only some of them have a folder, `labels_of` finds the class of
    each folder. With other `extensions` than the default, in a remote store, and with an
    annotation file, it is mmpretrain's class. Arguments: as there.
    """

    def _find_samples(self) -> list:
        if (not self.with_label or set(self.extensions) != _DEFAULT_SUFFIXES
                or not is_local(self.img_prefix) or not Path(self.img_prefix).is_dir()):
            return super()._find_samples()
        root = Path(self.img_prefix)
        found = class_folders(root)
        classes = self.CLASSES
        if classes is None:
            classes = self._metainfo['classes'] = tuple(found)
        labels = {name: label for label, name in enumerate(found)}
        if len(found) != len(classes):
            labels = labels_of(found, classes)
        if not found or len(labels) < len(found):
            return super()._find_samples()  # which names the numbers that differ
        self.folder_to_idx = labels
        samples = find_samples(root, labels, test_classes=len(classes) * self.test_mode)
        with_image = {label for _, label in samples}
        empty = [name for name, label in labels.items() if label not in with_image]
        if empty:
            print_log(f'{root} has no image in the folders {", ".join(empty)}', 'current')
        return samples


class ImageNet(CustomDataset, mmpretrain.datasets.ImageNet):
    """mmpretrain's class; the folders are WordNet ids or class names, and some may be missing.

    Arguments: as there.
    """
