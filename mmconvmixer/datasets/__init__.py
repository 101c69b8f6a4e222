from mmconvmixer.datasets.batch_preprocessor import BatchPreprocessor
from mmconvmixer.datasets.batch_transforms import (
    BatchColorJitter,
    BatchRandAugment,
    BatchRandomCrop,
    BatchRandomFlip,
    BatchRandomResizedCrop,
)
from mmconvmixer.datasets.batch_transforms.erasing import MixThenErase
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.datasets.checks import check_folders
from mmconvmixer.datasets.cifar import CIFAR10Folder, CIFAR100Folder
from mmconvmixer.datasets.data_preprocessor import ClsDataPreprocessor
from mmconvmixer.datasets.digits import Digits
from mmconvmixer.datasets.flowers import Flowers
from mmconvmixer.datasets.image_folder import ImageFolder
from mmconvmixer.datasets.transforms.faster import faster_pipeline
from mmconvmixer.datasets.transforms.loading import LoadImage
from mmconvmixer.datasets.transforms.resize_crop import ResizeCenterCrop
from mmconvmixer.datasets.wrappers.in_memory import InMemory
from mmconvmixer.datasets.wrappers.readable import SkipUnreadable
from mmconvmixer.datasets.wrappers.seeded import SeedEachSample, StampDraws

__all__ = ['BatchColorJitter', 'BatchPreprocessor', 'BatchRandAugment', 'BatchRandomCrop',
           'BatchRandomFlip', 'BatchRandomResizedCrop', 'CIFAR100Folder', 'CIFAR10Folder',
           'ClsDataPreprocessor', 'Digits', 'Flowers', 'ImageFolder', 'InMemory', 'LoadImage',
           'MixThenErase', 'ResizeCenterCrop', 'SeedEachSample', 'SkipUnreadable', 'StampDraws',
           'build_dataset', 'check_folders', 'faster_pipeline']
