"""Resize and crop test images as those that a checkpoint's accuracy was measured on."""
import logging
import math
import reprlib
from collections.abc import Mapping

from mmengine.logging import print_log
from mmengine.model import BaseModel

from mmconvmixer.errors import one_line

# Of mmcv with Pillow, and of timm under the same names.
INTERPOLATIONS = ('nearest', 'bilinear', 'bicubic', 'box', 'lanczos', 'hamming')
_RESIZING = ('Resize', 'ResizeEdge', 'CenterCrop', 'ResizeCenterCrop')


def use_resizing(model: BaseModel, meta: Mapping, source: str) -> None:
    """Let the model's config resize and crop test images as a file says, and log the change.

    Args:
        model: what mmpretrain's `get_model` returned; its own copy of the config is changed.
        meta: the checkpoint's; `checkpoints.hub_config` writes the key `resizing`.
        source: name of the checkpoint, for the log.
    """
    wanted = meta.get('resizing')
    if not isinstance(wanted, Mapping):
        return
    dataset = (model._config.get('test_dataloader') or {}).get('dataset')
    while isinstance(dataset, Mapping) and 'pipeline' not in dataset:  # e.g. InMemory
        dataset = dataset.get('dataset')
    if dataset is None:
        return
    problem = _problem(wanted)
    if problem:
        print_log(one_line(f'{source} says how images are resized, but {problem}; they are '
                           "resized as in the model's own config"), 'current', logging.WARNING)
        return
    own_size = getattr(getattr(model, 'backbone', None), 'img_size', None)  # an MLP-Mixer has one
    size = own_size or tuple(wanted['size'])
    steps = _steps(size, wanted)
    pipeline = [dict(step) for step in dataset.pipeline]
    old = [step for step in pipeline if _name(step) in _RESIZING]
    if old == steps:
        return
    place = pipeline.index(old[0]) if old else 1
    rest = [step for step in pipeline if step not in old]
    dataset.pipeline = rest[:place] + steps + rest[place:]
    print_log(f'{source} is for images that are resized to {_words(steps)}; the model\'s test '
              'pipeline now does so', 'current')


def _problem(wanted: Mapping) -> str:
    size, part, mode = wanted.get('size'), wanted.get('crop_pct'), wanted.get('crop_mode')
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(
            type(side) is int and 0 < side <= 10_000 for side in size):
        return f'input_size is {reprlib.repr(size)}, expected channels, height and width'
    if not isinstance(part, int | float) or not 0.05 <= part <= 20:
        return f'crop_pct is {reprlib.repr(part)}, expected a share such as 0.9'
    if mode not in ('center', 'squash') or mode == 'center' and size[0] != size[1]:
        return (f'crop_mode {reprlib.repr(mode)} with input_size {reprlib.repr(size)} is not '
                'supported')
    if wanted.get('interpolation') not in INTERPOLATIONS:
        return (f'interpolation is {reprlib.repr(wanted.get("interpolation"))}, expected one '
                f'of {", ".join(INTERPOLATIONS)}')
    return ''


def _steps(size: tuple[int, int], wanted: Mapping) -> list[dict]:
    """Return the transforms that do what timm's `transforms_imagenet_eval` does."""
    height, width = (math.floor(side / wanted['crop_pct']) for side in size)
    how = dict(backend='pillow', interpolation=wanted['interpolation'])
    if wanted['crop_mode'] == 'squash':
        resize = dict(type='Resize', scale=(width, height), **how)
    else:
        resize = dict(type='ResizeEdge', scale=height, edge='short', **how)
    crop = size[0] if size[0] == size[1] else (size[1], size[0])
    return [resize, dict(type='CenterCrop', crop_size=crop)]


def _words(steps: list[dict]) -> str:
    resize, crop = steps
    scale = resize['scale']
    edge = (f'{scale[0]} x {scale[1]}' if isinstance(scale, tuple) else
            f'{scale} at the short edge')
    return f'{edge} ({resize["interpolation"]}) and cropped to {crop["crop_size"]}'


def _name(step: dict) -> str:
    kind = step.get('type', '')
    return kind.split('.')[-1] if isinstance(kind, str) else getattr(kind, '__name__', '')
