"""The paper's recipe in the ImageNet configs, number by number."""
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS

from mmconvmixer import zoo
from mmconvmixer.config import load_config
from mmconvmixer.errors import BadConfig

EPOCHS = {'768-32': 300, '1024-20': 150, '1536-20': 150}


@pytest.fixture(params=EPOCHS)
def variant(request):
    return request.param


@pytest.fixture
def cfg(variant):
    root = zoo.package_root() / 'configs/convmixer'
    return load_config(root / f'convmixer-{variant}_10xb64_in1k.py')


def test_optimizer(cfg):
    wrapper = cfg.optim_wrapper
    assert wrapper.type == 'AmpOptimWrapper'
    assert wrapper.optimizer == dict(type='AdamW', lr=0.01, betas=(0.9, 0.999), eps=1e-3,
                                     weight_decay=2e-5)
    assert wrapper.paramwise_cfg == dict(norm_decay_mult=0., bias_decay_mult=0.)
    assert wrapper.clip_grad == dict(max_norm=1.0)
    assert cfg.train_dataloader.batch_size * 10 == cfg.auto_scale_lr.base_batch_size == 640


def test_schedule(cfg, variant):
    epochs = EPOCHS[variant]
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.param_scheduler.epochs == [0, epochs * 2 // 5, epochs * 4 // 5, epochs]
    assert cfg.param_scheduler.factors == [0, 1, 1 / 20, 0]


def test_batch_augmentation_and_loss(cfg):
    augments = cfg.model.train_cfg.augments
    assert augments.augments == [dict(type='Mixup', alpha=0.5), dict(type='CutMix', alpha=0.5)]
    assert augments.erase_prob == 0.25
    assert cfg.model.head.loss.label_smooth_val == 0.1
    assert cfg.model.head.loss.mode == 'original'


def test_train_pipeline(cfg):
    load, choice, pack = cfg.train_dataloader.dataset.pipeline
    assert [load.type, choice.type, pack.type] == [
        'LoadImageFromFile', 'RandomChoice', 'PackInputs']
    assert [branch[0].interpolation for branch in choice.transforms] == ['bicubic', 'bilinear']
    for crop, flip, augment in choice.transforms:
        assert (crop.scale, crop.crop_ratio_range, flip.prob) == (224, (0.08, 1.0), 0.5)
        assert (augment.policies, augment.num_policies) == ('timm_increasing', 2)
        assert (augment.magnitude_level, augment.total_level, augment.magnitude_std) == (9, 10, .5)


def test_test_pipeline_is_mmpretrains(cfg):
    load, resize, crop, pack = cfg.test_dataloader.dataset.pipeline
    assert (resize.scale, resize.edge, resize.interpolation) == (233, 'short', 'bicubic')
    assert crop.crop_size == 224
    assert cfg.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert cfg.data_preprocessor.std == [58.395, 57.12, 57.375]


def test_only_768_32_uses_relu(cfg, variant):
    from mmconvmixer import get_model
    act = get_model(cfg).backbone.act
    assert type(act).__name__ == ('ReLU' if variant == '768-32' else 'GELU')


def test_the_train_pipeline_runs_on_a_picture(cfg):
    _, *steps = cfg.train_dataloader.dataset.pipeline
    sample = dict(img=np.random.default_rng(0).integers(0, 256, (260, 300, 3), dtype=np.uint8))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for step in steps:
            sample = TRANSFORMS.build(step)(sample)
    assert sample['inputs'].shape == (3, 224, 224)


def test_overrides_and_bad_files(tmp_path):
    cfg = load_config('convmixer-64-4_digits', {'train_cfg.max_epochs': 3})
    assert cfg.train_cfg.max_epochs == 3
    broken = tmp_path / 'broken.py'
    broken.write_text('model = dict(')
    with pytest.raises(BadConfig, match='broken.py'):
        load_config(broken)
    with pytest.raises(BadConfig, match='missing.py'):
        load_config('missing.py')
