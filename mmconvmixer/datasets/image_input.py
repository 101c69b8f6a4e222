"""Images in every form that users give, prepared by a model's test pipeline."""
import os
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS
from PIL import Image, ImageOps
from torch import nn

from mmconvmixer.checkpoints.download.http import download, is_url
from mmconvmixer.datasets.image_files import IMAGE_SUFFIXES, image_files
from mmconvmixer.datasets.transforms.pipeline import faster_pipeline
from mmconvmixer.errors import BadConfig, BadImage

ImageInput = str | os.PathLike | bytes | np.ndarray | Image.Image


class ImagePipeline:
    """A model's test pipeline that takes images in every form.

    Args:
        model: a model that `get_model` returned.
        pipeline: configs of transforms to use instead of those in the model's config.

    Raises:
        BadConfig: the config has no test_dataloader, or its pipeline does not begin with
            loading the image.
    """

    def __init__(self, model: nn.Module, pipeline: list[dict] | None = None) -> None:
        self._load, *transforms = _transforms(pipeline or test_dataset_of(model).pipeline)
        self._transform = Compose(transforms)

    def __call__(self, image: ImageInput) -> dict:
        """Prepare one image: return `inputs` (C, H, W) uint8 and `data_samples`.

        Raises:
            BadImage: the image can't be read.
        """
        try:
            sample = self._load(as_sample(image))
        except BadImage:
            raise
        except Exception as error:  # decoders and storage backends may raise anything
            raise BadImage(_unreadable_message(image, error)) from error
        return self._transform(sample)


def images_in(folder: str | os.PathLike) -> list[Path]:
    """Return the paths of the images in a folder, not below it, sorted by name.

    Raises:
        BadImage: the folder has no image.
    """
    found = [Path(folder, name) for name in image_files(folder, recursive=False)]
    if not found:
        raise BadImage(f'folder {folder} has no image in it; image files end in '
                       f'{", ".join(sorted(IMAGE_SUFFIXES))}')
    return found


def test_dataset_of(model: nn.Module) -> Config:
    """Return the config of a model's test dataset, without wrappers around it.

    Args:
        model: a model that `get_model` returned.

    Raises:
        BadConfig: the model's config has no test_dataloader.
    """
    config = getattr(model, '_config', None)
    if not isinstance(config, Config) or 'test_dataloader' not in config:
        raise BadConfig('the model has no config with a test_dataloader, which says how to '
                        'prepare images; build the model with get_model(name or config)')
    dataset = config.test_dataloader.dataset
    while 'pipeline' not in dataset and 'dataset' in dataset:  # e.g. InMemory
        dataset = dataset.dataset
    return dataset


def _transforms(pipeline: list[dict]) -> list[BaseTransform]:
    """Build the transforms of a test pipeline, with a first step that loads every form."""
    load, *rest = (dict(step) for step in faster_pipeline(pipeline))
    if load['type'].split('.')[-1] not in ('LoadImageFromFile', 'LoadImage'):
        raise BadConfig(f'the test pipeline begins with {load["type"]}, expected '
                        'LoadImageFromFile or LoadImage')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return [TRANSFORMS.build(step) for step in (dict(load, type='LoadImage'), *rest)]


def as_sample(image: ImageInput) -> dict:
    """Return the sample of an image that a pipeline's `LoadImage` takes.

    Raises:
        BadImage: the file does not exist, or the object is not an image.
    """
    if isinstance(image, str | os.PathLike):
        path = os.fspath(image)
        if is_url(path):
            content = bytearray()
            for piece in download(path):
                content[piece.offset:] = piece.data
            return dict(img_bytes=bytes(content))
        if '://' not in path and not os.path.isfile(path):
            raise BadImage(f'image {path} does not exist; give a path, URL, bytes, PIL '
                           'image or array')
        return dict(img_path=path)
    if isinstance(image, bytes):
        return dict(img_bytes=image)
    if isinstance(image, Image.Image):
        rgb = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
        return dict(img=np.ascontiguousarray(rgb[..., ::-1]))
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.size == 0 or not (
                image.ndim == 2 or image.ndim == 3 and image.shape[2] in (1, 3)):
            raise BadImage(f'an image array must be uint8 (H, W) or (H, W, 3) in BGR, got '
                           f'{image.dtype} {image.shape}{_hint(image)}')
        return dict(img=image)
    raise BadImage(f'an image must be a path, URL, bytes, PIL image or array, got '
                   f'{type(image).__name__}')


def origin_of(image: ImageInput) -> dict:
    """Return `dict(img_path=...)` for an image given as a path or URL, else an empty dict."""
    return dict(img_path=os.fspath(image)) if isinstance(image, str | os.PathLike) else {}


def _unreadable_message(image: ImageInput, reason: Exception) -> str:
    name = origin_of(image).get('img_path', f'({type(image).__name__})')
    return f"image {name} can't be decoded: {reason}. Expected a JPEG, PNG or another image file"


def _hint(array: np.ndarray) -> str:
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        return '; put the channels last: array.transpose(1, 2, 0)'
    if array.ndim == 3 and array.shape[2] == 4:
        return '; drop the fourth channel: array[..., :3]'
    if array.ndim == 4:
        return '; give several images as a list of arrays: list(array)'
    if array.dtype != np.uint8 and array.ndim in (2, 3):
        return '; scale the values to the range 0 to 255, as in an image file'
    return ''
