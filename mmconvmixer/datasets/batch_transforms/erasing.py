"""Random erasing after normalization and mixing, as in the published recipes."""
import math
import random
from collections.abc import Sequence

from mmpretrain.models import RandomBatchAugment
from torch import Tensor


class MixThenErase:
    """One of several batch augmentations, then random erasing.

    mmpretrain's `RandomErasing` runs before normalization, on uint8 images, in which
    normally distributed noise is rounded and clipped to 0..255.

    Args:
        augments: mmpretrain batch augmentations, one of which is drawn for each batch;
            an empty list turns mixing off.
        erase_prob: probability that a rectangle of an image is erased.
        area: smallest and largest area of the rectangle, as a fraction of the image.
        min_aspect: lower bound of the rectangle's height / width; the upper bound is its
            inverse.
        fill: 'noise', drawn for each pixel, or 'zero', which is the mean color.

    Raises:
        ValueError: `fill` is neither of the two.

    Source: timm `random_erasing.py` (mode 'pixel', one rectangle), after mixing (timm's
    `FastCollateMixup`), as in locuslab/convmixer. With 'zero', torchvision's
    `RandomErasing`, as in locuslab/convmixer-cifar10.
    """

    def __init__(self, augments: Sequence[dict], erase_prob: float = 0.25,
                 area: tuple[float, float] = (0.02, 1 / 3), min_aspect: float = 0.3,
                 fill: str = 'noise') -> None:
        if fill not in ('noise', 'zero'):
            raise ValueError(f"fill is {fill!r}, expected 'noise' or 'zero'")
        self.mix = RandomBatchAugment(list(augments)) if augments else None
        self.erase_prob = erase_prob
        self.area = area
        self.min_aspect = min_aspect
        self.fill = fill

    def __call__(self, images: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            images: (N, C, H, W), normalized; changed in place.
            scores: (N, classes), one-hot.

        Returns:
            Images and scores of the same shapes.
        """
        if self.mix is not None:
            images, scores = self.mix(images, scores)
        for image in images:
            if random.random() < self.erase_prob:
                self._erase(image)
        return images, scores

    def _erase(self, image: Tensor) -> None:
        height, width = image.shape[1:]
        bound = math.log(self.min_aspect)
        for _ in range(10):  # a rectangle may not fit; timm also gives up after ten tries
            area = random.uniform(*self.area) * height * width
            aspect = math.exp(random.uniform(bound, -bound))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h < height and w < width:
                top, left = random.randint(0, height - h), random.randint(0, width - w)
                rectangle = image[:, top:top + h, left:left + w]
                rectangle.normal_() if self.fill == 'noise' else rectangle.zero_()
                return
