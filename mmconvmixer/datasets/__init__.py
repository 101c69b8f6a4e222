from .build import build_ahead
from .checks import check_folders
from .cifar import CIFAR10Folder, CIFAR100Folder
from .digits import Digits
from .erasing import MixThenErase
from .loading import LoadImage
from .readable import SkipUnreadable
from .seeded import SeedEachSample, StampDraws

__all__ = ['CIFAR100Folder', 'CIFAR10Folder', 'Digits', 'LoadImage', 'MixThenErase',
           'SeedEachSample', 'SkipUnreadable', 'StampDraws', 'build_ahead', 'check_folders']
