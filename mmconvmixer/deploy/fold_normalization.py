"""Mean and standard deviation as part of the first convolution's weights.

Files for phones and small boards have no place for an image's normalization. A patch
embedding does not pad, so it computes the same from pixels, with other weights:

    sum w (x - mean) / std + b = sum (w / std) x + (b - sum w mean / std)
"""
from copy import deepcopy

import torch
from mmengine.model import BaseModel
from mmpretrain.models import MlpMixer
from torch import nn

from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.errors import BadConfig
from mmconvmixer.models.convmixer import ConvMixer


@torch.no_grad()
def fold_normalization(model: BaseModel, image_size: int | None = None) -> BaseModel:
    """Return a copy of a classifier that takes pixels, 0 to 255, instead of normalized images.

    Args:
        model: what `get_model` returned, a ConvMixer or MLP-Mixer; it is not changed.
        image_size: height and width of its images in pixels. Default: the config's.

    Returns:
        The copy. Its data_preprocessor has mean 0 and standard deviation 1. Its outputs
        differ by rounding only.

    Raises:
        BadConfig: the first convolution pads the image, with zeros that stand for the mean
            and would become black; or the network is another one.
    """
    preprocessing = preprocessing_of(model, image_size)
    model = deepcopy(model)
    convolution = _first_convolution(model.backbone, preprocessing.image_size)
    weight = convolution.weight.double()
    mean, std = (weight.new_tensor(values)[:, None, None]
                 for values in (preprocessing.mean, preprocessing.std))
    bias = weight.new_zeros(len(weight)) if convolution.bias is None else convolution.bias.double()
    dtype = convolution.weight.dtype
    convolution.bias = nn.Parameter((bias - (weight * (mean / std)).sum((1, 2, 3))).to(dtype))
    convolution.weight = nn.Parameter((weight / std).to(dtype))

    normalizer = model.data_preprocessor
    if normalizer._enable_normalize:
        normalizer.mean.zero_()
        normalizer.std.fill_(1)
    return model


def _first_convolution(backbone: nn.Module, image_size: tuple[int, int]) -> nn.Conv2d:
    pads = False
    if isinstance(backbone, ConvMixer):
        convolution = backbone.stem[0]
    elif isinstance(backbone, MlpMixer):
        convolution = backbone.patch_embed.projection
        padding = backbone.patch_embed.adaptive_padding
        pads = padding is not None and any(padding.get_pad_shape(image_size))
    else:
        raise BadConfig(f'normalization can be folded into a ConvMixer or MlpMixer, not into a '
                        f'{type(backbone).__name__}; leave out fold_normalization')
    if pads or not isinstance(convolution, nn.Conv2d) or convolution.padding != (0, 0):
        height, width = image_size
        raise BadConfig(
            f'normalization cannot be folded for images of {height} x {width}: the patch '
            f'embedding of {type(backbone).__name__} pads them with zeros, which would no longer '
            'stand for the mean; choose an image size that its patches divide, or leave out '
            'fold_normalization')
    return convolution
