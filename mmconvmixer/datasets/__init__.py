from .batch_preprocessor import BatchPreprocessor
from .batch_transforms import (
    BatchColorJitter,
    BatchRandAugment,
    BatchRandomCrop,
    BatchRandomFlip,
    BatchRandomResizedCrop,
)
from .build import build_ahead
from .checks import check_folders
from .cifar import CIFAR10Folder, CIFAR100Folder
from .data_preprocessor import ClsDataPreprocessor
from .digits import Digits
from .erasing import MixThenErase
from .faster import faster_pipeline
from .flowers import Flowers
from .image_folder import ImageFolder
from .in_memory import InMemory
from .loading import LoadImage
from .readable import SkipUnreadable
from .resize_crop import ResizeCenterCrop
from .seeded import SeedEachSample, StampDraws

__all__ = ['BatchColorJitter', 'BatchPreprocessor', 'BatchRandAugment', 'BatchRandomCrop',
           'BatchRandomFlip', 'BatchRandomResizedCrop', 'CIFAR100Folder', 'CIFAR10Folder',
           'ClsDataPreprocessor', 'Digits', 'Flowers', 'ImageFolder', 'InMemory', 'LoadImage',
           'MixThenErase', 'ResizeCenterCrop', 'SeedEachSample', 'SkipUnreadable', 'StampDraws',
           'build_ahead', 'check_folders', 'faster_pipeline']
