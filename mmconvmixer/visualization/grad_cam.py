"""Class activation maps of any network and layer, by the package grad-cam."""
import importlib
from typing import Any

import numpy as np
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmconvmixer.errors import MissingPackage, UnknownOption, nearest

# The names of mmpretrain's vis_cam, and the classes of pytorch_grad_cam.
METHODS = {'gradcam': 'GradCAM', 'gradcam++': 'GradCAMPlusPlus', 'xgradcam': 'XGradCAM',
           'eigencam': 'EigenCAM', 'eigengradcam': 'EigenGradCAM', 'layercam': 'LayerCAM'}
_BLOCKS = ('stages', 'layers', 'blocks')


def grad_cam(model: BaseModel, inputs: Tensor, label: int, method: str = 'gradcam',
             layer: str | None = None) -> np.ndarray:
    """Return the map of one image, (H, W) of its size, between 0 and 1.

    Args:
        model: a classifier.
        inputs: the image, (1, C, H, W), normalized.
        label: the class.
        method: a key of `METHODS`.
        layer: name of a layer. Default: the last block of the backbone.

    Raises:
        MissingPackage: grad-cam is not installed.
        UnknownOption: there is no such layer, or it is not called or gives no feature map.
    """
    try:
        package = importlib.import_module('pytorch_grad_cam')
        targets = importlib.import_module('pytorch_grad_cam.utils.model_targets')
    except ImportError as error:
        raise MissingPackage(f'method {method} needs grad-cam: pip install '
                             "'mmconvmixer[visualize]'") from error
    name, part = _layer_of(model, layer)
    seen: list[Tensor] = []
    watch = part.register_forward_hook(lambda module, args, output: seen.append(output))
    try:
        model(inputs)
    finally:
        watch.remove()
    _check_output(model, name, seen)
    # Weights may be frozen; gradients then come from the image alone.
    with getattr(package, METHODS[method])(
            model, [part], reshape_transform=lambda output: _on_grid(model, output)) as cam:
        images = inputs.detach().clone().requires_grad_()
        values = cam(images, [targets.ClassifierOutputTarget(label)])[0]
    model.zero_grad()
    return values


def _layer_of(model: BaseModel, layer: str | None) -> tuple[str, nn.Module]:
    parts = dict(model.named_modules())
    if layer is None:
        layer = next((f'backbone.{blocks}.{len(getattr(model.backbone, blocks)) - 1}'
                      for blocks in _BLOCKS if hasattr(model.backbone, blocks)), 'backbone')
    if layer not in parts or not layer:
        raise UnknownOption(f'the network has no layer {layer!r}; nearest: '
                            f'{nearest(layer, filter(None, parts))}')
    return layer, parts[layer]


def _check_output(model: BaseModel, layer: str, seen: list[Any]) -> None:
    if not seen:
        raise UnknownOption(f'layer {layer} is a list of layers that is not called itself; give '
                            f'one of them, such as {layer}.0')
    output = seen[0]
    rows, columns = getattr(model.backbone, 'patch_resolution', (0, 0))
    if not isinstance(output, Tensor) or not (
            output.ndim == 4 or output.ndim == 3 and output.shape[1] == rows * columns):
        kind = (f'a tensor {tuple(output.shape)}' if isinstance(output, Tensor)
                else f'a {type(output).__name__}')
        raise UnknownOption(f'layer {layer} gives {kind}, expected a feature map (N, C, H, W) or '
                            'tokens (N, positions, C); give another layer')


def _on_grid(model: BaseModel, output: Tensor) -> Tensor:
    """Return a layer's output as (N, C, H, W); an MLP-Mixer's blocks give (N, positions, C)."""
    return output if output.ndim == 4 else output.transpose(1, 2).unflatten(
        2, model.backbone.patch_resolution)
