"""Calibration: the real images from which the ranges of activations are measured."""
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from mmengine.dataset import default_collate
from mmengine.logging import print_log
from mmengine.model import BaseModel

from mmconvmixer.datasets.image_files import IMAGE_SUFFIXES, image_files, printable
from mmconvmixer.datasets.image_forms import ImageInput
from mmconvmixer.datasets.image_input import ImagePipeline
from mmconvmixer.errors import BadImage, DatasetNotFound, UnknownOption

COUNT = 300  # images


def calibration_batches(model: BaseModel, source: str | os.PathLike | list[ImageInput] | None,
                        count: int = COUNT) -> list[np.ndarray]:
    """Return calibration images as the network's inputs.

    Args:
        model: what `get_model` returned; its config's test pipeline prepares the images.
        source: a folder, with all folders below it, or a list of images. The same images
            are taken every time: evenly spaced in the list, or in the order of their
            paths, so that no class is left out.
        count: how many; all if there are fewer. An image that cannot be decoded is left
            out with a warning.

    Returns:
        Arrays (1, C, H, W) float32, normalized, all of one shape.

    Raises:
        UnknownOption: no images are given.
        DatasetNotFound: the folder does not exist.
        BadImage: no image can be decoded, or their sizes differ and the test pipeline
            does not resize them.
    """
    if source is None or (isinstance(source, list | tuple) and not source):
        raise UnknownOption('int8 needs real images for calibration: give calib (--calib DIR), a '
                            'folder of images like those that the network will see')
    is_folder = isinstance(source, str | os.PathLike)
    paths = _evenly(_images_below(Path(source)) if is_folder else source, count)
    where = f'folder {source}' if is_folder else 'the list'
    prepare = ImagePipeline(model)
    batches: list[np.ndarray] = []
    for path in paths:
        try:
            sample = prepare(path)
        except BadImage as error:
            print_log(f'calibration leaves out an image: {error}', 'current', logging.WARNING)
            continue
        batch = model.data_preprocessor(default_collate([sample]), training=False)
        images = batch['inputs'].float().cpu().numpy()
        if batches and images.shape != batches[0].shape:
            width, height = batches[0].shape[:1:-1]
            raise BadImage(f'calibration image {path} is {images.shape[3]} x {images.shape[2]}, '
                           f'those before are {width} x {height}, and the test pipeline does not '
                           'resize them')
        batches.append(images)
    if not batches:
        raise BadImage(f'none of the {len(paths)} calibration images in {where} can be decoded')
    if len(batches) < count and is_folder:
        print_log(f'calibration uses {len(batches)} images, {count} were asked for: {where} has '
                  'no others', 'current', logging.WARNING)
    return batches


def one_at_a_time(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield images (1, C, H, W), because ranges must not depend on the batch size."""
    for batch in batches:
        for number in range(len(batch)):
            yield np.ascontiguousarray(batch[number:number + 1], np.float32)


def _images_below(folder: Path) -> list[Path]:
    if not os.path.isdir(folder):
        raise DatasetNotFound(f'calibration folder {printable(folder)} is not there; give --calib '
                              'a folder of images like those that the network will see')
    found = sorted(folder / name for name in image_files(folder))
    if not found:
        raise BadImage(f'calibration folder {folder} has no image in it; expected files ending in '
                       f'{", ".join(sorted(IMAGE_SUFFIXES))}')
    return found


def _evenly(paths: list[ImageInput], count: int) -> list[ImageInput]:
    """Return `count` of the paths: the middle one in each of `count` equal parts."""
    if len(paths) <= count:
        return paths
    return [paths[int((number + 0.5) * len(paths) / count)] for number in range(count)]
