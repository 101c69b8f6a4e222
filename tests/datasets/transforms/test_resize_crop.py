import pickle

import mmcv
import numpy as np
import pytest
from mmcv.transforms import CenterCrop
from mmpretrain.datasets import PackInputs
from mmpretrain.datasets.transforms import ResizeEdge
from PIL import Image

from mmconvmixer.datasets import ResizeCenterCrop
from mmconvmixer.datasets.transforms import resampling

needs_numba = pytest.mark.skipif(not resampling.is_available(), reason='Numba is not installed')


def image(height, width, channels=3, seed=0):
    """Make noise, with black and white pixels that provoke overshoot."""
    generator = np.random.default_rng(seed)
    img = generator.integers(0, 256, (height, width, channels), np.uint8)
    img[generator.random((height, width)) < 0.2] = 0
    img[generator.random((height, width)) < 0.2] = 255
    return img[..., 0] if channels == 1 else img


def compare(img, scale, crop_size, interpolation='bicubic', backend='pillow'):
    """Compare all results with those of the two transforms; return `img`."""
    expected = CenterCrop(crop_size)(
        ResizeEdge(scale, 'short', backend, interpolation)(dict(img=img, img_path='a')))
    results = ResizeCenterCrop(scale, crop_size, backend, interpolation)(
        dict(img=img.copy(), img_path='a'))
    made, truth = results.pop('img'), expected.pop('img')
    assert results == expected
    assert made.dtype == truth.dtype
    np.testing.assert_array_equal(made, truth)
    return made


def compare_fast(*args):
    """`compare` without the two transforms to fall back on."""
    def alone(self, results, transform=ResizeCenterCrop.transform):
        self.pair = None
        return transform(self, results)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResizeCenterCrop, 'transform', alone)
        return compare(*args)


SIZES = [(256, 341), (341, 256), (256, 256), (375, 500), (500, 333), (257, 259), (233, 310),
         (97, 61), (2, 3), (1, 1), (1, 7), (5, 1), (200, 800), (800, 200), (1000, 250),
         (1200, 1500), (112, 112), (466, 466)]


@needs_numba
@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('height, width', SIZES)
def test_the_pixels_equal_those_of_resize_and_crop(height, width, channels, interpolation):
    made = compare_fast(image(height, width, channels), 233, 224, interpolation)
    assert made.shape == (224, 224, 3)[:2 if channels == 1 else 3]


@needs_numba
def test_any_size_scale_and_crop():
    generator = np.random.default_rng(1)
    for seed in range(150):
        height, width, scale, crop_width, crop_height = (
            int(2**generator.uniform(0, 8)) for _ in range(5))
        compare_fast(image(height, width, seed % 2 * 2 + 1, seed), scale,
                     (crop_width, crop_height), ('bilinear', 'bicubic')[seed % 4 // 2])


@needs_numba
@pytest.mark.parametrize('scale, interpolation', [(233, 'bicubic'), (256, 'bilinear')])
def test_all_real_images(real_data, scale, interpolation):
    paths = sorted(real_data('imagenet-sample').glob('*.JPEG'))
    assert len(paths) == 1000
    for path in paths:
        compare_fast(mmcv.imread(path), scale, 224, interpolation)


@pytest.mark.parametrize('backend, interpolation', [
    ('pillow', 'nearest'), ('pillow', 'box'), ('pillow', 'hamming'), ('pillow', 'lanczos'),
    ('cv2', 'bilinear'), ('cv2', 'bicubic'), ('cv2', 'area')])
def test_other_backends_and_interpolations_use_the_two_transforms(backend, interpolation):
    compare(image(61, 97), 40, 32, interpolation, backend)


def test_float_images_and_more_channels_use_the_two_transforms():
    compare(image(61, 97).astype(np.float32), 40, 32, 'bilinear', 'cv2')
    compare(image(61, 97, 4), 40, 32)
    with pytest.raises(AssertionError, match='uint8'):  # ResizeEdge's error
        ResizeCenterCrop(40, 32, 'pillow')(dict(img=image(61, 97).astype(np.float32)))


def test_annotations_are_cropped_as_by_centercrop():
    boxes = np.array([[10., 5., 60., 40.]])
    expected, results = (
        transform(dict(img=image(61, 97), gt_bboxes=boxes.copy()))
        for transform in (lambda it: CenterCrop(32)(ResizeEdge(40, backend='pillow')(it)),
                          ResizeCenterCrop(40, 32, 'pillow')))
    np.testing.assert_array_equal(results['gt_bboxes'], expected['gt_bboxes'])
    np.testing.assert_array_equal(results['img'], expected['img'])


def test_without_numba_the_two_transforms_are_used(monkeypatch):
    monkeypatch.setattr('mmconvmixer.datasets.transforms.resize_crop.is_available', lambda: False)
    monkeypatch.setattr('mmconvmixer.datasets.transforms.resize_crop.resize_part', None)
    compare(image(61, 97), 40, 32)


@needs_numba
def test_with_another_pillow_the_two_transforms_are_used(monkeypatch):
    """Pillow-SIMD keeps fewer bits of the weights."""
    resize = Image.Image.resize

    def rounded_otherwise(self, *args):
        return resize(self, *args).point(lambda value: max(value - 1, 0))
    monkeypatch.setattr(Image.Image, 'resize', rounded_otherwise)
    resampling.pillow_order.cache_clear()
    try:
        assert resampling.pillow_order('bicubic') is None
        compare(image(61, 97), 40, 32)
    finally:
        resampling.pillow_order.cache_clear()


@needs_numba
@pytest.mark.parametrize('height, width, resized', [
    (341, 256, (233, 310)), (600, 200, (233, 699)), (600, 300, (100, 200))])
def test_a_pillow_that_resizes_the_width_first_is_followed(height, width, resized, monkeypatch):
    """As before Pillow 13. Resizing one axis after the other enforces that order."""
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, 'resize', lambda self, size, filter: resize(
        resize(self, (size[0], self.height), filter), size, filter))
    resampling.pillow_order.cache_clear()
    try:
        compare_fast(image(height, width), min(resized), 64)
    finally:
        resampling.pillow_order.cache_clear()


@needs_numba
def test_packing_needs_no_copy():
    img = ResizeCenterCrop(40, 32, 'pillow')(dict(img=image(61, 97)))['img']
    packed = PackInputs()(dict(img=img))['inputs']
    assert packed.shape == (3, 32, 32)
    assert packed.data_ptr() == img.ctypes.data


def test_it_can_be_sent_to_other_processes():
    transform = ResizeCenterCrop(40, 32, 'pillow', 'bicubic')
    copy = pickle.loads(pickle.dumps(transform))
    assert repr(copy) == repr(transform)
    img = image(61, 97)
    np.testing.assert_array_equal(copy(dict(img=img))['img'], transform(dict(img=img))['img'])
