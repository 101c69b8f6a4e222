from .checks import check_folders
from .cifar import CIFAR10Folder, CIFAR100Folder
from .digits import Digits
from .erasing import MixThenErase
from .loading import LoadImage
from .readable import SkipUnreadable
from .seeded import SeedEachSample

__all__ = ['CIFAR100Folder', 'CIFAR10Folder', 'Digits', 'LoadImage', 'MixThenErase',
           'SeedEachSample', 'SkipUnreadable', 'check_folders']
