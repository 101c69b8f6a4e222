"""Datasets, their wrappers, transforms of images and of whole batches, and the held-out split."""
from mmconvmixer.datasets.batch_preprocessor import BatchPreprocessor
from mmconvmixer.datasets.batch_transforms import (
    BatchColorJitter,
    BatchRandAugment,
    BatchRandomCrop,
    BatchRandomFlip,
    BatchRandomResizedCrop,
    MixThenErase,
    ResizeBatch,
)
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.datasets.checks import check_folders
from mmconvmixer.datasets.cifar import CIFAR10Folder, CIFAR100Folder
from mmconvmixer.datasets.data_preprocessor import ClsDataPreprocessor
from mmconvmixer.datasets.digits import Digits
from mmconvmixer.datasets.flowers import Flowers
from mmconvmixer.datasets.image_folder import ImageFolder
from mmconvmixer.datasets.imagenet import CustomDataset, ImageNet
from mmconvmixer.datasets.transforms import (
    LoadImage,
    LoadImageFromFile,
    ResizeCenterCrop,
    faster_pipeline,
)
from mmconvmixer.datasets.wrappers import (
    InMemory,
    ResumableSampler,
    SeedEachSample,
    SkipUnreadable,
    StampedSampler,
)

__all__ = ['BatchColorJitter', 'BatchPreprocessor', 'BatchRandAugment', 'BatchRandomCrop',
           'BatchRandomFlip', 'BatchRandomResizedCrop', 'CIFAR100Folder', 'CIFAR10Folder',
           'ClsDataPreprocessor', 'CustomDataset', 'Digits', 'Flowers', 'ImageFolder', 'ImageNet',
           'InMemory', 'LoadImage', 'LoadImageFromFile', 'MixThenErase', 'ResizeBatch',
           'ResizeCenterCrop', 'ResumableSampler', 'SeedEachSample', 'SkipUnreadable',
           'StampedSampler', 'build_dataset', 'check_folders', 'faster_pipeline']
