"""Which layer of a network a parameter is in, counted from the image to the answer."""
import re

from torch import nn

# The names of the blocks in this family's backbones, and of what comes before them.
_BLOCK = re.compile(r'backbone\.(?:stages|layers|blocks)\.(\d+)\.')
_STEM = re.compile(r'backbone\.(?:stem|patch_embed)\.')


def layer_depth(model: nn.Module, name: str) -> tuple[int, int]:
    """Return (layer, number of layers).

    Layer 0 is the stem or patch embedding, 1..depth are the blocks, depth + 1 is
    what follows them: the last norm, neck and head.

    Args:
        model: a classifier with a `backbone`; its `get_layer_depth` is asked where it
            has one, else the names decide.
        name: of one of the model's parameters.

    Raises:
        ValueError: a backbone without blocks that the names would show.
    """
    backbone = model.backbone
    if hasattr(backbone, 'get_layer_depth'):
        return backbone.get_layer_depth(name, 'backbone.')
    numbers = [int(match[1]) for key, _ in model.named_parameters()
               if (match := _BLOCK.match(key))]
    if not numbers:
        raise ValueError(f'{type(backbone).__name__} has no get_layer_depth, and no stages, layers '
                         'or blocks by their names: its parameters have no order')
    depth = max(numbers) + 1
    if block := _BLOCK.match(name):
        return int(block[1]) + 1, depth + 2
    return (0 if _STEM.match(name) else depth + 1), depth + 2
