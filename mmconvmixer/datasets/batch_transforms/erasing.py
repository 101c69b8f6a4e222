"""Random erasing where the published recipes have it: last, on the normalized batch."""
import math
import random
from collections.abc import Sequence

from mmpretrain.models import RandomBatchAugment
from torch import Tensor


class MixThenErase:
    """One of several batch augmentations, then random erasing.

    mmpretrain's `RandomErasing` works on uint8 images before normalization,
    where noise of the normalized scale is rounded and cut off at 0 and 255.

    Args:
        augments: mmpretrain batch augmentations; one is drawn for each batch
            (an empty list mixes nothing).
        erase_prob: chance that an image loses a rectangle.
        area: smallest and largest share of the image.
        min_aspect: height to width lies between this and its inverse.
        fill: 'noise' of each pixel's own, or 'zero', the mean color.

    Raises:
        ValueError: another fill.

    Source: timm `random_erasing.py` (mode 'pixel', one rectangle); in
    locuslab/convmixer's run, mixing came first (timm's `FastCollateMixup`).
    With 'zero', torchvision's `RandomErasing`, as in locuslab/convmixer-cifar10.
    """

    def __init__(self, augments: Sequence[dict], erase_prob: float = 0.25,
                 area: tuple[float, float] = (0.02, 1 / 3), min_aspect: float = 0.3,
                 fill: str = 'noise'):
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
            images: (N, C, H, W), normalized.
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
        for _ in range(10):  # a rectangle may not fit; timm gives up after ten
            area = random.uniform(*self.area) * height * width
            aspect = math.exp(random.uniform(bound, -bound))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h < height and w < width:
                top, left = random.randint(0, height - h), random.randint(0, width - w)
                part = image[:, top:top + h, left:left + w]
                part.normal_() if self.fill == 'noise' else part.zero_()
                return
