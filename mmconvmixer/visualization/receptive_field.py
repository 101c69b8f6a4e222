"""Which pixels a position of a feature map depends on, and how much, by depth."""
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmconvmixer.datasets.image_forms import ImageInput
from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization.features import as_map, chosen_blocks, returning
from mmconvmixer.visualization.inputs import network_images
from mmconvmixer.visualization.save import add_title, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 2.2  # inches of a map
HALF = 0.5  # of the influence, which the named side holds


def plot_receptive_field(model: BaseModel, images: Sequence[ImageInput], name: str = 'network'
                         ) -> 'Figure':
    """Draw how much the middle position of several blocks depends on each pixel.

    The influence of a pixel is the size of the gradient, averaged over the images; the root of
    it is drawn, so that small influences are seen. Each title gives the side of the middle
    square that has half of the influence.

    Args:
        model: a model that `get_model` returned.
        images: of one size after the test pipeline; see `network_images`.
        name: what the title calls the network.

    Raises:
        BadConfig: the network gives no feature maps, or the images differ in size.
        BadImage: an image can't be read.
    """
    inputs = [image.inputs for image in network_images(model, images)]
    if len({each.shape for each in inputs}) > 1:
        raise BadConfig('images of different sizes have no common receptive field; give images of '
                        'one size')
    blocks = chosen_blocks(model)
    fields = receptive_fields(model, inputs, blocks)
    figure = new_figure(CELL * len(blocks) + 0.2, CELL + 1.1)
    for axes, block, field in zip(figure.subplots(1, len(blocks), squeeze=False)[0], blocks, fields,
                                  strict=True):
        axes.imshow(np.sqrt(field / max(field.max(), 1e-30)), cmap='inferno', vmin=0, vmax=1,
                    interpolation='nearest')
        axes.set_axis_off()
        side = side_with(field, HALF)
        axes.set_title(f'block {block + 1}:\nhalf within {side} x {side}', fontsize=11)
    add_title(figure, f'{literal(name)}: what the middle of a feature map depends on')
    return figure


def receptive_fields(model: BaseModel, inputs: Sequence[Tensor], blocks: Sequence[int]
                     ) -> list[np.ndarray]:
    """Return for each block how much its middle position depends on each pixel, (H, W).

    This is the size of the gradient of a weighted sum of the channels, with fixed weights.

    Args:
        model: a classifier or feature extractor.
        inputs: images (1, C, H, W) of one size, normalized.
        blocks: numbers of blocks, from 0.

    Source: Luo et al., https://arxiv.org/abs/1701.04128, section 3.
    """
    backbone: Any = getattr(model, 'backbone', model)
    sums = [torch.zeros(inputs[0].shape[2:]) for _ in blocks]
    with torch.enable_grad(), returning(backbone, list(blocks)):
        for image in inputs:
            pixels = image.detach().clone().requires_grad_()
            for total, output in zip(sums, backbone(pixels), strict=True):
                features = as_map(backbone, output)
                middle = features[0, :, features.shape[2] // 2, features.shape[3] // 2]
                # Their plain sum would be constant after a LayerNorm.
                weights = torch.randn(len(middle), generator=torch.Generator().manual_seed(0))
                gradient, = torch.autograd.grad(middle @ weights.to(middle), pixels,
                                                retain_graph=True)
                total += gradient[0].abs().sum(0).float().cpu()
    return [(total / len(inputs)).numpy() for total in sums]


def side_with(field: np.ndarray, share: float) -> int:
    """Return the side of the smallest middle square that holds this share of a field's sum."""
    middle = [size // 2 for size in field.shape]
    whole = field.sum()
    for side in range(1, max(field.shape) + 1):
        rows, columns = (slice(max(0, at - side // 2), at - side // 2 + side) for at in middle)
        if field[rows, columns].sum() >= share * whole:
            return side
    return max(field.shape)
