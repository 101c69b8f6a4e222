from .checkpoint import resolve_checkpoint
from .hub import add_to_hub, remove_from_hub
from .index import find, find_by_config, names, package_root

__all__ = ['add_to_hub', 'find', 'find_by_config', 'names', 'package_root',
           'remove_from_hub',
           'resolve_checkpoint']
