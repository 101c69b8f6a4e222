"""How a network's images are prepared, in numbers that an exported file can state.

They are read from a config's test pipeline, so exports do what `tools/test.py` does.
"""
from dataclasses import asdict, dataclass, replace

import numpy as np
from torch import nn

from mmconvmixer.datasets.image_input import test_dataset_of
from mmconvmixer.datasets.image_shape import in_channels_of
from mmconvmixer.errors import BadConfig


@dataclass(frozen=True)
class Preprocessing:
    """Load, resize, center crop, normalize.

    Attributes:
        image_size: (height, width) of the network's input in pixels.
        resize: 'short': the short edge becomes `resize_to[0]` pixels, the long one in
            proportion, rounded down; 'exact': the image becomes `resize_to`; 'none':
            the image keeps its size.
        resize_to: (height, width) in pixels.
        interpolation: 'bicubic', 'bilinear', 'area', 'nearest' or 'lanczos'.
        antialias: average over all pixels that become one, as Pillow does; cv2 does so
            for 'area' only.
        mean, std: one for each channel, in 0..255.
        channels: order of the network's input channels, 'RGB', 'BGR' or 'GRAY'.
    """
    image_size: tuple[int, int]
    resize: str
    resize_to: tuple[int, int]
    interpolation: str
    antialias: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: str

    @property
    def in_channels(self) -> int:
        """Number of channels."""
        return len(self.channels) if self.channels != 'GRAY' else 1

    def as_dict(self) -> dict:
        """Return the attributes by name."""
        return asdict(self)

    def pipeline(self) -> list[dict]:
        """Return the mmpretrain transforms that do the same, without the normalization."""
        height, width = self.resize_to
        how = dict(interpolation=self.interpolation, backend='pillow' if (
            self.antialias and self.interpolation != 'area') else 'cv2')
        steps = dict(none=[], exact=[dict(type='Resize', scale=(width, height), **how)],
                     short=[dict(type='ResizeEdge', scale=height, edge='short', **how)])
        height, width = self.image_size
        return [dict(type='LoadImage',
                     color_type='grayscale' if self.channels == 'GRAY' else 'color'),
                *steps[self.resize], dict(type='CenterCrop', crop_size=(width, height)),
                dict(type='PackInputs')]

    def pixels_of(self, images: np.ndarray) -> np.ndarray:
        """Return normalized images (..., C, H, W) as the pixels uint8 that they were."""
        mean, std = (np.array(values, np.float32)[:, None, None]
                     for values in (self.mean, self.std))
        return np.rint(images * std + mean).clip(0, 255).astype(np.uint8)

    def at(self, image_size: int) -> 'Preprocessing':
        """Return the same for another image size in pixels, with the margin in proportion."""
        ratio = [image_size / edge for edge in self.image_size]
        return replace(self, image_size=(image_size, image_size), resize_to=tuple(
            round(edge * factor) for edge, factor in zip(self.resize_to, ratio, strict=True)))


def preprocessing_of(model: nn.Module, image_size: int | None = None) -> Preprocessing:
    """Return how a model's config prepares a test image.

    Args:
        model: what `get_model` returned.
        image_size: height and width of the network's input in pixels. Default: the
            config's. For another size, the edge before the crop grows in proportion.

    Raises:
        BadConfig: the config has no test pipeline, or one with other steps than
            `Preprocessing` has, or neither it nor `image_size` sets the size.
    """
    size, resizing = None, dict(resize='none', interpolation='bilinear', antialias=False)
    gray = False
    expected = ['load', 'resize', 'crop']  # in this order, each at most once
    for step in test_dataset_of(model).pipeline:
        name = step['type'].split('.')[-1]
        if name == 'PackInputs':
            continue
        if name in ('LoadImageFromFile', 'LoadImage') and 'load' in expected:
            gray = step.get('color_type') == 'grayscale'
            expected = expected[1:]
        elif name == 'ResizeCenterCrop' and 'resize' in expected:
            resizing = dict(resize='short', resize_to=(step['scale'], step['scale']),
                            **_interpolation(step))
            size, expected = _height_and_width(step['crop_size']), []
        elif name == 'ResizeEdge' and step.get('edge', 'short') == 'short' and (
                'resize' in expected):
            resizing = dict(resize='short', resize_to=(step['scale'], step['scale']),
                            **_interpolation(step))
            expected = ['crop']
        elif name == 'Resize' and not step.get('keep_ratio') and step.get('scale') and (
                'resize' in expected):
            size = _height_and_width(step['scale'])
            resizing = dict(resize='exact', resize_to=size, **_interpolation(step))
            expected = ['crop']
        elif name == 'CenterCrop' and not step.get('auto_pad') and 'crop' in expected:
            size, expected = _height_and_width(step['crop_size']), []
        else:
            raise BadConfig(f'the test pipeline has {step["type"]} where an exported file cannot '
                            'express it; expected load, ResizeEdge (short) or Resize, CenterCrop, '
                            'PackInputs')
    if size and resizing['resize'] != 'none' and min(
            large - small for large, small in zip(resizing['resize_to'], size, strict=True)) < 0:
        raise BadConfig(f'the test pipeline crops {size} from images that are smaller, '
                        f'{resizing["resize_to"]}')
    normalizer = model.data_preprocessor
    mean, std = ([float(f'{value:.7g}') for value in getattr(normalizer, name).flatten()]
                 if normalizer._enable_normalize else [default] * (1 if gray else 3)
                 for name, default in (('mean', 0.), ('std', 1.)))
    if getattr(normalizer, 'pad_size_divisor', 1) > 1:
        raise BadConfig('the data_preprocessor pads images, which an exported file cannot '
                        'express')
    in_channels = 1 if gray else 3
    taken = in_channels_of(model)
    if taken not in (None, in_channels) or not {len(mean), len(std)} <= {1, in_channels}:
        raise BadConfig(f'the network takes {taken} channels and the data_preprocessor has '
                        f'{len(mean)} means, but an exported file prepares images with '
                        f'{in_channels} (gray 1, color 3); only such networks can be exported')
    mean, std = (values * in_channels if len(values) == 1 else values for values in (mean, std))
    if size is None and image_size is None:
        raise BadConfig('the test pipeline takes images of any size; give image_size '
                        '(--image-size), the height and width for the export')
    size = size or (image_size, image_size)
    found = Preprocessing(image_size=size, mean=tuple(mean), std=tuple(std),
                          channels='GRAY' if gray else 'RGB' if normalizer.to_rgb else 'BGR',
                          **{'resize_to': size, **resizing})
    return found if image_size is None or size == (image_size,) * 2 else found.at(image_size)


def _height_and_width(scale: int | tuple[int, int]) -> tuple[int, int]:
    """Return OpenMMLab's (width, height) in reverse order."""
    width, height = (scale, scale) if isinstance(scale, int) else scale
    return height, width


def _interpolation(step: dict) -> dict:
    name = step.get('interpolation', 'bilinear')
    return dict(interpolation=name, antialias=step.get('backend', 'cv2') == 'pillow'
                or name == 'area')
