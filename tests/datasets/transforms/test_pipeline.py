from copy import deepcopy

import mmcv
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS

from mmconvmixer.datasets import faster_pipeline
from mmconvmixer.datasets.transforms import resampling
from mmconvmixer.zoo.config import load_config

LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackInputs')
RESIZE = dict(type='ResizeEdge', scale=40, edge='short', backend='pillow',
              interpolation='bicubic')
CROP = dict(type='CenterCrop', crop_size=32)
FASTER = dict(type='ResizeCenterCrop', scale=40, crop_size=32, backend='pillow',
              interpolation='bicubic')

needs_numba = pytest.mark.skipif(not resampling.is_available(), reason='Numba is not installed')


@needs_numba
@pytest.mark.parametrize('before, after', [
    ([LOAD, RESIZE, CROP, PACK], [LOAD, FASTER, PACK]),
    ([LOAD, dict(RESIZE, type='mmpretrain.ResizeEdge'), dict(CROP, type='mmcv.CenterCrop'), PACK],
     [LOAD, FASTER, PACK]),
    ([dict(type='ResizeEdge', scale=40, backend='pillow'), dict(CROP, crop_size=(32, 24))],
     [dict(FASTER, crop_size=(32, 24), interpolation='bilinear')])])
def test_resize_and_crop_become_one_step(before, after):
    kept = deepcopy(before)
    assert faster_pipeline(before) == after
    assert before == kept


@pytest.mark.parametrize('steps', [
    [], [LOAD, PACK], [RESIZE, PACK, CROP], [CROP, RESIZE],
    [dict(RESIZE, edge='long'), CROP], [dict(RESIZE, backend='cv2'), CROP],
    [dict(RESIZE, interpolation='lanczos'), CROP],
    [dict(type='ResizeEdge', scale=40), CROP], [RESIZE, dict(CROP, auto_pad=True)],
    [dict(type='Resize', scale=40, backend='pillow'), CROP]])
def test_every_other_pipeline_is_kept(steps):
    made = faster_pipeline(steps)
    assert made == steps
    assert not any(one is other for one, other in zip(made, steps, strict=True))


def test_without_numba_every_pipeline_is_kept(monkeypatch):
    monkeypatch.setattr('mmconvmixer.datasets.transforms.pipeline.is_available', lambda: False)
    assert faster_pipeline([LOAD, RESIZE, CROP, PACK]) == [LOAD, RESIZE, CROP, PACK]


@pytest.mark.parametrize('model', [
    'convmixer-768-32_3rdparty_in1k', 'mlp-mixer-base-p16_3rdparty_64xb64_in1k'])
def test_the_samples_of_a_zoo_model_are_the_same(model, tmp_path):
    path = str(tmp_path / 'image.jpg')
    mmcv.imwrite(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8), path)
    steps = load_config(model).test_dataloader.dataset.pipeline
    expected, made = (
        Compose([TRANSFORMS.build(dict(step)) for step in pipeline])(
            dict(img_path=path, gt_label=3, sample_idx=7))
        for pipeline in (steps, faster_pipeline(steps)))
    assert made['inputs'].equal(expected['inputs'])
    one, other = made['data_samples'], expected['data_samples']
    assert one.gt_label.equal(other.gt_label)
    assert one.metainfo == other.metainfo
