import json
import shutil
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine import Config, MMLogger
from mmpretrain.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.config.data_loaders import fill_in
from mmconvmixer.datasets import InMemory, SkipUnreadable
from mmconvmixer.engine import Runner
from mmconvmixer.errors import BadConfig, BadImage, DatasetNotFound, EmptyDataset

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
COUNT = 24


@pytest.fixture
def logged(capsys):
    """Return a function that returns what was logged since the test began."""
    MMLogger._instance_dict.clear()  # loggers keep the closed stdout of the last test
    return lambda: ''.join(capsys.readouterr())


def write(folder):
    """Write 24 images of colored noise in 4 classes."""
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        path = folder / f'class{number % 4}/{number:02d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / 'data')


def config(folder):
    return dict(type='CustomDataset', data_root=str(folder), pipeline=PIPELINE,
                _scope_='mmpretrain')


def facts(sample):
    """Return pixels, label and path of a sample, to compare."""
    return (sample['inputs'].tolist(), sample['data_samples'].gt_label.tolist(),
            sample['data_samples'].img_path)


def batches(loader, epoch=0):
    loader.sampler.set_epoch(epoch)
    return [(batch['inputs'].tolist(),
             [sample.gt_label.tolist() for sample in batch['data_samples']],
             [sample.img_path for sample in batch['data_samples']]) for batch in loader]


@pytest.mark.parametrize('cfg', ['folder', dict(type='Digits', split='test', pipeline=[
    dict(type='LoadImage', color_type='grayscale'), PIPELINE[1]])], ids=['files', 'digits'])
def test_its_samples_equal_those_of_the_dataset(folder, cfg):
    cfg = config(folder) if cfg == 'folder' else cfg
    source = DATASETS.build(cfg)
    kept = DATASETS.build(dict(type='InMemory', dataset=cfg))
    assert type(kept) is InMemory
    assert len(kept) == len(source)
    assert kept.metainfo == source.metainfo
    assert kept.images.dtype == torch.uint8 and kept.labels.dtype == torch.int64
    for number in range(len(source)):
        assert facts(kept[number]) == facts(source[number])
        assert kept[number]['inputs'].dtype == source[number]['inputs'].dtype


def test_a_batch_is_its_samples_in_the_order_asked_for(folder):
    kept = InMemory(config(folder))
    numbers = [5, 0, 23, 5]
    batch = kept.__getitems__(numbers)
    assert batch['inputs'].shape == (4, 3, 8, 8)
    for image, sample, number in zip(batch['inputs'], batch['data_samples'], numbers,
                                     strict=True):
        assert facts(dict(inputs=image, data_samples=sample)) == facts(kept[number])
        assert sample.sample_idx == number


def test_changes_to_a_batch_do_not_change_the_kept_images(folder):
    kept = InMemory(config(folder))
    before = facts(kept[3])
    batch = kept.__getitems__([3, 4])
    batch['inputs'].zero_()
    batch['data_samples'][0].gt_label.fill_(77)
    one = kept[3]
    one['inputs'].zero_()
    assert facts(kept[3]) == before


def test_files_are_read_once(folder):
    kept = InMemory(config(folder))
    before = [facts(kept[number]) for number in range(COUNT)]
    shutil.rmtree(folder)
    assert [facts(kept[number]) for number in range(COUNT)] == before


@pytest.mark.parametrize('number', [0, 7, COUNT - 1])
@pytest.mark.parametrize('content', [b'', b'no image', None])
def test_unreadable_images_are_left_out_and_named_in_the_log(folder, logged, number, content):
    source = DATASETS.build(config(folder))
    paths = [source.get_data_info(index)['img_path'] for index in range(COUNT)]
    whole = [facts(source[index]) for index in range(COUNT)]
    bad = {paths[number], paths[10], paths[11]}
    for path in bad:
        with open(path, 'wb') as file:
            file.write(content or b'')
    kept = InMemory(config(folder))
    assert len(kept) == COUNT - 3
    assert [facts(kept[index]) for index in range(len(kept))] == [
        each for each in whole if each[2] not in bad]
    said = logged()
    assert '3 images could not be read' in said
    assert all(path in said for path in bad)
    assert paths[number - 1] not in said or paths[number - 1] in bad


def test_nothing_is_logged_for_a_folder_without_faults(folder, logged):
    InMemory(config(folder))
    assert 'could not be read' not in logged()


def test_on_request_an_error_names_the_path(folder):
    path = folder / 'class1/05.png'
    path.write_bytes(b'no image')
    with pytest.raises(BadImage, match=str(path)):
        InMemory(config(folder), on_unreadable='raise')


def test_a_folder_of_unreadable_images_is_empty(folder):
    for path in folder.rglob('*.png'):
        path.write_bytes(b'')
    with pytest.raises(EmptyDataset, match=f'none of {COUNT}'):
        InMemory(config(folder))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetNotFound, match=str(tmp_path / 'nowhere')):
        InMemory(config(tmp_path / 'nowhere'))


def test_there_are_two_choices(folder):
    with pytest.raises(ValueError, match="'skip' or 'raise'"):
        InMemory(config(folder), on_unreadable='ignore')


@pytest.mark.parametrize('size', [(9, 8), (8, 9)])
def test_an_image_of_another_size_is_named_and_refused(folder, size):
    path = folder / 'class2/10.png'
    Image.new('RGB', size).save(path)
    with pytest.raises(BadConfig, match='one size') as caught:
        InMemory(config(folder))
    assert str(path) in str(caught.value)
    assert f'(3, {size[1]}, {size[0]})' in str(caught.value)
    assert '(3, 8, 8)' in str(caught.value)
    resized = {**config(folder), 'pipeline': [
        PIPELINE[0], dict(type='Resize', scale=(8, 8)), PIPELINE[1]]}
    assert len(InMemory(resized)) == COUNT


# Loaders

@pytest.fixture
def runner(tmp_path):
    """Make a runner that only builds loaders."""
    def make(seed=3, **keys):
        return Runner(torch.nn.Linear(1, 1), str(tmp_path / 'run'), randomness=dict(seed=seed),
                      experiment_name=f'{tmp_path.name}-{seed}', cfg=keys,
                      default_scope='mmpretrain')
    return make


def loader_of(runner, dataset, seed=3, shuffle=True, **options):
    return runner.build_dataloader(dict(
        dataset=dataset, batch_size=5, num_workers=0,
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='DefaultSampler', shuffle=shuffle)) | options, seed=seed)


@pytest.mark.parametrize('options', [
    {}, dict(shuffle=False), dict(num_workers=2),
    dict(num_workers=2, persistent_workers=True), dict(drop_last=True),
    dict(num_batch_per_epoch=2)],
    ids=['plain', 'in order', 'workers', 'lasting workers', 'drop last', 'two batches'])
def test_its_loader_gives_the_batches_of_one_that_reads_files(folder, runner, options):
    runner = runner()
    usual = loader_of(runner, config(folder), **{**options, 'num_workers': 0,
                                                 'persistent_workers': False})
    loader = loader_of(runner, dict(type='InMemory', dataset=config(folder)), **options)
    assert len(loader) == len(usual)
    for epoch in (0, 1):
        assert batches(loader, epoch) == batches(usual, epoch)
    assert (batches(loader, 0) == batches(loader, 1)) == (options.get('shuffle') is False)


def test_another_seed_gives_another_order(folder, runner):
    dataset = dict(type='InMemory', dataset=config(folder))
    first, second = (batches(loader_of(runner(seed), dataset, seed)) for seed in (3, 4))
    assert first != second
    assert sorted(sum((paths for *_, paths in first), [])) == sorted(
        sum((paths for *_, paths in second), []))


@pytest.mark.parametrize('workers', [0, 2])
def test_loading_does_not_advance_the_generators_of_the_run(folder, runner, workers):
    loader = loader_of(runner(), dict(type='InMemory', dataset=config(folder)),
                       num_workers=workers)
    before = torch.get_rng_state()
    batches(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_is_fetched_by_one_index(folder, runner, monkeypatch):
    loader = loader_of(runner(), dict(type='InMemory', dataset=config(folder)))
    monkeypatch.setattr(InMemory, '__getitem__', None)
    assert len(batches(loader)) == 5


def test_a_wrapper_around_an_in_memory_dataset_reads_sample_by_sample(folder):
    skipping = SkipUnreadable(InMemory(config(folder)))
    assert not hasattr(skipping, '__getitems__')
    loader = DataLoader(skipping, batch_size=4, collate_fn=list)
    assert [facts(sample) for batch in loader for sample in batch] == [
        facts(skipping.dataset[number]) for number in range(COUNT)]


@pytest.mark.parametrize('given, own, expected', [
    ({}, {}, 'skip'), (dict(on_unreadable='raise'), {}, 'raise'),
    (dict(on_unreadable='raise'), dict(on_unreadable='skip'), 'skip')])
def test_the_runs_on_unreadable_applies_unless_the_dataset_has_its_own(
        folder, given, own, expected):
    cfg = Config(dict(train_dataloader=dict(dataset=dict(
        type='InMemory', dataset=config(folder), **own)), **given))
    fill_in(cfg, ['train_dataloader'])
    assert cfg.train_dataloader.dataset.on_unreadable == expected


def test_other_datasets_do_not_get_on_unreadable(folder):
    cfg = Config(dict(train_dataloader=dict(dataset=config(folder))))
    fill_in(cfg, ['train_dataloader'])
    assert 'on_unreadable' not in cfg.train_dataloader.dataset


# Runs

EPOCHS = 2
KEEP_ALL = {'train_cfg.max_epochs': EPOCHS, 'default_hooks.checkpoint.max_keep_ckpts': EPOCHS}


@pytest.fixture(scope='module')
def run_folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp('run_folder') / 'data')


@pytest.fixture(scope='module')
def run_config(toy_config, run_folder):
    """The toy config with color images in memory and every batch transform."""
    path = run_folder.parent / 'in_memory.py'
    path.write_text(f'''
_base_ = ['{toy_config}']
model = dict(backbone=dict(in_channels=3))
data_preprocessor = dict(
    _delete_=True, type='BatchPreprocessor', num_classes=10, mean=3 * [127.], std=3 * [70.],
    to_rgb=True, transforms=[
        dict(type='BatchRandomFlip', prob=0.5),
        dict(type='BatchRandomCrop', padding=1),
        dict(type='BatchRandAugment', num_ops=2, magnitude=12),
        dict(type='BatchRandomResizedCrop', scale=(0.5, 1.)),
        dict(type='BatchColorJitter', strength=0.4)])
train_dataloader = dict(batch_size=4, dataset=dict(
    _delete_=True, type='InMemory', dataset={config(run_folder)}))
val_dataloader = dict(batch_size=4, dataset=dict(
    _delete_=True, type='InMemory', dataset={dict(config(run_folder), test_mode=True)}))
''')
    return path


@pytest.fixture(scope='module')
def whole(train, run_config, tmp_path_factory):
    """The folder of an uninterrupted run, with a checkpoint of each epoch."""
    folder = tmp_path_factory.mktemp('whole')
    train(folder, KEEP_ALL, run_config)
    return folder


@pytest.mark.parametrize('overrides, options, alike', [
    ({}, {}, True), ({'train_dataloader.num_workers': 2}, dict(validate=False), True),
    ({'randomness.seed': 5}, {}, False),
    ({'data_preprocessor.transforms': []}, {}, False)],
    ids=['again', 'workers, no validation', 'another seed', 'no transforms'])
def test_the_weights_depend_on_seed_and_transforms_not_on_workers_and_validation(
        train, run_config, tmp_path, whole, weights_of, same_weights, overrides, options, alike):
    train(tmp_path, {**KEEP_ALL, **overrides}, run_config, **options)
    assert same_weights(weights_of(tmp_path / 'epoch_2.pth'),
                        weights_of(whole / 'epoch_2.pth')) is alike


def test_a_run_resumed_after_epoch_1_ends_with_the_weights_of_an_uninterrupted_one(
        train, run_config, tmp_path, whole, weights_of, same_weights):
    shutil.copy(whole / 'epoch_1.pth', tmp_path)
    train(tmp_path, KEEP_ALL, run_config, resume=True)
    assert same_weights(weights_of(tmp_path / 'epoch_2.pth'), weights_of(whole / 'epoch_2.pth'))


def test_validation_from_memory_gives_the_metrics_of_files(
        train, run_config, run_folder, tmp_path, whole):
    files = dict(config(run_folder), _delete_=True)
    train(tmp_path, {**KEEP_ALL, 'val_dataloader.dataset': files}, run_config)
    lines = [next(folder.rglob('scalars.json')).read_text().splitlines()
             for folder in (whole, tmp_path)]
    accuracies = [[json.loads(line)['accuracy/top1'] for line in each if 'accuracy/top1' in line]
                  for each in lines]
    assert accuracies[0] == accuracies[1] and len(accuracies[0]) == EPOCHS


def test_a_run_names_images_it_could_not_read(
        train, run_config, folder, tmp_path, capsys, monkeypatch):
    # The logger of an earlier run in this process would print where that one did.
    monkeypatch.setattr(MMLogger, '_instance_dict', OrderedDict())
    path = folder / 'class1/05.png'
    path.write_bytes(b'no image')
    overrides = {'train_dataloader.dataset.dataset.data_root': str(folder)}
    train(tmp_path / 'skipping', overrides, run_config, validate=False)
    assert str(path) in ''.join(capsys.readouterr())
    with pytest.raises(BadImage, match=str(path)):
        train(tmp_path / 'raising', {**overrides, 'on_unreadable': 'raise'}, run_config)
    assert not (tmp_path / 'raising').exists()
