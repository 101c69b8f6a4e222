import os
import shutil
import signal

import pytest
import torch

from mmconvmixer.checkpoints import read_checkpoint, write_checkpoint

EPOCHS = 2
KEEP_ALL = {'train_cfg.max_epochs': EPOCHS, 'default_hooks.checkpoint.max_keep_ckpts': EPOCHS}


@pytest.fixture(scope='module')
def whole(train, tmp_path_factory):
    """The folder of an uninterrupted run, with a checkpoint of each epoch."""
    folder = tmp_path_factory.mktemp('whole')
    train(folder, KEEP_ALL)
    return folder


@pytest.mark.parametrize('overrides, options', [
    ({}, {}),
    ({'randomness.seed': None}, {}),
    ({}, dict(validate=False)),
    ({'train_dataloader.num_workers': 2}, {}),
    ({'train_dataloader.num_workers': 2, 'randomness.seed': None,
      'optim_wrapper.dtype': 'bfloat16'},
     dict(amp=True, persistent_workers=False)),
], ids=['plain', 'no seed', 'no validation', 'workers',
        'workers, no seed, amp'])
def test_a_run_resumed_after_epoch_1_ends_in_the_weights_of_an_uninterrupted_one(
        train, tmp_path, weights_of, same_weights, overrides, options):
    train(tmp_path / 'whole', {**KEEP_ALL, **overrides}, **options)
    (tmp_path / 'cut').mkdir()
    shutil.copy(tmp_path / 'whole/epoch_1.pth', tmp_path / 'cut')
    train(tmp_path / 'cut', {**KEEP_ALL, **overrides}, resume=True, **options)
    assert same_weights(weights_of(tmp_path / 'cut/epoch_2.pth'),
                        weights_of(tmp_path / 'whole/epoch_2.pth'))


@pytest.mark.parametrize('overrides, options', [
    ({}, dict(validate=False)),
    ({'train_dataloader.num_workers': 1}, {}),
], ids=['validation', 'workers'])
def test_the_weights_do_not_depend_on_how_the_samples_are_loaded(
        train, tmp_path, whole, weights_of, same_weights, overrides, options):
    train(tmp_path, {**KEEP_ALL, **overrides}, **options)
    assert same_weights(weights_of(tmp_path / 'epoch_2.pth'), weights_of(whole / 'epoch_2.pth'))


def test_without_the_saved_random_states_the_weights_would_differ(
        train, tmp_path, whole, weights_of, same_weights):
    """Otherwise the tests above would pass for a run that draws no random numbers."""
    checkpoint = read_checkpoint(whole / 'epoch_1.pth')
    del checkpoint['random_states']
    write_checkpoint(checkpoint, tmp_path / 'epoch_1.pth')
    train(tmp_path, KEEP_ALL, resume=True)
    assert not same_weights(weights_of(tmp_path / 'epoch_2.pth'),
                            weights_of(whole / 'epoch_2.pth'))


def test_a_run_by_iterations_also_resumes_exactly(
        train, toy_config, tmp_path, weights_of, same_weights):
    config = tmp_path / 'by_iteration.py'
    config.write_text(f'''
_base_ = ['{toy_config}']
train_dataloader = dict(sampler=dict(type='InfiniteSampler', _delete_=True))
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=8, val_interval=4)
param_scheduler = dict(_delete_=True, type='ConstantLR', factor=1., by_epoch=False)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=4, max_keep_ckpts=9))
''')
    train(tmp_path / 'whole', config=config)
    (tmp_path / 'cut').mkdir()
    shutil.copy(tmp_path / 'whole/iter_4.pth', tmp_path / 'cut')
    train(tmp_path / 'cut', config=config, resume=True)
    assert same_weights(weights_of(tmp_path / 'cut/iter_8.pth'),
                        weights_of(tmp_path / 'whole/iter_8.pth'))


def test_a_config_in_a_checkpoint_is_not_executed(train, tmp_path, whole):
    """mmengine's `resume` executes `meta['config']`, and checkpoints may come from strangers."""
    checkpoint = read_checkpoint(whole / 'epoch_1.pth')
    trace = tmp_path / 'was_here'
    checkpoint['meta']['config'] = f'open({str(trace)!r}, "w")'
    write_checkpoint(checkpoint, tmp_path / 'epoch_1.pth')
    train(tmp_path, KEEP_ALL, resume=True, validate=False)
    assert (tmp_path / 'epoch_2.pth').is_file()
    assert not trace.exists()


@pytest.mark.parametrize('size', [0, 1000, -1000, -1])
def test_a_half_written_newest_checkpoint_is_skipped(
        train, tmp_path, whole, weights_of, same_weights, size):
    shutil.copy(whole / 'epoch_1.pth', tmp_path)
    data = (whole / 'epoch_2.pth').read_bytes()
    (tmp_path / 'epoch_2.pth').write_bytes(data[:size])
    # mmengine's own record points at the broken file.
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    train(tmp_path, {'train_cfg.max_epochs': 2}, resume=True, validate=False)
    assert same_weights(weights_of(tmp_path / 'epoch_2.pth'), weights_of(whole / 'epoch_2.pth'))


def test_the_newest_checkpoint_has_the_highest_number(train, tmp_path, whole):
    shutil.copy(whole / 'epoch_2.pth', tmp_path / 'epoch_10.pth')
    shutil.copy(whole / 'epoch_1.pth', tmp_path / 'epoch_9.pth')
    model = train(tmp_path, {'train_cfg.max_epochs': 2}, resume=True, validate=False)
    weights = read_checkpoint(whole / 'epoch_2.pth')['state_dict']
    assert torch.equal(model.head.fc.weight, weights['head.fc.weight'])


def test_resuming_without_a_checkpoint_starts_from_the_beginning(
        train, tmp_path, whole, weights_of, same_weights):
    train(tmp_path, resume=True, validate=False)
    assert same_weights(weights_of(tmp_path / 'epoch_1.pth'), weights_of(whole / 'epoch_1.pth'))


def test_a_finished_run_is_not_trained_further(train, tmp_path, whole):
    shutil.copy(whole / 'epoch_2.pth', tmp_path)
    before = (tmp_path / 'epoch_2.pth').read_bytes()
    train(tmp_path, KEEP_ALL, resume=True)
    assert (tmp_path / 'epoch_2.pth').read_bytes() == before


KILLER = '''
import os, signal
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

def die():
    os.kill(os.getpid(), signal.SIGKILL)

@HOOKS.register_module()
class DieInEpoch(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch == 1 and batch_idx == 7:
            die()

@HOOKS.register_module()
class DieSaving(Hook):
    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            os.replace = lambda *args: die()
'''


@pytest.mark.parametrize('death', ['DieInEpoch', 'DieSaving'])
def test_after_kill_9_a_run_resumes_from_the_last_complete_checkpoint(
        train, shell, tool, toy_config, tmp_path, whole, weights_of, same_weights, death):
    (tmp_path / 'killer.py').write_text(KILLER)
    config = tmp_path / 'killed.py'
    config.write_text(f"_base_ = ['{toy_config}']\n"
                      "custom_imports = dict(imports=['mmconvmixer', 'killer'])\n"
                      f"custom_hooks = [dict(type='{death}')]\n")
    work_dir = tmp_path / 'run'
    options = [f'{key}={value}' for key, value in KEEP_ALL.items()]
    command = ['python', 'tools/train.py', config, '--work-dir', work_dir,
               '--cfg-options', *options]
    environment = {**shell.keywords['env'], 'PYTHONPATH': os.pathsep.join(
        [str(tmp_path), os.environ.get('PYTHONPATH', '')])}
    died = shell(command, env=environment)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert [path.name for path in work_dir.glob('epoch_*')] == ['epoch_1.pth']

    resumed = tool('train', toy_config, '--work-dir', work_dir, '--resume',
                   '--cfg-options', *options)
    assert resumed.code == 0, resumed.err
    assert f'Load checkpoint from {work_dir}/epoch_1.pth' in resumed.out
    assert same_weights(weights_of(work_dir / 'epoch_2.pth'), weights_of(whole / 'epoch_2.pth'))
