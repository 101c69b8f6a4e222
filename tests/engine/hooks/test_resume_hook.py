"""A run that is killed at any file operation, and then resumed, leaves the same files."""
import itertools
import json
import multiprocessing
import os
import random
import shutil
import time

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from mmconvmixer._support.atomic_write import remove_leftovers
from mmconvmixer.checkpoints import latest_checkpoint, read_checkpoint
from mmconvmixer.engine import Runner

SCORES = [2., 3., 1., 4.]  # by epoch


class Toy(torch.nn.Module):
    """Draws random numbers in each step; its score depends on the epoch only."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))

    def train_step(self, data, optim_wrapper):
        noise = torch.rand(3)
        loss = (self.weight * noise * data['inputs'].mean()).sum()
        optim_wrapper.update_params(loss)
        return dict(loss=loss.detach())

    def val_step(self, data):
        torch.rand(5)
        return [{}]


class Score(BaseMetric):

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(top1=SCORES[Score.runner.epoch - 1])


class Killed(BaseException):
    pass


def run(work_dir, *hooks, by_epoch=True, resume=True, **options):
    path = latest_checkpoint(work_dir) if resume else None
    path = path and str(path)
    data = torch.utils.data.DataLoader([dict(inputs=torch.ones(1))] * 3)
    Score.runner = runner = Runner(
        Toy(), str(work_dir), train_dataloader=data, val_dataloader=data, val_cfg={},
        val_evaluator=[Score()], train_cfg=dict(by_epoch=True, max_epochs=4, val_interval=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        default_hooks=dict(checkpoint=dict(
            type='mmpretrain.CheckpointHook', interval=1, max_keep_ckpts=1,
            save_best='top1', rule='greater')),
        randomness=dict(seed=0), custom_hooks=list(hooks), load_from=path,
        resume=path is not None, **options, experiment_name=f'{work_dir.name}-{next(NUMBERS)}')
    runner.train()
    return runner


NUMBERS = itertools.count()


def left(work_dir):
    """What a run leaves: weights by file name, and the history without its times."""
    checkpoints = {path.name: read_checkpoint(path)['state_dict']['weight'].tolist()
                   for path in work_dir.glob('*.pth')}
    history = json.loads((work_dir / 'run.json').read_text())['history']
    for entry in history:
        del entry['seconds']
    return checkpoints, history


def count_file_operations(monkeypatch, die_at=None):
    """Count the moments before and after each file operation; die at one of them."""
    moments = itertools.count()

    def moment():
        if next(moments) == die_at:
            raise Killed

    def watched(call):
        def one(*args, **kwargs):
            moment()
            result = call(*args, **kwargs)
            moment()
            return result
        return one
    for name in ('replace', 'remove', 'unlink'):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    return moments


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """What an uninterrupted run leaves, and the number of moments in it."""
    folder = tmp_path_factory.mktemp('whole')
    with pytest.MonkeyPatch.context() as patch:
        moments = count_file_operations(patch)
        run(folder)
        count = next(moments)
    return left(folder), count


def test_the_uninterrupted_run_keeps_the_last_and_the_best(whole):
    (checkpoints, history), _ = whole
    assert checkpoints.keys() == {'epoch_4.pth', 'best_top1_epoch_4.pth'}
    assert [entry['metrics']['top1'] for entry in history] == SCORES


@pytest.mark.parametrize('step', [13, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_file_operation_it_ends_in_the_same_files(
        whole, tmp_path, monkeypatch, step):
    expected, count = whole
    assert count > 50
    for moment in range(0, count, step):
        folder = tmp_path / str(moment)
        folder.mkdir()
        with monkeypatch.context() as patch, pytest.raises(Killed):
            count_file_operations(patch, moment)
            run(folder)
        run(folder)
        assert left(folder) == expected, moment


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_in_the_same_files(whole, tmp_path):
    chance, fork = random.Random(0), multiprocessing.get_context('fork')

    def start(folder):
        remove_leftovers(folder)  # as `train` does
        process = fork.Process(target=run, args=(folder,))
        process.start()
        return process

    began = time.monotonic()
    start(tmp_path / 'whole').join()
    duration = time.monotonic() - began
    kills = finished = 0
    while kills < int(os.environ.get('MMCONVMIXER_KILLS', '100')):
        folder = tmp_path / str(finished)
        while True:
            process = start(folder)
            process.join(chance.uniform(0, 1.5 * duration))
            if process.exitcode is not None:
                break
            process.kill()
            process.join()
            kills += 1
        assert process.exitcode == 0
        finished += 1
        assert left(folder) == whole[0], f'after {kills} kills'
    print(f'{kills} kills, {finished} runs')


class DieInValidation(Hook):

    def __init__(self, epoch):
        self.epoch = epoch

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.epoch == self.epoch:
            raise Killed


@pytest.mark.parametrize('epoch', [1, 2, 4])
def test_a_validation_that_was_interrupted_is_done_first(whole, tmp_path, epoch):
    with pytest.raises(Killed):
        run(tmp_path, DieInValidation(epoch))
    run(tmp_path)
    assert left(tmp_path) == whole[0]


class CountValidations(Hook):

    def __init__(self):
        self.at = []

    def before_val(self, runner):
        self.at.append(runner.epoch)


def test_a_validation_that_was_complete_is_not_repeated(whole, tmp_path):
    class DieInEpoch4(Hook):
        def before_train_epoch(self, runner):
            if runner.epoch == 3:
                raise Killed

    with pytest.raises(Killed):
        run(tmp_path, DieInEpoch4())
    counted = CountValidations()
    run(tmp_path, counted)
    assert counted.at == [4]
    assert left(tmp_path) == whole[0]


@pytest.mark.parametrize('record', [
    b'', b'{', b'[1]', b'\xff', None, b'{"history": [], "seconds": 1, "starts": 3}',
    b'{"history": [{"iter": 3, "metrics": 1}], "seconds": 1}'])
def test_a_damaged_record_costs_nothing_but_times(whole, tmp_path, record):
    with pytest.raises(Killed):
        run(tmp_path, DieInValidation(3))
    path = tmp_path / 'run.json'
    path.unlink()
    if record is not None:
        path.write_bytes(record)
    run(tmp_path)
    assert left(tmp_path) == whole[0]
    if record is not None:
        assert (tmp_path / 'run.json.damaged').read_bytes() == record


def test_a_schedule_that_follows_the_metrics_goes_on_where_it_was(tmp_path):
    def rates(folder, *hooks):
        runner = run(folder, *hooks, param_scheduler=dict(
            type='ReduceOnPlateauLR', monitor='top1', rule='greater', patience=0, factor=0.5))
        return runner.optim_wrapper.get_lr()['lr']

    class DieInEpoch4(Hook):
        def before_train_epoch(self, runner):
            if runner.epoch == 3:
                raise Killed

    (tmp_path / 'whole').mkdir()
    expected = rates(tmp_path / 'whole')
    with pytest.raises(Killed):
        rates(tmp_path / 'cut', DieInEpoch4())
    assert rates(tmp_path / 'cut') == expected
    assert expected[0] < 0.1


def test_early_stopping_counts_the_epochs_before_the_run_was_stopped(tmp_path):
    def stopped_after(folder, *hooks):
        runner = run(folder, dict(type='EarlyStoppingHook', monitor='top1', rule='greater',
                                  patience=2, min_delta=5), *hooks)
        return runner.epoch

    expected = stopped_after(tmp_path / 'whole')
    with pytest.raises(Killed):
        stopped_after(tmp_path / 'cut', DieInValidation(2))
    assert stopped_after(tmp_path / 'cut') == expected == 3


def test_in_a_copied_folder_the_original_is_not_touched(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path / 'original', DieInValidation(4))
    before = {path.name for path in (tmp_path / 'original').glob('*.pth')}
    shutil.copytree(tmp_path / 'original', tmp_path / 'copy')
    run(tmp_path / 'copy')
    assert {path.name for path in (tmp_path / 'original').glob('*.pth')} == before
    assert (tmp_path / 'copy/best_top1_epoch_4.pth').is_file()
    assert not (tmp_path / 'copy/best_top1_epoch_2.pth').exists()


def test_a_statistic_of_ones_own_does_not_stop_a_run_from_resuming(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(HistoryBuffer, '_statistics_methods',
                        dict(HistoryBuffer()._statistics_methods))

    @HistoryBuffer.register_statistics
    def twice_the_mean(self, window_size=None):
        return 2 * self.mean(window_size)

    with pytest.raises(Killed):
        run(tmp_path, DieInValidation(2))
    runner = run(tmp_path)
    loss = runner.message_hub.get_scalar('train/loss')
    assert loss.statistics('twice_the_mean', 3) == 2 * loss.mean(3)
    assert left(tmp_path) == whole[0]
