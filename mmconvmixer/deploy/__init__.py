from .export import export
from .formats import FORMATS
from .fuse import fuse

__all__ = ['FORMATS', 'export', 'fuse']
