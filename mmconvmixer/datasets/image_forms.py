"""The forms in which users give an image, and what is said of objects that are none of them."""
import os
from dataclasses import dataclass
from io import BytesIO, IOBase, TextIOBase
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from mmengine.fileio.backends import prefix_to_backends
from PIL import Image

from mmconvmixer.datasets.image_files import printable
from mmconvmixer.datasets.image_url import MAX_BYTES, fetch_image, is_url
from mmconvmixer.datasets.pil_image import as_array
from mmconvmixer.datasets.pixel_limit import check_pixels
from mmconvmixer.errors import BadImage

ImageInput = str | os.PathLike | bytes | bytearray | memoryview | np.ndarray | Image.Image


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
# The dtypes of arrays of paths, bytes or images: `kind` of NumPy.
_OBJECTS = 'OUS'


def is_single(inputs: Any) -> bool:
    """Return whether an object stands for one image, and not for the images that it yields.

    Bytes yield numbers, images as arrays yield rows and files yield lines: none of these is
    an image. An array (N, H, W, C) holds several, and so does (N, H, W) where neither the first
    nor the last axis can be channels.
    """
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in _OBJECTS:
        return inputs.ndim == 0
    if isinstance(inputs, np.ndarray):
        return inputs.ndim < 3 or (inputs.ndim == 3 and bool(
            {inputs.shape[0], inputs.shape[2]} & {1, 3, 4}))
    return (isinstance(inputs, ImageInput) or hasattr(inputs, '__dlpack__')
            or _is_file(inputs) or not _is_iterable(inputs))


def _is_file(thing: Any) -> bool:
    # Readers of videos have read(), too, and yield images.
    return isinstance(thing, IOBase) or (hasattr(thing, 'read') and (
        hasattr(thing, 'readline') or hasattr(thing, 'readlines')))


def _is_iterable(thing: Any) -> bool:
    # Not iter(thing), which would start the processes of a data loader.
    return hasattr(type(thing), '__iter__') or hasattr(type(thing), '__getitem__')


def check_form(image: Any) -> None:
    """Raise BadImage for an object that has none of the forms of an image."""
    if not isinstance(image, ImageInput):
        raise BadImage(f'an image must be a path, URL, bytes, PIL image or array, got '
                       f'{type(image).__name__}{_advice(image)}')


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
    check_form(image)
    if isinstance(image, bytes | bytearray | memoryview):
        return dict(img_bytes=bytes(image))
    if isinstance(image, Image.Image):
        if not (image.width and image.height):
            raise BadImage(f'it has {image.width} x {image.height} pixels')
        check_pixels(image.width * image.height, limits.max_pixels)
        return dict(img=as_array(image, color_type))
    if isinstance(image, np.ndarray):
        _check_array(image, (1, 3, 4) if color_type == 'unchanged' else (1, 3))
        return dict(img=image)
    path = os.fspath(image)
    if not isinstance(path, str):
        raise BadImage('its path is of type bytes; give it as text: os.fsdecode(path)')
    if is_url(path):
        return dict(img_bytes=fetch_image(path, limits.max_url_bytes, limits.allow_private_urls))
    if not (os.path.isfile(path) or _has_backend(path)):
        raise BadImage(_missing(path))
    return dict(img_path=path)


def origin_of(image: ImageInput) -> dict:
    """Return `dict(img_path=...)` for an image given as a path or URL, else an empty dict."""
    return dict(img_path=os.fspath(image)) if isinstance(image, str | os.PathLike) else {}


def name_of(image: ImageInput) -> str:
    """Return what a message calls an image: its path, or what kind of object it is."""
    path = origin_of(image).get('img_path')
    return f'({type(image).__name__})' if path is None else printable(path) or "''"


def _advice(thing: Any) -> str:
    """Return how to make an image, or several, of an object that is none."""
    if isinstance(thing, BytesIO):
        return '; give its bytes: .getvalue()'
    if isinstance(thing, TextIOBase):
        return '; open the file of an image as open(path, "rb") and give its bytes, .read(); if ' \
               'it lists paths, give .read().splitlines()'
    if hasattr(thing, 'read'):
        return '; give its bytes: .read()'
    if hasattr(thing, '__dlpack__'):
        return '; give a NumPy array (H, W, 3), uint8, in BGR'
    if isinstance(thing, list | tuple):
        return '; give all images in one list, without lists in it'
    if _is_iterable(thing):
        return '; if it yields images, give list(...) of it, or call Predictor.stream(...)'
    if hasattr(type(thing), '__array__'):
        return '; give it as an array: numpy.asarray(...)'
    return ''


def _has_backend(path: str) -> bool:
    """Return whether mmengine reads this remote path; its prefix may name a cluster before s3."""
    prefix, is_remote, _ = path.partition('://')
    return bool(is_remote) and prefix.rpartition(':')[2] in prefix_to_backends


def _scheme(path: str) -> str:
    return path.partition(':')[0].lower()


def _missing(path: str) -> str:
    if os.path.exists(path):
        kind = 'a folder' if os.path.isdir(path) else 'a pipe or a device'
        return f'it is {kind}, not a file'
    if _scheme(path) == 'file':
        return f'URLs of files are not read; give the path: {_path_of(path)}'
    if _scheme(path) == 'data':
        return 'URLs that hold the data are not read; give its bytes: ' \
               'base64.b64decode(url.split(",")[1])'
    if '://' in path:
        return f'nothing here reads {_scheme(path)}://; give a path or an http(s) URL'
    return 'it does not exist; give a path, URL, bytes, PIL image or array'


def _path_of(url: str) -> str:
    """Return the path in a `file:` URL, or an example of one if it cannot be parsed."""
    try:
        return printable(url2pathname(urlsplit(url).path))
    except ValueError:
        return '/folder/image.jpg'


def _check_array(image: np.ndarray, channels: tuple[int, ...]) -> None:
    if image.dtype != np.uint8 or image.size == 0 or not (
            image.ndim == 2 or image.ndim == 3 and image.shape[2] in channels):
        raise BadImage(f'an image array must be uint8 (H, W) or (H, W, {channels[-1]}) in '
                       f'BGR{"A" * (len(channels) - 2)}, got '
                       f'{image.dtype} {image.shape}{_hint(image)}')


def _hint(array: np.ndarray) -> str:
    if array.dtype.kind in _OBJECTS:
        return '; give ' + ('several images as a list: list(array)' if array.ndim
                            else 'what is in it: array.item()')
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
