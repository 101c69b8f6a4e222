"""RandAugment (https://arxiv.org/abs/1909.13719) for a whole batch."""
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

LEVELS = 31

# name -> (strength at the highest level, whether its sign is random, the operation).
# Strengths grow linearly with the level; those of translations are fractions of the side.
OPERATIONS: dict[str, tuple[float, bool, Callable]] = {
    'Identity': (0., False, lambda x, _: x),
    'ShearX': (0.3, True, lambda x, s: _sheared(x, math.degrees(math.atan(s)), 0.)),
    'ShearY': (0.3, True, lambda x, s: _sheared(x, 0., math.degrees(math.atan(s)))),
    'TranslateX': (150 / 331, True, lambda x, s: _translated(x, int(s), 0)),
    'TranslateY': (150 / 331, True, lambda x, s: _translated(x, 0, int(s))),
    'Rotate': (30., True, lambda x, s: TF.rotate(x, s)),
    'Brightness': (0.9, True, lambda x, s: TF.adjust_brightness(x, 1 + s)),
    'Color': (0.9, True, lambda x, s: TF.adjust_saturation(x, 1 + s)),
    'Contrast': (0.9, True, lambda x, s: TF.adjust_contrast(x, 1 + s)),
    'Sharpness': (0.9, True, lambda x, s: TF.adjust_sharpness(x, 1 + s)),
    'Posterize': (4., False, lambda x, s: TF.posterize(x, 8 - round(s))),
    'Solarize': (255., False, lambda x, s: TF.solarize(x, 255 - s)),
    'AutoContrast': (0., False, lambda x, _: TF.autocontrast(x)),
    'Equalize': (0., False, lambda x, _: TF.equalize(x)),
}


class BatchRandAugment:
    """Apply `num_ops` random operations to each image, one after another.

    Args:
        num_ops: number of operations for each image.
        magnitude: level of the operations, 0 to 30.

    Raises:
        ValueError: `magnitude` is out of range.

    Source: torchvision `RandAugment(num_ops, magnitude)` (nearest pixel, black borders).
    mmpretrain and timm define the levels differently.
    """

    def __init__(self, num_ops: int = 2, magnitude: int = 9) -> None:
        if not 0 <= magnitude < LEVELS:
            raise ValueError(f'magnitude is {magnitude}, expected 0..{LEVELS - 1}')
        self.num_ops = num_ops
        self.magnitude = magnitude

    def __call__(self, images: Tensor) -> Tensor:
        """Augment the images of a batch (N, 3, H, W) uint8."""
        for _ in range(self.num_ops):
            draws = torch.randint(len(OPERATIONS), (len(images),))
            negative = torch.randint(2, (len(images),))
            images = apply_operations(images, draws, negative, self.magnitude)
        return images


def apply_operations(images: Tensor, draws: Tensor, negative: Tensor, magnitude: int) -> Tensor:
    """Apply one operation to each image.

    Args:
        images: (N, 3, H, W) uint8, RGB.
        draws: (N,) indices into `OPERATIONS`, on the CPU.
        negative: (N,) 0 or 1, whether a signed strength is negative, on the CPU.
        magnitude: level, 0 to 30.

    Returns:
        (N, 3, H, W) uint8.
    """
    signed = torch.tensor([sign for _, sign, _ in OPERATIONS.values()])
    keys = 2 * draws + negative * signed[draws]
    # Images with the same operation are grouped. Sorting on the CPU gives the sizes of the
    # groups without waiting for the device.
    order = keys.argsort(stable=True)
    counts = keys.bincount(minlength=2 * len(OPERATIONS)).tolist()
    parts = images[order.to(images.device, non_blocking=True)].split(counts)
    done = []
    for key, part in enumerate(parts):
        if len(part):
            name, (highest, _, operation) = list(OPERATIONS.items())[key // 2]
            highest *= {'TranslateX': images.shape[3], 'TranslateY': images.shape[2]}.get(name, 1)
            # In float32, as in torchvision, which truncates some strengths to whole numbers.
            strength = float(torch.linspace(0., highest, LEVELS)[magnitude])
            done.append(operation(part, -strength if key % 2 else strength))
    return torch.cat(done)[order.argsort().to(images.device, non_blocking=True)]


def _sheared(images: Tensor, x: float, y: float) -> Tensor:
    return TF.affine(images, 0., [0, 0], 1., [x, y], center=[0, 0])


def _translated(images: Tensor, x: int, y: int) -> Tensor:
    return TF.affine(images, 0., [x, y], 1., [0., 0.])
