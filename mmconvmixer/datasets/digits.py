"""Handwritten digits, 8x8: real data that needs no download."""
import numpy as np
from mmpretrain.datasets import BaseDataset


class Digits(BaseDataset):
    """scikit-learn's 1,797 digits (UCI "Optical Recognition of Handwritten Digits").

    The images are in the order in which 13 people wrote them. The first two thirds are for
    training and the last third is the test set, so that most of its writers are new.

    Args:
        split: 'train' (1,198 images) or 'test' (599).
        pipeline: transforms of a sample, which has `img` (8, 8) uint8, with ink at 255.
        test_mode: as in mmengine's `BaseDataset`.

    Raises:
        ValueError: `split` is neither of the two.
    """

    METAINFO = dict(classes=tuple('0123456789'))

    def __init__(self, split: str, pipeline: list = (), test_mode: bool = False) -> None:
        if split not in ('train', 'test'):
            raise ValueError(f"split is {split!r}, expected 'train' or 'test'")
        self.split = split
        super().__init__(ann_file='', pipeline=pipeline, test_mode=test_mode)

    def load_data_list(self) -> list[dict]:
        """Return `img`, `gt_label` and a made-up `img_path` of each image."""
        from sklearn.datasets import load_digits
        digits = load_digits()
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        cut = len(images) * 2 // 3
        part = slice(cut) if self.split == 'train' else slice(cut, None)
        numbers = range(len(images))[part]
        return [dict(img=image, gt_label=int(label), img_path=f'digits/{number:04d}.png')
                for image, label, number in zip(images[part], digits.target[part], numbers,
                                                strict=True)]
