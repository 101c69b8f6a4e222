"""What an image may come as, made a sample for a test pipeline."""
import os
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose
from PIL import Image, ImageOps
from torch import nn

from mmconvmixer.checkpoints.download.http import download, is_url
from mmconvmixer.datasets.image_files import IMAGE_SUFFIXES, image_files
from mmconvmixer.errors import BadConfig, BadImage

ImageInput = str | os.PathLike | bytes | np.ndarray | Image.Image


class ImagePipeline:
    """A model's test pipeline, for images of every form.

    Args:
        model: what `get_model` returned.
        pipeline: another than its config's.

    Raises:
        BadConfig: no test_dataloader, or a pipeline that does not begin with loading.
    """

    def __init__(self, model: nn.Module, pipeline: list[dict] | None = None):
        self._load, *transforms = _transforms(pipeline or test_dataset_of(model).pipeline)
        self._transform = Compose(transforms)

    def __call__(self, image: ImageInput) -> dict:
        """Return the sample of one image: `inputs` (C, H, W) uint8 and `data_samples`.

        Raises:
            BadImage: the image can't be read.
        """
        try:
            sample = self._load(as_sample(image))
        except BadImage:
            raise
        except Exception as error:  # whatever decoders and storage backends throw
            raise BadImage(complaint(image, error)) from error
        return self._transform(sample)


def images_in(folder: str | os.PathLike) -> list[Path]:
    """Return a folder's images in the order of their names.

    Raises:
        BadImage: there is none.
    """
    found = [Path(folder, name) for name in image_files(folder, recursive=False)]
    if not found:
        raise BadImage(f'folder {folder} has no image in it; these count: '
                       f'{", ".join(sorted(IMAGE_SUFFIXES))}')
    return found


def test_dataset_of(model: nn.Module) -> Config:
    """Return the config of the dataset, out of its wrappers, that a model is tested on.

    Args:
        model: what `get_model` returned.

    Raises:
        BadConfig: its config has none.
    """
    config = getattr(model, '_config', None)
    if not isinstance(config, Config) or 'test_dataloader' not in config:
        raise BadConfig('the model has no config with a test_dataloader, so nobody knows how '
                        'its images are prepared; build it with get_model(name or config)')
    dataset = config.test_dataloader.dataset
    while 'pipeline' not in dataset and 'dataset' in dataset:  # e.g. InMemory
        dataset = dataset.dataset
    return dataset


def _transforms(pipeline: list[dict]) -> list[BaseTransform]:
    """Build the transforms of a test pipeline, loading first.

    The loader takes any image; the rest is as in `tools/test.py`.
    """
    from mmengine.registry import DefaultScope
    from mmpretrain.registry import TRANSFORMS

    from mmconvmixer.datasets import faster_pipeline
    load, *rest = (dict(step) for step in faster_pipeline(pipeline))
    if load['type'].split('.')[-1] not in ('LoadImageFromFile', 'LoadImage'):
        raise BadConfig(f'the test pipeline begins with {load["type"]}, expected '
                        'LoadImageFromFile or LoadImage')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return [TRANSFORMS.build(step) for step in (dict(load, type='LoadImage'), *rest)]


def as_sample(image: ImageInput) -> dict:
    """Return what a pipeline's LoadImage takes of an image."""
    if isinstance(image, str | os.PathLike):
        path = os.fspath(image)
        if is_url(path):
            content = bytearray()
            for piece in download(path):
                content[piece.offset:] = piece.data
            return dict(img_bytes=bytes(content))
        if '://' not in path and not os.path.isfile(path):
            raise BadImage(f'image {path} is not there; give a path, URL, bytes, PIL image '
                           'or array')
        return dict(img_path=path)
    if isinstance(image, bytes):
        return dict(img_bytes=image)
    if isinstance(image, Image.Image):
        rgb = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
        return dict(img=np.ascontiguousarray(rgb[..., ::-1]))
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.size == 0 or not (
                image.ndim == 2 or image.ndim == 3 and image.shape[2] in (1, 3)):
            raise BadImage(f'an array image is uint8 (H, W) or (H, W, 3) in BGR; got '
                           f'{image.dtype} {image.shape}{_hint(image)}')
        return dict(img=image)
    raise BadImage(f'an image is a path, URL, bytes, PIL image or array; got '
                   f'{type(image).__name__}')


def origin_of(image: ImageInput) -> dict:
    """Return `img_path` for what came from a file, else nothing."""
    return dict(img_path=os.fspath(image)) if isinstance(image, str | os.PathLike) else {}


def complaint(image: ImageInput, reason: Any) -> str:
    """Return the message for an image that can't be read."""
    name = origin_of(image).get('img_path', f'({type(image).__name__})')
    return f'image {name} can not be decoded: {reason}. Expected a JPEG, PNG or the like'


def _hint(array: np.ndarray) -> str:
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        return '; channels come last: array.transpose(1, 2, 0)'
    if array.ndim == 3 and array.shape[2] == 4:
        return '; leave out the fourth channel: array[..., :3]'
    if array.ndim == 4:
        return '; several images are a list of arrays: list(array)'
    if array.dtype != np.uint8 and array.ndim in (2, 3):
        return '; values are 0 to 255, as in a file'
    return ''
