"""What a training pipeline does to images, step by step."""
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import TRANSFORMS
from mmpretrain.structures import DataSample
from torch import Tensor

from mmconvmixer.datasets.image_forms import ImageInput
from mmconvmixer.datasets.image_input import ImagePipeline
from mmconvmixer.datasets.parts_of_config import only_pipeline
from mmconvmixer.engine.random_state import random_state, set_random_state
from mmconvmixer.errors import BadConfig, BadImage, UnknownOption
from mmconvmixer.visualization.inputs import as_pixels
from mmconvmixer.visualization.save import add_title, literal, new_figure
from mmconvmixer.zoo import get_model, require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 24
CELL = 1.7  # inches of an image
# Steps that change how an image is stored, and not what is seen.
_CONVERSIONS = ('NumpyToPIL', 'PILToNumpy', 'PackInputs')

Stage = tuple[str, list[np.ndarray]]


def plot_augment(config: Config, images: Sequence[ImageInput], rows: int = 6, seed: int = 0,
                 name: str = 'network') -> 'Figure':
    """Draw images before training and after each step of its pipeline, one draw in each row.

    Args:
        config: of a training.
        images: see `mmconvmixer.Predictor`. The rows take turns with them.
        rows: how many random draws to show, at most 24.
        seed: of the draws.
        name: what the title calls the config.

    Raises:
        UnknownOption: `rows` is out of range.
        BadConfig: the config does not train.
        BadImage: an image can't be read, or images differ in size after the pipeline.
    """
    stages = augmentation_stages(config, images, rows, seed)
    figure = new_figure(CELL * len(stages) + 0.2, CELL * rows + 0.8)
    grid = figure.subplots(rows, len(stages), squeeze=False)
    for column, (title, drawn) in zip(grid.T, stages, strict=True):
        column[0].set_title(title, fontsize=10)
        for axes, pixels in zip(column, drawn, strict=True):
            axes.imshow(pixels, interpolation='nearest')
            axes.set_axis_off()
    add_title(figure, f'{literal(name)}: what training does to images')
    return figure


def augmentation_stages(config: Config, images: Sequence[ImageInput], rows: int, seed: int
                        ) -> list[Stage]:
    """Return a title and `rows` images (H, W, 3) uint8 RGB for each step, the original first.

    Steps on single images come first, then those on batches, and mixing and erasing at last,
    which work on normalized images.
    """
    if not 1 <= rows <= MOST_ROWS:
        raise UnknownOption(f'rows (--rows) is {rows}, but one figure has room for 1 to '
                            f'{MOST_ROWS}')
    require(config, 'train_dataloader', 'model')
    load, *steps = only_pipeline(config.train_dataloader.dataset, 'the training set')
    with _random_state_kept():
        model = get_model(config)
        as_tested = ImagePipeline(model)
        loaded = ImagePipeline(model, [load, dict(type='PackInputs')])
        originals = [_of_fitting_size(loaded(image)['inputs'], as_tested(image)['inputs'], steps)
                     for image in images]
        set_random_seed(seed)
        batch = [originals[row % len(originals)] for row in range(rows)]
        stages, packed = _steps_on_images(steps, batch)
        if len({tuple(image.shape) for image in packed}) > 1:
            sizes = ', '.join(f'{image.shape[1]} x {image.shape[2]}' for image in packed[:4])
            raise BadImage(f'the images differ in size after the training pipeline: {sizes}; give '
                           'images of one size')
        stages += _steps_on_batches(model.data_preprocessor, torch.stack(packed))
    return [('image', [as_pixels(image) for image in batch]), *stages]


def _of_fitting_size(loaded: Tensor, as_tested: Tensor, steps: list[dict]) -> Tensor:
    """Return an image (C, H, W) of a size that the pipeline is made for.

    Where no step of the training pipeline changes the size, as for CIFAR, that is the size of
    the images in the data set, which the test pipeline gives to others.
    """
    _, (trained,) = _steps_on_images(steps, [loaded])
    keeps = trained.shape == loaded.shape != as_tested.shape
    return as_tested if keeps else loaded


def _steps_on_images(steps: list[dict], images: list[Tensor]) -> tuple[list[Stage], list[Tensor]]:
    """Return the stages of steps on single images, and the images (C, H, W) that come out."""
    samples: list[dict[str, Any]] = [
        dict(img=_as_array(image), img_shape=image.shape[1:], ori_shape=image.shape[1:],
             gt_label=0) for image in images]
    stages, in_rgb = [], False
    for step in steps:
        kind = _kind(step)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            transform = TRANSFORMS.build(dict(step))
        samples = [transform(sample) for sample in samples]
        if any(sample is None for sample in samples):
            raise BadConfig(f'{kind} of the training pipeline returned None for an image')
        if step.get('to_rgb') or step.get('to_bgr'):
            in_rgb = kind == 'NumpyToPIL'
        if kind not in _CONVERSIONS:
            stages.append((_title(step, kind), [_seen(sample['img'], in_rgb)
                                                for sample in samples]))
    if not all(isinstance(sample.get('inputs'), Tensor) for sample in samples):
        raise BadConfig('the training pipeline does not end with PackInputs')
    return stages, [sample['inputs'] for sample in samples]


def _steps_on_batches(preprocessor: ClsDataPreprocessor, images: Tensor) -> list[Stage]:
    """Return the stages of steps on a batch (N, C, H, W)."""
    stages, flips = [], preprocessor.to_rgb and images.shape[1] == 3
    for transform in getattr(preprocessor, 'transforms', ()):
        images = transform(images.flip(1) if flips else images)
        images = images.flip(1) if flips else images
        stages.append((type(transform).__name__, [as_pixels(image.clamp(0, 255).to(torch.uint8))
                                                  for image in images]))
    if preprocessor.batch_augments is not None:
        names = [type(each).__name__ for each in preprocessor.batch_augments.augments if each]
        classes = preprocessor.num_classes or len(images)
        data = dict(inputs=images, data_samples=[
            DataSample().set_gt_label(row % classes) for row in range(len(images))])
        # Not that of BatchPreprocessor, which would apply the transforms again.
        mixed = ClsDataPreprocessor.forward(preprocessor, data, training=True)['inputs']
        if hasattr(preprocessor, 'mean'):
            mixed = mixed * preprocessor.std + preprocessor.mean
        mixed = mixed.flip(1) if flips else mixed
        stages.append((' or\n'.join(names), [as_pixels(image.round().clamp(0, 255).to(
            torch.uint8)) for image in mixed]))
    return stages


def _as_array(image: Tensor) -> np.ndarray:
    """Return an image as `LoadImage` does: (H, W) or (H, W, C)."""
    array = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    return array[..., 0] if array.shape[2] == 1 else array


def _seen(image: Any, in_rgb: bool) -> np.ndarray:
    pixels = np.array(image).astype(np.uint8)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels[..., :3] if in_rgb and pixels.shape[2] > 1 else as_pixels(
        torch.from_numpy(pixels).permute(2, 0, 1))


def _kind(step: dict) -> str:
    """Return the name of a transform without its scope; its type may be a class."""
    kind = step['type']
    return kind.split('/')[-1].split('.')[-1] if isinstance(kind, str) else kind.__name__


def _title(step: dict, kind: str) -> str:
    """Return the name of a step, and of those that it chooses from."""
    inner = [_kind(each) for branch in step.get('transforms', ())
             for each in (branch if isinstance(branch, list | tuple) else [branch])]
    return '\n'.join([kind, *dict.fromkeys(inner)])


@contextmanager
def _random_state_kept() -> Iterator[None]:
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)
