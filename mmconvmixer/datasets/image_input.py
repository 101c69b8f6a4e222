"""Images in every form that users give, prepared by a model's test pipeline."""
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from torch import nn

from mmconvmixer.datasets.image_files import (
    IMAGE_SUFFIXES,
    describe_left_out,
    list_images,
    printable,
)
from mmconvmixer.datasets.image_url import MAX_BYTES, fetch_image, is_url
from mmconvmixer.datasets.parts_of_config import innermost, only_pipeline
from mmconvmixer.datasets.pil_image import as_array
from mmconvmixer.datasets.pixel_limit import check_pixels
from mmconvmixer.datasets.transforms.pipeline import faster_pipeline
from mmconvmixer.errors import BadConfig, BadImage

ImageInput = str | os.PathLike | bytes | np.ndarray | Image.Image


@dataclass(frozen=True)
class Limits:
    """What an image from a stranger may cost.

    Attributes:
        max_pixels: the most pixels of an image. None for Pillow's limit, by default
            178,956,970; see `datasets.pixel_limit`.
        max_url_bytes: the most bytes that are read from a URL.
        allow_private_urls: whether URLs may lead to addresses that are not public.
    """

    max_pixels: int | None = None
    max_url_bytes: int = MAX_BYTES
    allow_private_urls: bool = False


DEFAULTS = Limits()


class ImagePipeline:
    """A model's test pipeline that takes images in every form.

    Args:
        model: a model that `get_model` returned.
        pipeline: configs of transforms to use instead of those in the model's config.
        limits: what an image may cost.

    Raises:
        BadConfig: the config has no test_dataloader, or its pipeline does not begin with
            loading the image.
    """

    def __init__(self, model: nn.Module, pipeline: list[dict] | None = None,
                 limits: Limits = DEFAULTS) -> None:
        self._limits = limits
        self._load, *transforms = _transforms(pipeline or test_dataset_of(model).pipeline,
                                              limits.max_pixels)
        self._transform = Compose(transforms)
        self._channels = in_channels_of(model)

    def __call__(self, image: ImageInput) -> dict:
        """Prepare one image: return `inputs` (C, H, W) uint8 and `data_samples`.

        Raises:
            BadImage: the image can't be read, or has another number of channels than the
                network takes.
        """
        try:
            sample = self._load(as_sample(image, self._load.color_type, self._limits))
        except BadImage as error:
            raise BadImage(f'image {_name(image)}: {error}') from error
        except Exception as error:  # decoders and storage backends may raise anything
            raise BadImage(f"image {_name(image)} can't be decoded: {error}. Expected a JPEG, PNG "
                           'or another image file') from error
        sample = self._transform(sample)
        channels = len(sample['inputs'])
        if self._channels not in (None, channels):
            raise BadImage(f'image {_name(image)} has {channels} channels after the test pipeline, '
                           f'and the network takes {self._channels}; see color_type of LoadImage')
        return sample


def images_in(folder: str | os.PathLike) -> list[Path]:
    """Return the paths of the images in a folder, not below it, sorted by name.

    Raises:
        BadImage: the folder has no image.
    """
    listing = list_images(folder, recursive=False)
    if not listing.images:
        below = len(list_images(folder).images)
        raise BadImage(f'folder {printable(folder)} has no image in it' + (
            f', but {below} in the folders below it: give one of those' if below else '') +
            f'; image files end in {", ".join(sorted(IMAGE_SUFFIXES))}')
    if listing.left_out:
        print(f'{printable(folder)}: {describe_left_out(listing.left_out)}', file=sys.stderr,
              flush=True)
    return [Path(folder, name) for name in listing.images]


def test_dataset_of(model: nn.Module) -> Config:
    """Return the config of a model's test dataset, without wrappers: the first part of several.

    Args:
        model: a model that `get_model` returned.

    Raises:
        BadConfig: the model's config has no test_dataloader, or this has no pipeline, or
            parts with different ones.
    """
    config = getattr(model, '_config', None)
    if not isinstance(config, Config) or 'test_dataloader' not in config:
        raise BadConfig('the model has no config with a test_dataloader, which says how to '
                        'prepare images; build the model with get_model(name or config)')
    only_pipeline(config.test_dataloader.dataset, 'the test set')
    return next(innermost(config.test_dataloader.dataset))


def in_channels_of(model: nn.Module) -> int | None:
    """Return the number of channels that the backbone's first convolution takes, if it has one."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and name.startswith('backbone.'):
            return module.in_channels
    return None


def _transforms(pipeline: list[dict], max_pixels: int | None) -> list[BaseTransform]:
    """Build the transforms of a test pipeline, with a first step that loads every form."""
    load, *rest = (dict(step) for step in faster_pipeline(pipeline))
    if load['type'].split('.')[-1] not in ('LoadImageFromFile', 'LoadImage'):
        raise BadConfig(f'the test pipeline begins with {load["type"]}, expected '
                        'LoadImageFromFile or LoadImage')
    load['type'] = 'LoadImage'
    if max_pixels is not None:
        load['max_pixels'] = max_pixels
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return [TRANSFORMS.build(step) for step in (load, *rest)]


def as_sample(image: ImageInput, color_type: str = 'color', limits: Limits = DEFAULTS) -> dict:
    """Return the sample of an image that a pipeline's `LoadImage` takes.

    Args:
        image: in any form.
        color_type: of that `LoadImage`: it decides what a PIL image and an array may hold.
        limits: see `Limits`.

    Raises:
        BadImage: the file does not exist, the URL can't be fetched, or the object is not an
            image.
    """
    if isinstance(image, str | os.PathLike):
        path = os.fspath(image)
        if not isinstance(path, str):
            raise BadImage('its path is of type bytes; give it as text: os.fsdecode(path)')
        if is_url(path):
            return dict(img_bytes=fetch_image(path, limits.max_url_bytes,
                                              limits.allow_private_urls))
        if '://' not in path and not os.path.isfile(path):
            raise BadImage(_missing(path))
        return dict(img_path=path)
    if isinstance(image, bytes):
        return dict(img_bytes=image)
    if isinstance(image, Image.Image):
        if not (image.width and image.height):
            raise BadImage(f'it has {image.width} x {image.height} pixels')
        check_pixels(image.width * image.height, limits.max_pixels)
        return dict(img=as_array(image, color_type))
    if isinstance(image, np.ndarray):
        channels = (1, 3, 4) if color_type == 'unchanged' else (1, 3)
        if image.dtype != np.uint8 or image.size == 0 or not (
                image.ndim == 2 or image.ndim == 3 and image.shape[2] in channels):
            raise BadImage(f'an image array must be uint8 (H, W) or (H, W, {channels[-1]}) in '
                           f'BGR{"A" * (len(channels) - 2)}, got '
                           f'{image.dtype} {image.shape}{_hint(image)}')
        return dict(img=image)
    raise BadImage(f'an image must be a path, URL, bytes, PIL image or array, got '
                   f'{type(image).__name__}')


def _missing(path: str) -> str:
    if os.path.exists(path):
        kind = 'a folder' if os.path.isdir(path) else 'a pipe or a device'
        return f'it is {kind}, not a file'
    return 'it does not exist; give a path, URL, bytes, PIL image or array'


def origin_of(image: ImageInput) -> dict:
    """Return `dict(img_path=...)` for an image given as a path or URL, else an empty dict."""
    return dict(img_path=os.fspath(image)) if isinstance(image, str | os.PathLike) else {}


def _name(image: ImageInput) -> str:
    path = origin_of(image).get('img_path')
    return f'({type(image).__name__})' if path is None else printable(path)


def _hint(array: np.ndarray) -> str:
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        return '; put the channels last: array.transpose(1, 2, 0)'
    if array.ndim == 3 and array.shape[2] == 4:
        return '; drop the fourth channel: array[..., :3]'
    if array.dtype == np.uint16:
        return "; take the upper eight bits, as of an image file: (array >> 8).astype('uint8')"
    if array.ndim == 4:
        return '; give several images as a list of arrays: list(array)'
    if array.dtype != np.uint8 and array.ndim in (2, 3):
        return '; scale the values to the range 0 to 255, as in an image file'
    return ''
