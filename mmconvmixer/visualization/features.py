"""What a network's feature maps distinguish, as colors: their principal components."""
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmconvmixer.datasets.image_forms import ImageInput
from mmconvmixer.errors import BadConfig, UnknownOption
from mmconvmixer.visualization.inputs import network_images
from mmconvmixer.visualization.save import add_title, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_IMAGES, MOST_MAPS = 12, 6
CELL = 1.9  # inches of an image


def plot_features(model: BaseModel, images: Sequence[ImageInput], name: str = 'network'
                  ) -> 'Figure':
    """Draw, beside each image, the feature maps of several blocks in colors.

    Red, green and blue are the first three principal components of a block's features at all
    positions of all images: positions of one color have similar features.

    Args:
        model: a model that `get_model` returned.
        images: at most 12, see `network_images`.
        name: what the title calls the network.

    Raises:
        UnknownOption: there are too many images.
        BadConfig: the network gives no feature maps.
        BadImage: an image can't be read.
    """
    if not 1 <= len(images) <= MOST_IMAGES:
        raise UnknownOption(f'one figure has room for 1 to {MOST_IMAGES} images, got '
                            f'{len(images)}; give some of them')
    prepared = network_images(model, images)
    blocks = chosen_blocks(model)
    maps = feature_maps(model, [image.inputs for image in prepared], blocks)
    figure = new_figure(CELL * (len(blocks) + 1) + 0.2, (CELL + 0.05) * len(prepared) + 0.8)
    grid = figure.subplots(len(prepared), len(blocks) + 1, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    grid[0, 0].set_title('image', fontsize=11)
    for axes, image in zip(grid[:, 0], prepared, strict=True):
        axes.imshow(image.pixels, interpolation='nearest')
    for column, block, features in zip(grid.T[1:], blocks, maps, strict=True):
        colors, share = as_colors(features)
        column[0].set_title(f'block {block + 1}: {share:.0%}', fontsize=11)
        for axes, pixels in zip(column, colors, strict=True):
            axes.imshow(pixels, interpolation='nearest')
    add_title(figure, f'{literal(name)}: features by their principal components, and how much of '
              'the variance is seen')
    return figure


def chosen_blocks(model: BaseModel) -> list[int]:
    """Return the numbers of up to six blocks, from 0, at equal steps from the first to the last.

    Raises:
        BadConfig: the backbone has no `out_indices`.
    """
    backbone: Any = getattr(model, 'backbone', model)
    depth = getattr(backbone, 'depth', None)
    if not hasattr(backbone, 'out_indices'):
        raise BadConfig(f'{type(backbone).__name__} has no out_indices, by which a network returns '
                        'the feature maps of its blocks')
    if type(depth) is not int:  # another network of mmpretrain, whose indices have meanings
        return list(backbone.out_indices)[:MOST_MAPS]
    return sorted({round(step) for step in np.linspace(0, depth - 1, min(depth, MOST_MAPS))})


@torch.no_grad()
def feature_maps(model: BaseModel, inputs: Sequence[Tensor], blocks: Sequence[int]
                 ) -> list[list[np.ndarray]]:
    """Return for each block the feature map (C, H, W) of each image.

    Args:
        model: a classifier or feature extractor.
        inputs: images (1, C, H, W), normalized.
        blocks: numbers of blocks, from 0.

    Raises:
        BadConfig: the outputs are not maps.
    """
    backbone: Any = getattr(model, 'backbone', model)
    by_block: list[list[np.ndarray]] = [[] for _ in blocks]
    with returning(backbone, list(blocks)):
        for image in inputs:
            for maps, features in zip(by_block, backbone(image), strict=True):
                maps.append(as_map(backbone, features)[0].float().cpu().numpy())
    return by_block


def as_map(backbone: Any, output: object) -> Tensor:
    """Return what a block gives as (N, C, H, W); an MLP-Mixer's may be (N, C, positions).

    Raises:
        BadConfig: it is not a feature map.
    """
    if isinstance(output, Tensor) and output.ndim == 3 and hasattr(backbone, 'patch_resolution'):
        output = output.unflatten(2, backbone.patch_resolution)
    if not isinstance(output, Tensor) or output.ndim != 4:
        raise BadConfig(f'{type(backbone).__name__} does not give feature maps (N, C, H, W)')
    return output


def as_colors(maps: Sequence[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """Return images (H, W, 3), 0..1, of the first three components of maps, and their variance.

    Args:
        maps: (C, H, W) each, of one block.

    Returns:
        The images, whose colors mean the same in all of them, and the share of the features'
        variance that the three components have.
    """
    from sklearn.decomposition import PCA
    rows = [features.reshape(len(features), -1).T for features in maps]
    every = np.concatenate(rows)
    count = min(3, *every.shape)
    pca = PCA(count, svd_solver='full' if every.shape[1] < 500 else 'randomized', random_state=0)
    scores = np.zeros((len(every), 3), np.float32)
    with np.errstate(invalid='ignore'):  # features may be the same everywhere
        scores[:, :count] = pca.fit_transform(every)
    # Outliers would leave little contrast to all other positions.
    low, high = np.percentile(scores, [1, 99], axis=0)
    colors = ((scores - low) / np.maximum(high - low, 1e-12)).clip(0, 1)
    ends = np.cumsum([len(each) for each in rows])[:-1]
    share = np.nan_to_num(pca.explained_variance_ratio_).sum()
    return [part.reshape(*features.shape[1:], 3) for part, features in zip(
        np.split(colors, ends), maps, strict=True)], float(share)


@contextmanager
def returning(backbone: Any, blocks: list[int]) -> Iterator[None]:
    """Let a backbone return the feature maps of these blocks for a while."""
    before, backbone.out_indices = backbone.out_indices, blocks
    try:
        yield
    finally:
        backbone.out_indices = before
