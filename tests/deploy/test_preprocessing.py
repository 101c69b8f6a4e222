"""A config's test pipeline in numbers."""
from dataclasses import replace

import numpy as np
import pytest

from mmconvmixer import get_model
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.errors import BadConfig
from mmconvmixer.zoo.config import load_config


def with_pipeline(*steps, **options):
    config = load_config('convmixer-128-4_cifar10')
    load, *_, pack = config.test_dataloader.dataset.pipeline
    config.test_dataloader.dataset.pipeline = [load, *steps, pack]
    return preprocessing_of(get_model(config), **options)


def test_the_imagenet_pipeline_is_the_papers():
    found = preprocessing_of(get_model('convmixer-768-32_3rdparty_in1k', backbone=dict(
        arch='8/1-p7-k3'), head=dict(in_channels=8)))
    assert found.image_size == (224, 224)
    assert (found.resize, found.resize_to) == ('short', (233, 233))
    assert (found.interpolation, found.antialias) == ('bicubic', True)
    assert found.mean == (123.675, 116.28, 103.53)
    assert found.std == (58.395, 57.12, 57.375)
    assert (found.channels, found.in_channels) == ('RGB', 3)


def test_normalized_images_become_the_pixels_that_they_were():
    preprocessing = with_pipeline(image_size=4)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4)).astype(np.uint8)
    mean, std = (np.array(values)[:, None, None] for values in (preprocessing.mean,
                                                                 preprocessing.std))
    images = ((pixels - mean) / std).astype(np.float32)
    np.testing.assert_array_equal(preprocessing.pixels_of(images), pixels)
    assert preprocessing.pixels_of(images + 9).max() == 255


def test_gray_images_and_opencv_resizing_are_read():
    found = preprocessing_of(get_model('convmixer-64-4_digits'))
    assert (found.channels, found.in_channels, found.image_size) == ('GRAY', 1, (8, 8))
    assert (found.resize, found.interpolation, found.antialias) == ('exact', 'area', True)
    found = with_pipeline(dict(type='Resize', scale=(40, 30)))
    assert (found.image_size, found.resize_to) == ((30, 40), (30, 40))  # from (width, height)
    assert (found.interpolation, found.antialias) == ('bilinear', False)


def test_resizing_and_cropping_in_one_step_or_two_are_the_same():
    how = dict(backend='pillow', interpolation='bicubic')
    two = with_pipeline(dict(type='ResizeEdge', scale=36, edge='short', **how),
                        dict(type='CenterCrop', crop_size=32))
    assert two == with_pipeline(dict(type='ResizeCenterCrop', scale=36, crop_size=32, **how))


def test_another_size_keeps_the_margin_in_proportion():
    steps = (dict(type='ResizeEdge', scale=36, edge='short'),
             dict(type='CenterCrop', crop_size=32))
    plain, larger = with_pipeline(*steps), with_pipeline(*steps, image_size=64)
    assert larger == replace(plain, image_size=(64, 64), resize_to=(72, 72))


def test_a_pipeline_without_a_size_needs_one():
    with pytest.raises(BadConfig, match='give image_size'):
        with_pipeline()
    assert with_pipeline(image_size=48).image_size == (48, 48)
    assert with_pipeline(image_size=48).resize == 'none'


@pytest.mark.parametrize('steps', [
    [dict(type='CenterCrop', crop_size=30), dict(type='Resize', scale=(32, 32))],
    [dict(type='Resize', scale=(8, 8)), dict(type='Resize', scale=(32, 32))],
    [dict(type='ResizeEdge', scale=30, edge='short'), dict(type='CenterCrop', crop_size=32)],
    [dict(type='RandomFlip', prob=0.5)],
])
def test_steps_that_numbers_cannot_express_are_refused(steps):
    with pytest.raises(BadConfig, match='the test pipeline'):
        with_pipeline(*steps)


def test_a_model_without_a_config_is_an_error():
    model = get_model('convmixer-64-4_digits')
    del model._config
    with pytest.raises(BadConfig, match=r'build the model with get_model'):
        preprocessing_of(model)


def test_a_network_for_four_channels_cannot_be_expressed():
    config = load_config('convmixer-128-4_cifar10')
    config.model.backbone.in_channels = 4
    config.data_preprocessor = dict(type='ClsDataPreprocessor', mean=[120.] * 4, std=[60.] * 4)
    config.test_dataloader.dataset.pipeline[0].color_type = 'unchanged'
    with pytest.raises(BadConfig, match='takes 4 channels and .* 4 means, but .* with 3'):
        preprocessing_of(get_model(config))
