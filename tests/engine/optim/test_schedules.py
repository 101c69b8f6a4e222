import math

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper

from mmconvmixer.engine import PiecewiseLinearLR, Runner, WarmUpCosineLR


def official(epochs, lr_max, t):
    """`lr_schedule`, copied from train.py of locuslab/convmixer-cifar10."""
    return np.interp([t], [0, epochs*2//5, epochs*4//5, epochs],
                     [0, lr_max, lr_max/20.0, 0])[0]


class Toy(torch.nn.Module):

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))

    def train_step(self, data, optim_wrapper):
        optim_wrapper.update_params((self.weight * data['inputs'].mean()).sum())
        return {}


class Rates(Hook):
    """Keep the learning rate of each iteration."""
    priority = 'VERY_HIGH'

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(runner.optim_wrapper.optimizer.param_groups[0]['lr'])


def run(work_dir, epochs, per_epoch, rate, stop=None, resume=None, schedule=None):
    schedule = schedule or dict(
        type='mmpretrain.PiecewiseLinearLR', factors=[0, 1, 1 / 20, 0],
        epochs=[0, epochs * 2 // 5, epochs * 4 // 5, epochs])
    rates = Rates()
    runner = Runner(
        Toy(), str(work_dir),
        train_dataloader=torch.utils.data.DataLoader(
            [dict(inputs=torch.ones(1))] * per_epoch),
        train_cfg=dict(by_epoch=True, max_epochs=stop or epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=rate)),
        param_scheduler=dict(schedule, convert_to_iter_based=True),
        custom_hooks=[rates], load_from=resume, resume=resume is not None,
        experiment_name=f'{work_dir.name}-{work_dir.parent.name}-{stop}')
    runner.train()
    return rates.seen


@pytest.mark.parametrize('epochs, per_epoch', [(5, 4), (7, 3), (25, 2)])
def test_every_iteration_has_the_rate_of_the_official_script(tmp_path, epochs, per_epoch):
    seen = run(tmp_path, epochs, per_epoch, rate=0.05)
    expected = [official(epochs, 0.05, epoch + (i + 1) / per_epoch)
                for epoch in range(epochs) for i in range(per_epoch)]
    np.testing.assert_allclose(seen, expected, rtol=1e-12, atol=1e-18)
    assert seen[-1] == 0 and max(seen) == pytest.approx(0.05)


def test_a_resumed_run_continues_the_piecewise_schedule(tmp_path):
    whole = run(tmp_path / 'whole', 5, 4, rate=0.05)
    begun = run(tmp_path / 'cut', 5, 4, rate=0.05, stop=2)
    rest = run(tmp_path / 'cut', 5, 4, rate=0.05,
               resume=str(tmp_path / 'cut' / 'epoch_2.pth'))
    assert begun + rest == whole


def test_each_group_of_parameters_keeps_its_own_base_rate():
    groups = [dict(params=[torch.nn.Parameter(torch.ones(1))], lr=lr) for lr in (0.1, 0.4)]
    optimizer = torch.optim.SGD(groups, lr=1.)
    schedule = PiecewiseLinearLR(OptimWrapper(optimizer), [0, 2], [0, 1], epoch_length=2)
    for step in range(1, 5):
        assert [group['lr'] for group in groups_of(optimizer)] == pytest.approx(
            [0.1 * step / 4, 0.4 * step / 4])
        optimizer.step()
        schedule.step()


def groups_of(optimizer):
    return optimizer.param_groups


@pytest.mark.parametrize('epochs, factors', [
    ([0, 1], [1]), ([0, 2, 1], [0, 1, 0]), ([0, 1, 1], [0, 1, 0])])
def test_points_that_do_not_increase_or_pair_up_are_a_value_error(epochs, factors):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.)
    with pytest.raises(ValueError, match='epochs must increase'):
        PiecewiseLinearLR(optimizer, epochs, factors, epoch_length=1)


def test_a_schedule_by_epoch_is_an_error_that_names_what_is_missing():
    """The error must name `convert_to_iter_based`, if that is forgotten."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.)
    with pytest.raises((ValueError, TypeError), match='convert_to_iter_based|epoch_length'):
        PiecewiseLinearLR(optimizer, [0, 1], [0, 1])


FINE_TUNE = dict(type='mmpretrain.WarmUpCosineLR', epochs=8, warmup_iters=10, start_factor=0.2)


def test_a_linear_warm_up_is_followed_by_a_cosine(tmp_path):
    """The flowers' recipe: from 0.006 to 0.03 in 10 steps, then to 0 by the end of epoch 8."""
    seen = run(tmp_path, 8, 5, rate=0.03, schedule=FINE_TUNE)
    expected = [0.006 + 0.0024 * step for step in range(10)] + [
        0.03 * (1 + math.cos(math.pi * step / 30)) / 2 for step in range(30)]
    np.testing.assert_allclose(seen, expected, rtol=1e-12)


def test_a_resumed_run_continues_the_cosine_schedule(tmp_path):
    whole = run(tmp_path / 'whole', 8, 5, rate=0.03, schedule=FINE_TUNE)
    begun = run(tmp_path / 'cut', 8, 5, rate=0.03, schedule=FINE_TUNE, stop=3)
    rest = run(tmp_path / 'cut', 8, 5, rate=0.03, schedule=FINE_TUNE,
               resume=str(tmp_path / 'cut/epoch_3.pth'))
    assert begun + rest == whole


def test_a_run_shorter_than_its_warm_up_reaches_the_full_rate_half_way(tmp_path):
    seen = run(tmp_path, 8, 1, rate=1., schedule=FINE_TUNE)
    assert max(seen) == seen[4] == 1. and seen[0] == pytest.approx(0.2)


@pytest.mark.parametrize('options', [
    dict(epochs=0, warmup_iters=1), dict(epochs=1, warmup_iters=-1),
    dict(epochs=1, warmup_iters=1, start_factor=2)])
def test_an_impossible_warm_up_is_a_value_error(options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.)
    with pytest.raises(ValueError, match='epochs is .*warmup_iters'):
        WarmUpCosineLR(optimizer, epoch_length=4, **options)
