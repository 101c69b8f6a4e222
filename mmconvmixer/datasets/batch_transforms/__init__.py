"""Transforms of a whole batch on its own device, each image with its own draws.

Each takes and returns (N, 3, H, W) uint8 in RGB. Draws come from torch's
default CPU generator, which checkpoints keep, and the arithmetic is
torchvision's: an image gets what torchvision's transform of the same name
does to it alone.
"""
from .color_jitter import BatchColorJitter
from .geometry import BatchRandomCrop, BatchRandomFlip, BatchRandomResizedCrop
from .rand_augment import BatchRandAugment

__all__ = ['BatchColorJitter', 'BatchRandAugment', 'BatchRandomCrop', 'BatchRandomFlip',
           'BatchRandomResizedCrop']
