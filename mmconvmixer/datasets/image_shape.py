"""Check that a network takes images of the shape that a dataset gives."""
from contextlib import suppress
from typing import Any

import mmpretrain.models
from mmpretrain.models import ImageClassifier
from torch import Tensor, nn

from mmconvmixer.datasets.data_preprocessor import ClsDataPreprocessor
from mmconvmixer.errors import BadConfig
from mmconvmixer.models import MlpMixer

# How many samples are tried: what is wrong with those that fail is for the run to say.
_TRIED = 4


def check_image_shape(model: nn.Module, dataset: Any, loader: str) -> None:
    """Refuse a network that takes other images than a dataset gives.

    One sample is prepared for this. Where none of the first can be, nothing is checked.

    Args:
        model: the network, also in a model for test-time augmentation. Networks with a class
            of the user's are not checked: these may change channels and sizes themselves.
        dataset: as it was built.
        loader: the config key of its loader, for messages.

    Raises:
        BadConfig: the network or its preprocessor takes another number of channels, or an
            MLP-Mixer takes another size.
    """
    network: Any = getattr(model, 'module', model)
    if not _is_known(network):
        return
    shape = _shape_of_an_image(dataset)
    if shape is None:
        return
    channels, *size = shape
    what = f'the images of {loader} have {channels} channel{"s" * (channels > 1)}'
    counts = _statistics(network.data_preprocessor)
    # A single channel is repeated for several values, and a single value for several channels.
    channels = channels if channels > 1 else max(counts.values())
    for name, count in counts.items():
        if count not in (1, channels):
            raise BadConfig(f'{what}, but data_preprocessor.{name} has {count} values; give mean '
                            f'and std one for each channel, or a single one{_loading(count)}')
    taken = in_channels_of(network)
    if taken is not None and taken != channels:
        if taken == shape[0]:
            raise BadConfig(f'{what}, which the {channels} values of data_preprocessor.mean and '
                            f'std make {channels}, but the network takes {taken}; give one mean '
                            'and one std')
        raise BadConfig(f'{what}, but the network takes {taken}; set '
                        f'model.backbone.in_channels={channels}{_loading(taken)}')
    backbone = network.backbone
    if (isinstance(backbone, MlpMixer) and tuple(size) != backbone.img_size
            and network.data_preprocessor.pad_size_divisor <= 1):
        raise BadConfig(f'the images of {loader} are {size[0]} x {size[1]} after their pipeline, '
                        f'but the network takes {backbone.img_size[0]} x {backbone.img_size[1]}; '
                        'resize them, or set model.backbone.img_size and '
                        'model.backbone.interpolate_tokens=True')


def in_channels_of(model: nn.Module) -> int | None:
    """Return the number of channels that the backbone's first convolution takes, if it has one."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and name.startswith('backbone.'):
            return module.in_channels
    return None


def _shape_of_an_image(dataset: Any) -> list[int] | None:
    for index in range(min(_TRIED, len(dataset))):
        with suppress(Exception):  # a damaged image, or an error of a transform
            image = dataset[index]['inputs']
            image = image[0] if isinstance(image, list) else image  # one of several views
            if isinstance(image, Tensor) and image.dim() == 3:
                return list(image.shape)
    return None


def _statistics(preprocessor: nn.Module) -> dict[str, int]:
    """Return how many values mean and std have; one if images are not normalized."""
    normalizes = getattr(preprocessor, '_enable_normalize', False)
    return {name: getattr(preprocessor, name).numel() if normalizes else 1
            for name in ('mean', 'std')}


def _is_known(network: nn.Module) -> bool:
    """Return whether only classes of mmpretrain and this package handle the images."""
    if type(network) is not ImageClassifier or type(network.data_preprocessor) not in (
            mmpretrain.models.ClsDataPreprocessor, ClsDataPreprocessor):
        return False
    augments = network.data_preprocessor.batch_augments
    return all(type(part).__module__.partition('.')[0] in ('mmpretrain', 'mmconvmixer')
               for part in (network.backbone, *(augments.augments if augments else ())))


def _loading(channels: int) -> str:
    color_type = {1: 'grayscale', 3: 'color', 4: 'unchanged'}.get(channels)
    return color_type and (f", or load images of {channels} channel{'s' * (channels > 1)} "
                           f"(color_type='{color_type}' of LoadImage)") or ''
