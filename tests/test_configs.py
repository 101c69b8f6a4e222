"""The configs have the published recipes, number by number, and every config builds."""
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS
from mmpretrain.visualization import UniversalVisualizer

from mmconvmixer import get_model, zoo
from mmconvmixer.errors import BadConfig
from mmconvmixer.zoo.config import load_config

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


def test_the_train_pipeline_runs_on_an_image(cfg):
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


CIFAR = zoo.package_root() / 'configs/convmixer'


def transforms_of(cfg):
    return [(step.type, {key: value for key, value in step.items() if key != 'type'})
            for step in cfg.data_preprocessor.transforms]


@pytest.mark.parametrize('name', ['256-8_cifar10', '256-8_cifar100'])
def test_25_epochs_have_the_official_scripts_settings(name):
    """--lr-max=0.05 --ra-n=2 --ra-m=12 --wd=0.005 --scale=1.0 --jitter=0 --reprob=0"""
    cfg = load_config(CIFAR / f'convmixer-{name}.py')
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=0.05, weight_decay=0.005)
    assert cfg.train_dataloader.batch_size == 512 and cfg.train_cfg.max_epochs == 25
    assert transforms_of(cfg) == [('BatchRandomFlip', dict(prob=0.5)),
                                  ('BatchRandAugment', dict(num_ops=2, magnitude=12))]


def test_100_epochs_have_the_official_scripts_settings():
    """The same with --jitter=0.2 --reprob=0.2 --epochs=100"""
    cfg = load_config(CIFAR / 'convmixer-256-8_cifar10_100e.py')
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.param_scheduler.epochs == [0, 40, 80, 100]
    assert transforms_of(cfg)[2:] == [('BatchColorJitter', dict(strength=0.2))]
    assert cfg.model.train_cfg.augments == dict(
        type='MixThenErase', augments=[], erase_prob=0.2, area=(0.02, 0.33), fill='zero')


def test_200_epochs_have_the_papers_imagenet_recipe_with_gentle_crops():
    cfg = load_config(CIFAR / 'convmixer-256-8-p1-k9_cifar10_200e.py')
    paper = load_config(CIFAR / 'convmixer-1024-20_10xb64_in1k.py')
    assert cfg.optim_wrapper == paper.optim_wrapper
    assert cfg.model.train_cfg == paper.model.train_cfg
    assert cfg.model.head.loss == paper.model.head.loss
    assert cfg.param_scheduler.epochs == [0, 80, 160, 200]
    _, crop, _, augment, _ = cfg.train_dataloader.dataset.pipeline
    assert crop.crop_ratio_range == (0.75, 1.0)
    paper_augment = paper.train_dataloader.dataset.pipeline[1].transforms[0][2]
    assert ({key: value for key, value in augment.items() if key != 'hparams'}
            == {key: value for key, value in paper_augment.items() if key != 'hparams'})


OFFICIAL_RATES = {0: .005, 4: .025, 9: .05, 10: .04525, 14: .02625, 19: .0025, 24: 0.}


def test_the_learning_rates_are_those_of_the_official_log():
    import torch

    from mmconvmixer.engine import PiecewiseLinearLR
    cfg = load_config(CIFAR / 'convmixer-256-8_cifar10.py')
    weights = [torch.zeros(1, requires_grad=True)]
    optimizer = torch.optim.SGD(weights, cfg.optim_wrapper.optimizer.lr)
    schedule = PiecewiseLinearLR(optimizer, cfg.param_scheduler.epochs,
                                 cfg.param_scheduler.factors, epoch_length=98)
    last = {}
    for iteration in range(25 * 98):
        last[iteration // 98] = optimizer.param_groups[0]['lr']
        optimizer.step()
        schedule.step()
    for epoch, rate in OFFICIAL_RATES.items():
        assert last[epoch] == pytest.approx(rate, abs=5e-7)


@pytest.mark.parametrize(('name', 'parameters'), [  # the sizes of the flax files
    ('mlp-mixer-base-p16_flax_in1k', 59_880_472),
    ('mlp-mixer-base-p16_flax-sam_in1k', 59_880_472),
    ('mlp-mixer-base-p32_flax-sam_in1k', 60_293_428),
    ('mlp-mixer-large-p16_flax_in1k', 208_196_168),
    ('mlp-mixer-base-p16_flax_in21k', 75_908_739),
    ('mlp-mixer-large-p16_flax_in21k', 229_560_243),
])
def test_mixers_have_the_sizes_and_the_numerics_of_the_flax_files(name, parameters):
    with torch.device('meta'):
        model = get_model(zoo.package_root() / f'configs/mlp_mixer/{name}.py')
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert {module.approximate for module in model.modules()
            if isinstance(module, torch.nn.GELU)} == {'tanh'}
    assert {module.eps for module in model.modules()
            if isinstance(module, torch.nn.LayerNorm)} == {1e-6}
    assert model._config.data_preprocessor.mean == [127.5] * 3
    assert model._config.data_preprocessor.std == [127.5] * 3


FLOWERS = ['convmixer/convmixer-768-32_flowers', 'mlp_mixer/mlp-mixer-base-p16_flowers']


@pytest.fixture(params=FLOWERS)
def flowers(request):
    return load_config(zoo.package_root() / f'configs/{request.param}.py')


def test_flowers_are_fine_tuned_by_the_collections_recipe(flowers):
    wrapper, schedule = flowers.optim_wrapper, flowers.param_scheduler
    assert wrapper.optimizer == dict(type='SGD', lr=0.03, momentum=0., weight_decay=0.)
    assert wrapper.clip_grad == dict(max_norm=1.0)
    assert schedule.start_factor * wrapper.optimizer.lr == pytest.approx(0.006)
    assert (schedule.warmup_iters, schedule.epochs, flowers.train_cfg.max_epochs) == (10, 8, 8)
    assert flowers.train_dataloader.batch_size == 64
    _, crop, flip, _ = flowers.train_dataloader.dataset.pipeline
    assert (crop.scale, crop.crop_ratio_range, flip.prob) == (224, (0.05, 1.0), 0.5)
    assert flowers.test_dataloader.dataset.pipeline[1].scale == (224, 224)
    assert flowers.new_head and flowers.load_from


def test_flowers_train_a_plain_network_with_five_classes(flowers):
    with torch.device('meta'):
        model = get_model(flowers)
    assert model.head.fc.out_features == flowers.data_preprocessor.num_classes == 5
    assert type(model.head.loss_module).__name__ == 'CrossEntropyLoss'
    assert model.data_preprocessor.batch_augments is None
    parts = [flowers[f'{name}_dataloader'].dataset.part for name in ('train', 'val', 'test')]
    assert parts == ['rest', 'held-out', 'held-out']


@pytest.mark.parametrize('name', [
    entry for entry in zoo.names() if '_flax' in entry and 'features' not in entry])
def test_the_mixers_images_are_resized_by_area_as_in_big_vision(name):
    """The means of 2 x 2 pixels: the short edge is halved."""
    image = np.random.default_rng(0).integers(0, 256, (512, 600, 3), dtype=np.uint8)
    pipeline = load_config(name).test_dataloader.dataset.pipeline
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        sample = dict(img=image)
        for transform in pipeline[1:-1]:  # between loading and packing
            sample = TRANSFORMS.build(transform)(sample)
    means = image.reshape(256, 2, 300, 2, 3).mean((1, 3))[16:-16, 38:-38]
    np.testing.assert_allclose(sample['img'], means, atol=0.51)


def test_the_mixers_images_are_scaled_as_in_flax(flowers):
    is_mixer = flowers.model.backbone.type == 'MlpMixer'
    assert (flowers.data_preprocessor.mean == [127.5] * 3) == is_mixer


def test_5000_images_of_cifar_100_start_from_this_projects_cifar_10_weights():
    cfg = load_config(CIFAR / 'convmixer-128-4_cifar100-5k_from-cifar10.py')
    whole = load_config(CIFAR / 'convmixer-128-4_cifar100.py')
    assert cfg.train_dataloader.dataset.dataset.per_class == 50
    assert 'per_class' not in cfg.test_dataloader.dataset
    assert cfg.new_head and zoo.find(cfg.load_from).weights
    assert cfg.model == whole.model and cfg.optim_wrapper == whole.optim_wrapper
    assert cfg.param_scheduler.epochs == [0, 12, 24, 30] and cfg.train_cfg.max_epochs == 30


ALL = sorted((zoo.package_root() / 'configs').glob('*/*.py'))


@pytest.mark.parametrize('path', [path for path in ALL if '_base_' not in path.parts],
                         ids=lambda path: path.stem)
def test_every_config_builds_its_network_and_has_a_docstring(path):
    with torch.device('meta'):
        model = get_model(path)
    if head := model._config.model.get('head'):
        assert head.num_classes == model._config.data_preprocessor.num_classes
    assert path.read_text().startswith('"""')


@pytest.mark.parametrize('size', ['base', 'large'])
def test_mixers_with_21843_classes_do_not_get_the_names_of_1000(size):
    with torch.device('meta'):
        model = get_model(f'mlp-mixer-{size}-p16_flax_in21k')
    assert model.head.fc.out_features == 21_843
    assert not (model._dataset_meta or {}).get('classes')
    assert model._config.test_evaluator is None  # tools/test.py reports this in one line


def test_mmpretrains_browse_dataset_can_build_the_visualizer(tmp_path, monkeypatch):
    """It passes the config's keys as arguments, with no folder."""
    monkeypatch.chdir(tmp_path)
    cfg = load_config('convmixer-64-4_digits')
    assert cfg.visualizer.pop('type') == 'UniversalVisualizer'
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        visualizer = UniversalVisualizer(**cfg.visualizer)
    visualizer.get_backend('CSVVisBackend').add_scalars(dict(loss=1.), step=1)
    assert not list(tmp_path.iterdir())
