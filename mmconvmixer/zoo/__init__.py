"""The published models: names, configs, weights and figures, here and in mmpretrain's hub."""
from mmconvmixer.zoo.checkpoint import find_by_checkpoint, resolve_checkpoint
from mmconvmixer.zoo.config import config_path, load_config, require, run_name
from mmconvmixer.zoo.hub import all_names, look_up
from mmconvmixer.zoo.index import PACKAGE, find, find_by_config, names, package_root, published_hash
from mmconvmixer.zoo.models import get_model, hub_entry, list_models

__all__ = ['PACKAGE', 'all_names', 'config_path', 'find', 'find_by_checkpoint', 'find_by_config',
           'get_model', 'hub_entry', 'list_models', 'load_config', 'look_up', 'names',
           'package_root', 'published_hash', 'require', 'resolve_checkpoint', 'run_name']
