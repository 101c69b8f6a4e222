from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import ConstantLR, CosineAnnealingLR, LinearLR, MultiStepLR
from mmengine.runner import IterBasedTrainLoop

from mmconvmixer.engine import PiecewiseLinearLR, WarmUpCosineLR
from mmconvmixer.engine.hooks.schedule_hook import ScheduleHook


def optimizer(lr=0.1):
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=lr)


def piecewise(epochs, factors, lr=0.1):
    return PiecewiseLinearLR(optimizer(lr), epochs, factors, epoch_length=10)


def runner(*schedulers, epochs=6, resume=False, by_iters=False):
    warnings = []
    loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop) if by_iters else None
    return SimpleNamespace(
        param_schedulers=list(schedulers), max_epochs=epochs, max_iters=10 * epochs,
        train_loop=loop, _resume=resume, warnings=warnings,
        logger=SimpleNamespace(warning=warnings.append))


def warnings_of(*schedulers, **options):
    given = runner(*schedulers, **options)
    hook = ScheduleHook()
    hook.before_run(given)
    hook.before_train(given)
    return given.warnings


@pytest.mark.parametrize('schedulers', [
    lambda: [], lambda: [piecewise([0, 1, 6], [0, 1, 0])],
    lambda: [piecewise([0, 1, 9], [0, 1, 0])],
    lambda: [WarmUpCosineLR(optimizer(), epochs=6, warmup_iters=5, epoch_length=10)],
    lambda: [MultiStepLR(optimizer(), [1, 2])],
    lambda: [LinearLR(optimizer(), 0.1, end=2)],  # a warm-up, then the optimizer's own value
    lambda: [ConstantLR(optimizer(), 0.1, end=2)],
    lambda: [LinearLR(optimizer(), 0.1, end=2), CosineAnnealingLR(optimizer(), begin=2, T_max=4)]])
def test_a_schedule_as_long_as_the_run_is_not_mentioned(schedulers):
    assert warnings_of(*schedulers()) == []


@pytest.mark.parametrize('scheduler, said', [
    (lambda: piecewise([0, 1, 3], [0, 1, 0]),
     'PiecewiseLinearLR ends after 50% of the run (3 of 6 epochs); from then on lr is 0'),
    (lambda: piecewise([0, 1, 3], [0, 1, 0.5]), 'from then on lr is 0.05'),
    (lambda: WarmUpCosineLR(optimizer(), epochs=3, warmup_iters=5, epoch_length=10),
     'WarmUpCosineLR ends after 50% of the run (3 of 6 epochs); from then on lr is 0'),
    (lambda: CosineAnnealingLR(optimizer(), T_max=3), 'keeps the value that it has then'),
    (lambda: LinearLR(optimizer(), 1., 0.1, end=3), 'LinearLR ends after 50% of the run')])
def test_a_schedule_shorter_than_the_run_is_a_warning(scheduler, said):
    warning, = warnings_of(scheduler())
    assert said in warning


def test_in_a_run_by_iterations_the_share_is_of_its_iterations():
    warning, = warnings_of(piecewise([0, 1, 3], [0, 1, 0]), by_iters=True)
    assert 'ends after 50% of the run; from' in warning


def test_a_schedule_that_counts_epochs_never_steps_in_a_run_by_iterations():
    warning, = warnings_of(MultiStepLR(optimizer(), [1]), by_iters=True)
    assert 'MultiStepLR counts epochs and never takes a step' in warning


def resumed(saved, planned):
    """Resume as mmengine does: build the config's schedules, then load the saved states."""
    given, hook = runner(*planned, resume=True), ScheduleHook()
    hook.before_run(given)
    states = [scheduler.state_dict() for scheduler in saved]
    hook.after_load_checkpoint(given, dict(param_schedulers=states))
    for scheduler, state in zip(planned, states, strict=False):
        scheduler.load_state_dict(state)
    hook.before_train(given)
    return given.warnings


def test_a_resumed_run_says_that_the_checkpoints_schedule_holds():
    saved, planned = piecewise([0, 1, 3], [0, 1, 0]), piecewise([0, 1, 6], [0, 1, 0.5])
    changed, short = resumed([saved], [planned])
    assert 'PiecewiseLinearLR of the checkpoint holds, not that of the config' in changed
    assert 'epochs [0, 1, 3], not [0, 1, 6]' in changed
    assert 'factors [0, 1, 0], not [0, 1, 0.5]' in changed
    assert 'ends after 50% of the run (3 of 6 epochs); from then on lr is 0' in short


def test_another_learning_rate_is_one_of_the_differences():
    changed, = resumed([piecewise([0, 6], [0, 1])], [piecewise([0, 6], [0, 1], lr=0.2)])
    assert 'base_values [0.1], not [0.2]' in changed


def test_a_resumed_run_with_the_same_schedule_says_nothing():
    saved, planned = (piecewise([0, 6], [0, 1]) for _ in range(2))
    for _ in range(5):
        saved.step()
    assert resumed([saved], [planned]) == []
    assert planned.last_step == saved.last_step


def test_another_number_of_schedules_is_said():
    warning, = resumed([MultiStepLR(optimizer(), [1])],
                       [MultiStepLR(optimizer(), [1]), MultiStepLR(optimizer(), [2])])
    assert 'The config has 2 schedules, the checkpoint 1' in warning


def test_a_run_warns_of_its_schedule_and_a_resumed_one_of_the_checkpoints(
        tool, toy_config, tmp_path):
    options = ['train', toy_config, '--work-dir', tmp_path, '--no-validate']
    short = tool(*options, '--cfg-options', 'train_cfg.max_epochs=1',
                 'param_scheduler.epochs=[0,0.5]', 'param_scheduler.factors=[1,0]')
    assert 'from then on lr is 0' in short.out
    longer = tool(*options, '--resume', '--cfg-options', 'train_cfg.max_epochs=2',
                  'param_scheduler.epochs=[0,2]', 'param_scheduler.factors=[1,0]')
    assert longer.code == 0, longer.err
    assert 'epochs [0, 0.5], not [0, 2]' in longer.out
    assert 'of 2 epochs); from then on lr is 0' in longer.out
