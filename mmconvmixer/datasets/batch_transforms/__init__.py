"""Transforms of a whole batch on its own device, with separate draws for each image.

The `Batch...` transforms take and return (N, 3, H, W) uint8 in RGB. They draw from torch's
default CPU generator, whose state is saved in checkpoints, and compute what torchvision's
transform of the same name computes for each image alone. `MixThenErase` and `ResizeBatch` work on
the normalized batch.
"""
from mmconvmixer.datasets.batch_transforms.color_jitter import BatchColorJitter
from mmconvmixer.datasets.batch_transforms.erasing import MixThenErase
from mmconvmixer.datasets.batch_transforms.geometry import (
    BatchRandomCrop,
    BatchRandomFlip,
    BatchRandomResizedCrop,
)
from mmconvmixer.datasets.batch_transforms.rand_augment import BatchRandAugment
from mmconvmixer.datasets.batch_transforms.resizing import ResizeBatch

__all__ = ['BatchColorJitter', 'BatchRandAugment', 'BatchRandomCrop', 'BatchRandomFlip',
           'BatchRandomResizedCrop', 'MixThenErase', 'ResizeBatch']
