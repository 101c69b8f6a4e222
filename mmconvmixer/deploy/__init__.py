from .export import export
from .formats import FORMATS
from .fuse import fuse
from .quantisation import quantise

__all__ = ['FORMATS', 'export', 'fuse', 'quantise']
