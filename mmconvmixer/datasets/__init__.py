from .checks import check_folders
from .cifar import CIFAR10Folder, CIFAR100Folder
from .digits import Digits
from .erasing import MixThenErase
from .loading import LoadImage
from .readable import SkipUnreadable
from .seeded import SeedEachSample

__all__ = ['CIFAR10Folder', 'CIFAR100Folder', 'Digits', 'LoadImage', 'MixThenErase', 'SeedEachSample', 'SkipUnreadable', 'check_folders']
