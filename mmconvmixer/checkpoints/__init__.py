from .fetch import fetch
from .fit import build_model, load_weights
from .latest import latest_checkpoint
from .read import holds_weights, read_checkpoint
from .weights import has_weights, state_dict_of
from .write import write_checkpoint

__all__ = ['build_model', 'fetch', 'has_weights', 'holds_weights', 'latest_checkpoint',
           'load_weights', 'read_checkpoint', 'state_dict_of', 'write_checkpoint']
