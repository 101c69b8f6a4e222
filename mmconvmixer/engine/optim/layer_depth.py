"""The layer that a parameter belongs to, counted from the input to the output."""
import re

from torch import nn

# Names of the blocks, and of the layers before them, in this package's and mmpretrain's backbones.
_BLOCK = re.compile(r'backbone\.(?:stages|layers|blocks)\.(\d+)\.')
_STEM = re.compile(r'backbone\.(?:stem|patch_embed)\.')


def layer_depth(model: nn.Module, name: str) -> tuple[int, int]:
    """Return the layer of a parameter, and the number of layers.

    Layer 0 is the stem or patch embedding, layers 1 to depth are the blocks, and layer depth + 1
    is everything that follows: the last norm, the neck and the head.

    Args:
        model: a classifier with a `backbone`. Its `get_layer_depth` decides if it has that
            method, else the names of the parameters.
        name: the name of one of the model's parameters.

    Raises:
        ValueError: the model has no backbone, or the backbone has no `get_layer_depth`, and no
            parameter is named after a block.
    """
    backbone = getattr(model, 'backbone', None)
    if backbone is None:
        raise ValueError(f'{type(model).__name__} has no backbone')
    if hasattr(backbone, 'get_layer_depth'):
        return backbone.get_layer_depth(name, 'backbone.')
    numbers = [int(match[1]) for key, _ in model.named_parameters()
               if (match := _BLOCK.match(key))]
    if not numbers:
        raise ValueError(f'{type(backbone).__name__} has no get_layer_depth, and no parameters in '
                         'stages, layers or blocks, so the order of its layers is unknown')
    depth = max(numbers) + 1
    if block := _BLOCK.match(name):
        return int(block[1]) + 1, depth + 2
    return (0 if _STEM.match(name) else depth + 1), depth + 2
