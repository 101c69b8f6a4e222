"""The layer of a parameter, for layer-wise learning-rate decay."""


def layer_depth(param_name: str, prefix: str, depth: int, stem: str, blocks: str
                ) -> tuple[int, int]:
    """Return (layer, number of layers): 0 is the stem, 1..depth the blocks, then the rest.

    Args:
        param_name: such as 'backbone.stages.3.1.weight'.
        prefix: of the backbone's names, such as 'backbone.'.
        depth: number of blocks.
        stem, blocks: their names in the backbone, such as 'stem' and 'stages'.
    """
    layers = depth + 2
    name = param_name.removeprefix(prefix) if param_name.startswith(prefix) else ''
    if name.startswith(f'{stem}.'):
        return 0, layers
    if name.startswith(f'{blocks}.'):
        return int(name.split('.')[1]) + 1, layers
    return layers - 1, layers
