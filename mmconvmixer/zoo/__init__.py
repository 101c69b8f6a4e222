from .checkpoint import resolve_checkpoint
from .hub import add_to_hub
from .index import find, find_by_config, names, package_root

__all__ = ['add_to_hub', 'find', 'find_by_config', 'names', 'package_root',
           'resolve_checkpoint']
