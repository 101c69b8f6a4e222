from .checkpoint import resolve_checkpoint
from .hub import add_to_hub, all_names, look_up, remove_from_hub
from .index import PACKAGE, find, find_by_config, names, package_root, promised_hash

__all__ = ['PACKAGE', 'add_to_hub', 'all_names', 'find', 'find_by_config', 'look_up', 'names',
           'package_root', 'promised_hash', 'remove_from_hub', 'resolve_checkpoint']
