"""Where a classifier looked: class activation maps over images."""
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from mmengine.model import BaseModel
from mmpretrain.models.heads import LinearClsHead
from mmpretrain.models.necks import GlobalAveragePooling
from torch import Tensor

from mmconvmixer.datasets.image_forms import ImageInput
from mmconvmixer.datasets.same_classes import distinct_names
from mmconvmixer.errors import BadConfig, UnknownOption, nearest
from mmconvmixer.visualization.features import as_map
from mmconvmixer.visualization.grad_cam import METHODS, grad_cam
from mmconvmixer.visualization.inputs import network_images
from mmconvmixer.visualization.save import add_title, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXACT = 'cam'
CELL = 2.6  # inches of an image
MOST = 24  # images in one figure


@dataclass(frozen=True)
class Map:
    """What each position of an image contributes to the score of a class.

    Attributes:
        label: the class.
        score: its probability.
        values: (H, W); for an exact map on the grid of the feature map, in units of the logit.
    """

    label: int
    score: float
    values: np.ndarray


def plot_cam(model: BaseModel, images: Sequence[ImageInput], label: int | str | None = None,
             method: str | None = None, layer: str | None = None, name: str = 'network'
             ) -> 'Figure':
    """Draw, beside each image, what spoke for a class in it.

    For a linear head after global average pooling, the map is exact: the logit is the sum of
    the map and the head's bias. Red speaks for the class and blue against it.

    Args:
        model: a classifier that `get_model` returned.
        images: see `network_images`.
        label: number or name of a class. Default: the most likely class of each image.
        method: 'cam' for the exact map, or a method of the package grad-cam (`METHODS`), whose
            maps are between 0 and 1. Default: 'cam' where it applies, else 'gradcam'.
        layer: for a method of grad-cam, the layer whose activations are looked at, such as
            'backbone.stages.2'. Default: the last block.
        name: what the title calls the network.

    Raises:
        UnknownOption: there is no such class, method or layer, or too many images.
        BadConfig: the network has no linear head after global average pooling, for 'cam'.
        MissingPackage: grad-cam is not installed.
        BadImage: an image can't be read.
    """
    method = method or (EXACT if has_exact_map(model) and layer is None else 'gradcam')
    _check_method(model, method, layer)
    if not 1 <= len(images) <= MOST:
        raise UnknownOption(f'one figure has room for 1 to {MOST} images, got {len(images)}; give '
                            'some of them')
    classes = class_names_of(model)
    wanted = None if label is None else class_number(label, classes)
    prepared = network_images(model, images)
    maps = [exact_map(model, image.inputs, wanted) if method == EXACT else
            _by_grad_cam(model, image.inputs, wanted, method, layer) for image in prepared]
    pairs = min(3, math.ceil(len(maps) / 4))
    rows = math.ceil(len(maps) / pairs)
    figure = new_figure(2 * CELL * pairs + 1.2, (CELL + 0.3) * rows + 0.7)
    grid = figure.subplots(rows, 2 * pairs, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    largest = max(max(abs(found.values).max() for found in maps), 1e-12)
    drawn = None
    for (left, right), image, found in zip(grid.reshape(-1, 2), prepared, maps, strict=False):
        height, width = image.pixels.shape[:2]
        extent = (0, width, height, 0)
        left.imshow(image.pixels, extent=extent, interpolation='nearest')
        left.set_title(literal(image.name, 24), fontsize=11)
        gray = image.pixels.mean(axis=2)
        right.imshow(gray, extent=extent, cmap='gray', vmin=0, vmax=255)
        drawn = right.imshow(found.values, extent=extent, alpha=0.6, interpolation='bilinear',
                             **(dict(cmap='RdBu_r', vmin=-largest, vmax=largest)
                                if method == EXACT else dict(cmap='inferno', vmin=0, vmax=1)))
        right.set_title(f'{literal(classes[found.label], 24)} {found.score:.0%}', fontsize=11)
    bar = figure.colorbar(drawn, ax=list(grid.flat), shrink=0.8, aspect=25)
    bar.set_label('contribution to the logit' if method == EXACT else
                  f'{method}, relative', fontsize=11)
    add_title(figure, f'{literal(name)}: where it looked')
    return figure


def has_exact_map(model: BaseModel) -> bool:
    """Whether a network's logits are a linear function of its averaged feature map."""
    return (type(getattr(model, 'neck', None)) is GlobalAveragePooling
            and type(getattr(model, 'head', None)) is LinearClsHead)


@torch.no_grad()
def exact_map(model: BaseModel, inputs: Tensor, label: int | None = None) -> Map:
    """Return the class activation map of one image; its sum and the head's bias are the logit.

    Args:
        model: a classifier for which `has_exact_map`.
        inputs: the image, (1, C, H, W), normalized.
        label: the class. Default: the most likely one.

    Source: Zhou et al., https://arxiv.org/abs/1512.04150, section 2.
    """
    features = model.backbone(inputs)
    logits = model.head(model.neck(features))[0]
    label = int(logits.argmax()) if label is None else label
    on_grid = as_map(model.backbone, features[-1])[0]
    values = torch.einsum('c,chw->hw', model.head.fc.weight[label], on_grid) / on_grid[0].numel()
    return Map(label, float(logits.softmax(0)[label]), values.float().cpu().numpy())


def class_names_of(model: BaseModel) -> list[str]:
    """Return a different name for each class of a classifier, its number if it has none."""
    names = (getattr(model, '_dataset_meta', None) or {}).get('classes') or ()
    count = getattr(model.head, 'num_classes', None) or len(names)
    return distinct_names(names if len(names) == count else (), count)


def class_number(label: int | str, classes: Sequence[str]) -> int:
    """Return the number of a class, given by its number or name.

    Raises:
        UnknownOption: there is none.
    """
    if str(label) in classes:
        return list(classes).index(str(label))
    if str(label).isdecimal() and int(label) < len(classes):
        return int(label)
    raise UnknownOption(f'there is no class {label}; give a number from 0 to {len(classes) - 1} '
                        f'or a name; nearest: {nearest(str(label), classes)}')


def _by_grad_cam(model: BaseModel, inputs: Tensor, label: int | None, method: str,
                 layer: str | None) -> Map:
    with torch.no_grad():
        logits = model(inputs)[0]
    label = int(logits.argmax()) if label is None else label
    return Map(label, float(logits.softmax(0)[label]),
               grad_cam(model, inputs, label, method, layer))


def _check_method(model: BaseModel, method: str, layer: str | None) -> None:
    if method not in (EXACT, *METHODS):
        raise UnknownOption(f'method is {method!r}, expected one of {EXACT}, '
                            f'{", ".join(METHODS)}')
    if getattr(model, 'head', None) is None:
        raise BadConfig('a network without a head has no classes to look for; give the classifier '
                        '(its name without -features)')
    if method == EXACT and layer is not None:
        raise UnknownOption(f'the exact map is that of the last block; for {layer}, give a method '
                            f'of grad-cam: {", ".join(METHODS)}')
    if method == EXACT and not has_exact_map(model):
        raise BadConfig('only a linear head after global average pooling has an exact map; give '
                        f'another method: {", ".join(METHODS)}')
