"""Say where the schedules of a run do not mean what its config seems to say."""
from collections.abc import Iterator
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.optim import _ParamScheduler
from mmengine.optim.scheduler import ConstantParamScheduler, LinearParamScheduler
from mmengine.runner import IterBasedTrainLoop, Runner

from mmconvmixer.engine.optim.schedules import PiecewiseLinearLR, WarmUpCosineLR

# What changes with every step, or only says how much is logged.
_PROGRESS = {'last_step', '_global_step', '_last_value', 'verbose'}


class ScheduleHook(Hook):
    """Warn of schedules that are shorter than the run, and of those that a resumed run ignores.

    mmengine restores a schedule with all its settings from the checkpoint, so that a change of
    the config has no effect on a resumed run. After its end a schedule leaves the learning
    rate where it is, often at 0.
    """

    def __init__(self) -> None:
        self._planned: list[dict[str, Any]] = []
        self._saved: int | None = None

    def before_run(self, runner: Runner) -> None:
        """Remember the settings that the config gives."""
        self._planned = [_settings(scheduler) for scheduler in _schedulers(runner)]

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember how many schedules the checkpoint has."""
        saved = checkpoint.get('param_schedulers')
        if saved is not None:
            self._saved = sum(map(len, saved.values())) if isinstance(saved, dict) else len(saved)

    def before_train(self, runner: Runner) -> None:
        """Compare the schedules with the config's and with the length of the run."""
        if not is_main_process():
            return
        schedulers = list(_schedulers(runner))
        if runner._resume:
            for text in self._changed(schedulers):
                runner.logger.warning(text)
        for text in _too_short(runner, schedulers):
            runner.logger.warning(text)

    def _changed(self, schedulers: list[_ParamScheduler]) -> Iterator[str]:
        for planned, scheduler in zip(self._planned, schedulers, strict=True):
            holds = _settings(scheduler)
            changes = [f'{name} {holds[name]}, not {planned.get(name)}' for name in sorted(holds)
                       if holds[name] != planned.get(name)]
            if changes:
                yield (f'The schedule {type(scheduler).__name__} of the checkpoint holds, not that '
                       f'of the config: {"; ".join(changes)}. To follow the config, start a new '
                       'run from the weights (load_from)')
        if self._saved is not None and self._saved != len(schedulers):
            yield (f'The config has {len(schedulers)} schedules, the checkpoint {self._saved}: '
                   'those of the config that the checkpoint lacks start anew')


def _schedulers(runner: Runner) -> Iterator[_ParamScheduler]:
    """Yield the schedules of all optimizers; none before they are built."""
    built = runner.param_schedulers or []
    lists = built.values() if isinstance(built, dict) else [built]
    for schedulers in lists:
        if isinstance(schedulers, list):
            yield from (each for each in schedulers if isinstance(each, _ParamScheduler))


def _settings(scheduler: _ParamScheduler) -> dict[str, Any]:
    return {name: value for name, value in scheduler.state_dict().items()
            if name not in _PROGRESS}


def _too_short(runner: Runner, schedulers: list[_ParamScheduler]) -> Iterator[str]:
    """Yield a warning for each kind of value whose last schedule ends before the run."""
    by_iters = isinstance(runner.train_loop, IterBasedTrainLoop)
    last: dict[str, tuple[float, _ParamScheduler]] = {}
    for scheduler in schedulers:
        name = type(scheduler).__name__
        if scheduler.by_epoch and by_iters:
            yield (f'The schedule {name} counts epochs and never takes a step, as the run counts '
                   'iterations: set by_epoch=False')
            continue
        total = runner.max_epochs if scheduler.by_epoch else runner.max_iters
        share = _end(scheduler) / max(total, 1)
        kept = last.setdefault(scheduler.param_name, (share, scheduler))
        if share >= kept[0]:
            last[scheduler.param_name] = share, scheduler
    for value, (share, scheduler) in last.items():
        if share >= 1 or _only_warms_up(scheduler):
            continue
        total = runner.max_epochs
        epochs = '' if by_iters else f' ({share * total:g} of {total} epochs)'
        yield (f'The schedule {type(scheduler).__name__} ends after {share:.0%} of the '
               f'run{epochs}; from then on {value} {_final(scheduler)}')


def _end(scheduler: _ParamScheduler) -> float:
    """Return the step at which a schedule has done all it does."""
    lasts = getattr(scheduler, 'T_max', None)  # half a period of a cosine
    return scheduler.end if lasts is None else min(scheduler.end, scheduler.begin + lasts)


def _only_warms_up(scheduler: _ParamScheduler) -> bool:
    """Whether a schedule ends at the optimizer's own value, which the run is meant to keep."""
    return isinstance(scheduler, ConstantParamScheduler) or (
        isinstance(scheduler, LinearParamScheduler) and scheduler.end_factor == 1)


def _final(scheduler: _ParamScheduler) -> str:
    if isinstance(scheduler, PiecewiseLinearLR):
        values = {base * scheduler.factors[-1] for base in scheduler.base_values}
    elif isinstance(scheduler, WarmUpCosineLR):
        values = {0}
    else:
        return 'keeps the value that it has then, or repeats'
    return f'is {" or ".join(f"{value:g}" for value in sorted(values))}'
