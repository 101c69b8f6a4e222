"""What mixes space in each block, by depth: ConvMixer's depthwise kernels, MLP-Mixer's tokens."""
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization.save import add_title, literal, new_figure
from mmconvmixer.visualization.tiles import columns_for, tiled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IN_BLOCK = 64  # kernels drawn of a block
FEWER = 25  # the same, of more than `FEW_BLOCKS` blocks, so that they are large enough
FEW_BLOCKS = 12
WIDTH = 11  # inches
BAR = 1.4  # inches for the color bar


def plot_kernels(model: nn.Module, name: str = 'network') -> 'Figure':
    """Draw kernels of every block, from the first to the last.

    Red is positive, blue is negative, and each kernel is scaled to its own largest weight. Of
    many kernels, 64 are drawn (25 where there are more than 12 blocks), at equal steps from the
    strongest to the weakest.

    Args:
        model: a classifier or a backbone.
        name: what the title calls it.

    Raises:
        BadConfig: the network has neither depthwise convolutions nor token-mixing layers.
    """
    blocks = kernels_of(model)
    most = IN_BLOCK if len(blocks) <= FEW_BLOCKS else FEWER
    chosen = [_at_equal_steps(kernels, most) for kernels in blocks]
    columns = columns_for(len(blocks))
    rows = -(-len(blocks) // columns)
    side = columns_for(len(chosen[0]))
    height, width = chosen[0].shape[1:]
    panel = (WIDTH - BAR) / columns
    figure = new_figure(WIDTH, rows * (panel * height / width + 0.3) + 0.6)
    figure.get_layout_engine().set(wspace=0.03)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    drawn = None
    for axes, kernels, number in zip(grid.flat, chosen, range(1, len(blocks) + 1), strict=False):
        largest = abs(kernels).max(axis=(1, 2), keepdims=True)
        scaled = kernels / np.maximum(largest, np.finfo(np.float32).tiny)
        drawn = axes.imshow(tiled(scaled, side, np.nan), cmap='RdBu_r', vmin=-1, vmax=1,
                            interpolation='nearest')
        axes.set_title(f'block {number}', fontsize=11)
    bar = figure.colorbar(drawn, ax=list(grid.flat), shrink=0.6, aspect=30, ticks=[-1, 0, 1])
    bar.ax.set_yticklabels(['negative', '0', 'positive'], fontsize=11)
    count, shown = len(blocks[0]), len(chosen[0])
    how_many = f'{shown} of {count}' if shown < count else str(count)
    add_title(figure, f'{literal(name)}: {how_many} kernels of {height} x {width} in each block, '
              'the strongest first')
    return figure


def kernels_of(model: nn.Module) -> list[np.ndarray]:
    """Return the kernels of each block, (N, H, W), by falling norm.

    These are the depthwise convolutions of a network. Where it has none, they are the weights
    with which the hidden units of an MLP-Mixer's token-mixing layers read the grid of patches.

    Raises:
        BadConfig: the network has neither.
    """
    backbone: Any = getattr(model, 'backbone', model)
    found = [part.weight[:, 0] for part in backbone.modules() if isinstance(part, nn.Conv2d)
             and part.groups == part.in_channels == part.out_channels > 1]
    if not found and hasattr(backbone, 'patch_resolution'):
        grid = backbone.patch_resolution
        found = [block.token_mix.layers[0][0].weight.unflatten(1, grid)
                 for block in backbone.layers]
    if not found:
        raise BadConfig(f'{type(backbone).__name__} has neither depthwise convolutions nor '
                        'token-mixing layers, so that it has no kernels to draw')
    return [_by_norm(weights) for weights in found]


def _by_norm(weights: Tensor) -> np.ndarray:
    weights = weights.detach().float().cpu()
    return weights[weights.flatten(1).norm(dim=1).argsort(descending=True, stable=True)].numpy()


def _at_equal_steps(kernels: np.ndarray, most: int) -> np.ndarray:
    if len(kernels) <= most:
        return kernels
    return kernels[torch.linspace(0, len(kernels) - 1, most).round().long().numpy()]
