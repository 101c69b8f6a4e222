"""Checkpoints inside an epoch: a run that resumes from one ends in the same weights."""
import json
import shutil

import pytest

from mmconvmixer.checkpoints import read_checkpoint, write_checkpoint
from mmconvmixer.datasets import SeedEachSample

# Five iterations an epoch.
SHORT = {'train_dataloader.batch_size': 256, 'train_cfg.max_epochs': 3,
         'default_hooks.checkpoint.by_epoch': False, 'default_hooks.checkpoint.interval': 1,
         'default_hooks.checkpoint.max_keep_ckpts': -1}


@pytest.fixture(scope='module')
def short(train, tmp_path_factory):
    """The folder of an uninterrupted run with a checkpoint of each iteration."""
    folder = tmp_path_factory.mktemp('short')
    train(folder, SHORT)
    return folder


def resume_from(name, whole, folder, train, overrides=SHORT, **options):
    """Resume in `folder` with nothing but one checkpoint of `whole`."""
    folder.mkdir(exist_ok=True)
    shutil.copy(whole / name, folder)
    train(folder, overrides, resume=True, **options)


def history(folder):
    entries = json.loads((folder / 'run.json').read_text())['history']
    return [{key: value for key, value in entry.items() if key != 'seconds'}
            for entry in entries]


@pytest.mark.parametrize('name', ['iter_1.pth', 'iter_5.pth', 'iter_8.pth'])
def test_it_ends_in_the_same_weights_and_the_same_history(
        short, train, tmp_path, weights_of, same_weights, name):
    resume_from(name, short, tmp_path, train)
    assert same_weights(weights_of(tmp_path / 'iter_15.pth'), weights_of(short / 'iter_15.pth'))
    assert history(tmp_path) == history(short)
    assert [entry['iter'] for entry in history(tmp_path)] == [5, 10, 15]


@pytest.mark.parametrize('overrides', [
    {'train_dataloader.num_workers': 1},
    {'train_dataloader.dataset': dict(_delete_=True, type='InMemory', dataset=dict(
        type='Digits', split='train', pipeline=[
            dict(type='LoadImage', color_type='grayscale'), dict(type='PackInputs')]))},
    {'optim_wrapper.accumulative_counts': 4},
    {'custom_hooks': [dict(type='EMAHook', momentum=0.1)]},
    {'optim_wrapper.type': 'SAMOptimWrapper'},
], ids=['workers', 'in memory', 'accumulated gradients', 'averaged weights', 'SAM'])
def test_so_it_does_with(train, tmp_path, weights_of, same_weights, overrides):
    overrides = {**SHORT, **overrides, 'train_cfg.max_epochs': 2}
    train(tmp_path / 'whole', overrides, validate=False)
    resume_from('iter_7.pth', tmp_path / 'whole', tmp_path / 'cut', train, overrides,
                validate=False)
    assert same_weights(weights_of(tmp_path / 'cut/iter_10.pth'),
                        weights_of(tmp_path / 'whole/iter_10.pth'))


@pytest.mark.parametrize('sampler, workers, name', [
    ('InfiniteSampler', 0, 'iter_4.pth'), ('InfiniteSampler', 1, 'iter_3.pth'),
    ('DefaultSampler', 0, 'iter_7.pth')])
def test_so_does_a_run_by_iterations_without_loading_what_it_has_seen(
        train, toy_config, tmp_path, weights_of, same_weights, monkeypatch, sampler, workers,
        name):
    config = tmp_path / 'by_iteration.py'
    config.write_text(f'''
_base_ = ['{toy_config}']
train_dataloader = dict(batch_size=256, num_workers={workers},
                        sampler=dict(type='{sampler}', shuffle=True, _delete_=True))
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=8, val_interval=4)
param_scheduler = dict(_delete_=True, type='ConstantLR', factor=1., by_epoch=False)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1, max_keep_ckpts=9))
''')
    train(tmp_path / 'whole', config=config)
    loaded = []
    one = SeedEachSample.__getitem__
    monkeypatch.setattr(SeedEachSample, '__getitem__',
                        lambda self, index: loaded.append(index) or one(self, index))
    resume_from(name, tmp_path / 'whole', tmp_path / 'cut', train, None, config=config,
                validate=False)
    assert same_weights(weights_of(tmp_path / 'cut/iter_8.pth'),
                        weights_of(tmp_path / 'whole/iter_8.pth'))
    if not workers:
        assert len(loaded) < 256 * (9 - int(name[5]))


def test_another_batch_size_goes_on_at_the_same_sample(short, train, tmp_path):
    resume_from('iter_2.pth', short, tmp_path, train,
                {**SHORT, 'train_dataloader.batch_size': 128, 'train_cfg.max_epochs': 1},
                validate=False)
    # 512 of 1,198 samples were seen: 6 batches are left.
    assert history(tmp_path)[0]['iter'] == 2 + 6


def test_a_checkpoint_without_a_position_begins_its_epoch_again_and_says_so(
        short, train, tmp_path, capsys):
    checkpoint = read_checkpoint(short / 'iter_8.pth')
    del checkpoint['position']
    write_checkpoint(checkpoint, tmp_path / 'iter_8.pth')
    train(tmp_path, SHORT, resume=True, validate=False)
    assert 'The checkpoint was saved inside epoch 2, which begins again' in capsys.readouterr().out
