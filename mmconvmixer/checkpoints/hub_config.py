"""What the `config.json` of a timm repository says about its weights.

timm saves beside the weights how images were prepared and what the classes are called. Its
defaults fill what is left out, as in `timm.data.resolve_data_config`.
"""
import json
import logging
from collections.abc import Mapping
from numbers import Real
from pathlib import Path

from mmengine.logging import print_log

from mmconvmixer.errors import one_line

FILE = 'config.json'
_LARGEST = 16_000_000  # bytes; with descriptions of all classes of ImageNet-21k it has 3,000,000
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_KEYS = frozenset(('mean', 'std', 'input_size', 'interpolation', 'crop_pct'))


def hub_meta(folder: Path) -> dict:
    """Return what timm's config in a folder says, as a checkpoint's meta; {} without one.

    Returns:
        `normalization` (mean, std in 0..255, to_rgb), `resizing` (size (height, width),
        crop_pct, crop_mode, interpolation) and, if the classes have names, `dataset_meta`.
    """
    config = _read(folder / FILE)
    timm = config.get('pretrained_cfg', config if 'architecture' in config else None)
    if not isinstance(timm, Mapping) or not _KEYS & timm.keys():
        return {}
    mean, std = timm.get('mean') or _MEAN, timm.get('std') or _STD
    size = timm.get('input_size') or (3, 224, 224)
    meta = dict(
        normalization=dict(mean=_times_255(mean), std=_times_255(std), to_rgb=True),
        resizing=dict(size=size[1:] if isinstance(size, list | tuple) else size,
                      crop_pct=timm.get('crop_pct') or 0.875,
                      crop_mode=timm.get('crop_mode') or 'center',
                      interpolation=timm.get('interpolation') or 'bicubic'))
    names = config.get('label_names', timm.get('label_names', timm.get('labels')))
    classes = config.get('num_classes', timm.get('num_classes'))
    if names and isinstance(names, list) and len(names) == classes:
        meta['dataset_meta'] = dict(classes=list(map(str, names)))
    elif names:
        _warn(f'{folder / FILE} has {len(names)} label_names for {classes} classes; they are not '
              'used')
    return meta


def _read(path: Path) -> dict:
    try:
        if not path.is_file():
            return {}
        if path.stat().st_size > _LARGEST:
            raise ValueError(f'it has more than {_LARGEST} bytes')
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        _warn(f'{path} says how images are prepared, but cannot be read ({error}); the images are '
              "prepared as in the model's own config")
        return {}
    return content if isinstance(content, dict) else {}


def _times_255(values: object) -> object:
    """Scale numbers; `normalization` checks them, and that these are numbers."""
    if not isinstance(values, list | tuple):
        return values
    return [value * 255 if isinstance(value, Real) else value for value in values]


def _warn(text: str) -> None:
    print_log(one_line(text), 'current', logging.WARNING)
