"""The filters of a patch embedding, as in the figures of the ConvMixer paper."""
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization.save import add_title, literal, new_figure
from mmconvmixer.visualization.tiles import columns_for, tiled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, WIDE = 9, 13  # inches; the latter for more than `MANY` filters
MANY = 800


def plot_filters(model: nn.Module, name: str = 'network') -> 'Figure':
    """Draw the filters of a network's first convolution, the strongest first.

    Gray is zero, and each filter is scaled to its own largest weight. Filters of three
    channels are drawn in color, as they apply to RGB; of other numbers of channels, their mean.

    Args:
        model: a classifier or a backbone.
        name: what the title calls it.

    Raises:
        BadConfig: the network has no convolution.
    """
    filters = filters_of(model)
    count, size, _, channels = filters.shape
    largest = abs(filters).max(axis=(1, 2, 3), keepdims=True)
    drawn = 0.5 + filters / np.maximum(2 * largest, np.finfo(np.float32).tiny)
    columns = columns_for(count)
    sheet = tiled(drawn if channels == 3 else drawn[..., 0], columns)
    width = WIDE if count > MANY else WIDTH
    figure = new_figure(width, width * sheet.shape[0] / sheet.shape[1] + 0.5)
    axes = figure.subplots()
    axes.imshow(sheet, cmap='gray', vmin=0, vmax=1, interpolation='nearest')
    axes.set_axis_off()
    add_title(figure, f'{literal(name)}: {count} filters of {size} x {size}, the strongest first')
    return figure


def filters_of(model: nn.Module) -> np.ndarray:
    """Return the filters of the first convolution, (N, H, W, 3 or 1), by falling norm.

    Raises:
        BadConfig: the network has no convolution.
    """
    backbone: Any = getattr(model, 'backbone', model)
    first = next((part for part in backbone.modules() if isinstance(part, nn.Conv2d)), None)
    if first is None:
        raise BadConfig(f'{type(backbone).__name__} has no convolution, so that it has no filters '
                        'to draw')
    weight = first.weight.detach().float().cpu()
    if weight.shape[1] not in (1, 3):
        weight = weight.mean(1, keepdim=True)
    strongest = weight.flatten(1).norm(dim=1).argsort(descending=True, stable=True)
    return weight[strongest].permute(0, 2, 3, 1).numpy()
