"""Images in every form that users give, prepared by a model's test pipeline."""
import os
import sys
from functools import cached_property
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS
from torch import Tensor, nn

from mmconvmixer._support.resources import exhausted, out_of
from mmconvmixer.datasets.image_files import (
    IMAGE_SUFFIXES,
    describe_left_out,
    list_images,
    printable,
)
from mmconvmixer.datasets.image_forms import DEFAULTS, ImageInput, Limits, as_sample, name_of
from mmconvmixer.datasets.image_shape import in_channels_of
from mmconvmixer.datasets.parts_of_config import innermost, only_pipeline
from mmconvmixer.datasets.transforms.pipeline import faster_pipeline
from mmconvmixer.errors import BadConfig, BadImage, MMConvMixerError

# Height and width of the plain image, where the network has no size of its own.
_PLAIN_SIZE = (512, 512)


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
        self._plain_size = getattr(getattr(model, 'backbone', None), 'img_size', _PLAIN_SIZE)

    def __call__(self, image: ImageInput) -> dict:
        """Prepare one image: return `inputs` (C, H, W) uint8 and `data_samples`.

        An error of a transform is the image's if a plain gray image passes the pipeline. If
        that one fails too, the pipeline is at fault, and its error is raised as it is.

        Raises:
            BadImage: the image can't be read, a transform fails on it but not on a plain
                image, or it has another number of channels than the network takes.
        """
        try:
            sample = self._loaded(as_sample(image, self._load.color_type, self._limits))
        except BadImage as error:
            raise BadImage(f'image {name_of(image)}: {error}') from error
        except Exception as error:  # decoders and storage backends may raise anything
            raise BadImage(f"image {name_of(image)} can't be decoded: {error}. Expected a JPEG, "
                           'PNG or another image file') from error
        try:
            sample = self._transformed(sample)
        except BadImage as error:
            raise BadImage(f'image {name_of(image)}: {error}') from error
        except Exception as error:  # a user's transform may raise anything
            raise_unless_of_image(error, self.plain is not None)
            raise BadImage(f'image {name_of(image)}: the test pipeline fails on it, but not on a '
                           f'plain image ({type(error).__name__}: {error})') from error
        channels = len(sample['inputs'])
        if self._channels not in (None, channels):
            raise BadImage(f'image {name_of(image)} has {channels} channels after the test '
                           f'pipeline, and the network takes {self._channels}; see color_type of '
                           'LoadImage')
        return sample

    @cached_property
    def plain(self) -> dict | None:
        """A plain gray image, prepared, which tells a bad image from a fault of the code.

        None if the pipeline fails on it.
        """
        keeps_alpha = self._load.color_type == 'unchanged' and self._channels == 4
        height, width = np.broadcast_to(self._plain_size, 2)
        image = np.full((height, width, 4 if keeps_alpha else 3), 128, np.uint8)
        try:
            return self._transformed(self._loaded(dict(img=image)))
        except Exception:
            return None

    def _loaded(self, sample: dict) -> dict:
        loaded = self._load(sample)
        if loaded is None:  # ignore_empty=True, which lets datasets leave such images out
            raise BadImage("it can't be decoded, and ignore_empty of LoadImage hides why")
        return loaded

    def _transformed(self, sample: dict) -> dict:
        transformed = self._transform(sample)
        if transformed is None:
            raise ValueError('a transform returned None')
        if not isinstance(transformed['inputs'], Tensor):  # one of several views
            raise BadConfig(f'the test pipeline gives inputs of type '
                            f'{type(transformed["inputs"]).__name__}, expected one image (C, H, W) '
                            'as a tensor; test-time augmentation belongs in tta_pipeline')
        return transformed


def raise_unless_of_image(error: Exception, plain_passes: bool) -> None:
    """Raise the error of a pipeline or a network that is not the fault of the image.

    Args:
        error: what a transform or the network raised.
        plain_passes: whether a plain image does not cause it.
    """
    if what := exhausted(error):
        raise out_of(what, error) from error
    if isinstance(error, MMConvMixerError) or not plain_passes:
        raise error


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
