"""The record of a run: what is needed to repeat it, and how it went."""
import copy
import json
import logging
import shlex
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from mmengine.dist import broadcast_object_list, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer._support.environment import environment
from mmconvmixer._support.git_revision import git_revision
from mmconvmixer.checkpoints.run_record import RECORD, is_of_run, read_run_record
from mmconvmixer.config.portable import portable, portable_text
from mmconvmixer.datasets.fingerprint import fingerprint
from mmconvmixer.engine.metrics import as_plain


class RecordHook(Hook):
    """Write `<work_dir>/run.json` and add its first part to the meta of every checkpoint.

    The file holds

    - `run`, an identifier that the checkpoints of the run also have; a run that an earlier
      version began gets it when it is resumed, at the iteration `run_from`;
    - what is needed to repeat the run: command, config_file and `cfg`, its text (with
      absolute paths cut to their last part), seed, environment, git revision, and
      fingerprints of the data;
    - `history`, one entry for each epoch (in a run by iterations, for each validation):
      epoch, iter, lr (of the last iteration), loss (mean), seconds, metrics;
    - `starts`, the folder and the first iteration of each start of the run;
    - the seconds that the run took and its peak memory.

    Attributes:
        history: see above.
        validated: whether the run that is resumed completed the validation that was due
            where it was stopped.

    Checkpoints also hold the history and the starts up to them, so that `--resume` continues
    the record even if the file is damaged. An epoch gets its metrics in the file when its
    validation is complete, which includes saving the best checkpoint.
    """

    # Runs before CheckpointHook, so that an epoch with a checkpoint is in the record.
    priority = 'LOW'

    def __init__(self) -> None:
        self.history: list[dict] = []
        self.validated = False
        self._resumed: dict | None = None

    def before_run(self, runner: Runner) -> None:
        """Start the clock."""
        self._started = self._since = time.perf_counter()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the record in a checkpoint that is resumed."""
        if runner._resume:
            by_epoch = not isinstance(runner.train_loop, IterBasedTrainLoop)
            self._resumed = dict(
                checkpoint.get('record', {}), meta=checkpoint['meta'],
                inside=by_epoch and checkpoint.get('position', {}).get('batch', 0) > 0)

    def before_train(self, runner: Runner) -> None:
        """Write the first part of the record."""
        self._continue(runner)
        if not is_main_process():
            return
        data = dict(train=_fingerprint(runner, runner.train_dataloader.dataset))
        if runner.val_loop is not None:
            data['val'] = _fingerprint(runner, runner.val_loop.dataloader.dataset)
        self.origin = dict(
            command=_command(), config_file=portable(runner.cfg.filename or ''),
            seed=runner.seed, deterministic=runner.deterministic, processes=get_world_size(),
            environment=environment(), git_revision=git_revision(), data=data,
            cfg=portable_text(runner.cfg), run=self._run)
        if self._run_from:
            self.origin['run_from'] = self._run_from
        self._write(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Begin the entry of an epoch."""
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._begin_entry(runner, getattr(runner.train_loop, 'first_batch', 0))

    def after_train_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Add the entry of an epoch."""
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._add(runner, epoch=runner.epoch + 1, iter=runner.iter)
            self._write(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Add the metrics to the last entry."""
        if not hasattr(self, '_run'):  # a validation without a training
            return
        if not self.history or self.history[-1]['iter'] != runner.iter:
            self._add(runner, iter=runner.iter)
        self.history[-1].update(metrics=as_plain(metrics or {}), seconds=self._entry_seconds())
        self._begin_entry(runner)

    def after_val(self, runner: Runner) -> None:
        """Write the record: no hook has anything left to do with the metrics."""
        if hasattr(self, '_run'):
            self._write(runner)

    def after_train(self, runner: Runner) -> None:
        """Write the record with the peak memory."""
        self._write(runner, **_peak_memory())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the first part of the record to the checkpoint's meta, and what resuming needs."""
        checkpoint['meta'].update(getattr(self, 'origin', {}))
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if hasattr(model, 'numerics'):  # of the weights that the run started from
            checkpoint['meta']['converted'] = dict(numerics=model.numerics)
        if 'optimizer' in checkpoint and hasattr(self, '_run'):
            checkpoint['record'] = dict(
                history=copy.deepcopy(self.history), starts=copy.deepcopy(self._starts),
                seconds=self._seconds(), entry_seconds=self._entry_seconds())

    def _continue(self, runner: Runner) -> None:
        """Begin with the record of the run that is resumed, or with an empty one."""
        resumed, file = self._resumed, {}
        self._begin_entry(runner)
        self._run, self._run_from = uuid4().hex, 0
        self._starts, self._seconds_before = [], 0.
        if resumed is not None:
            file = self._read_file(runner)
            if not is_of_run(resumed['meta'], file):
                file = {}
            known = resumed['meta'] if resumed['meta'].get('run') else file
            if known.get('run'):
                self._run, self._run_from = known['run'], known.get('run_from', 0)
            else:
                self._run_from = runner.iter
            self.history = [dict(entry) for entry in resumed.get('history', file.get('history', []))
                            if entry['iter'] <= runner.iter]
            self.validated = any(entry['iter'] == runner.iter and 'metrics' in entry
                                 for entry in self.history)
            # An epoch whose end the checkpoint does not include is first trained to its end.
            if not (self.validated or resumed['inside']
                    or _validation_changes_schedules(runner)):
                self._take_last_metrics(runner, file.get('history', []))
            self._starts = file.get('starts') or resumed.get('starts', [])
            self._seconds_before = max(file.get('seconds', 0.), resumed.get('seconds', 0.))
            self._since -= resumed.get('entry_seconds', 0.)
        # The first process decides: the work dir of the others may be another one.
        decided: list[Any] = [self._run, self.history, self.validated]
        broadcast_object_list(decided)
        self._run, self.history, self.validated = decided
        self._first_iter = self.history[-1]['iter'] if self.history else 0
        self._starts = [*self._starts, dict(folder=runner.timestamp, iter=runner.iter)]

    def _read_file(self, runner: Runner) -> dict:
        """Return the record in the work dir; keep one that cannot be read under another name."""
        file, path = read_run_record(runner.work_dir), Path(runner.work_dir, RECORD)
        if file is None and path.is_file() and is_main_process():
            path.replace(path.with_name(f'{RECORD}.damaged'))
        return file or {}

    def _take_last_metrics(self, runner: Runner, history: list[dict]) -> None:
        """Take over the metrics of a validation that came after the checkpoint was saved."""
        last = next((entry for entry in history
                     if entry['iter'] == runner.iter and 'metrics' in entry), None)
        own = [entry for entry in self.history if entry['iter'] == runner.iter]
        if last is not None and all(last.get('loss') == entry.get('loss') for entry in own):
            self.history = [*self.history[:len(self.history) - len(own)], dict(last)]
            self.validated = True

    def _begin_entry(self, runner: Runner, before: int = 0) -> None:
        """Begin an entry; `before` of its iterations belong to an earlier start."""
        if not before:
            self._since = time.perf_counter()
        self._first_iter = runner.iter - before

    def _entry_seconds(self) -> float:
        return round(time.perf_counter() - self._since, 2)

    def _seconds(self) -> float:
        return self._seconds_before + time.perf_counter() - self._started

    def _add(self, runner: Runner, **when: int) -> None:
        entry = dict(when, seconds=self._entry_seconds())
        scalars = runner.message_hub.log_scalars
        if 'train/lr' in scalars:
            entry['lr'] = float(scalars['train/lr'].current())
        if 'train/loss' in scalars and runner.iter > self._first_iter:
            entry['loss'] = float(scalars['train/loss'].mean(runner.iter - self._first_iter))
        self.history.append(entry)

    def _write(self, runner: Runner, **end: Any) -> None:
        if not is_main_process():
            return
        record = {**self.origin, 'starts': self._starts, 'history': self.history,
                  'seconds': round(self._seconds(), 1), **end}
        record['cfg'] = record.pop('cfg')  # comes last because it is long
        with atomic_write(Path(runner.work_dir, RECORD)) as part:
            part.write_text(json.dumps(record, indent=1))


def _validation_changes_schedules(runner: Runner) -> bool:
    """Whether a validation also changes a schedule, which was not saved after it."""
    schedules = runner.param_schedulers or []
    groups = schedules.values() if isinstance(schedules, dict) else [schedules]
    return any(getattr(schedule, 'need_val_args', False) for group in groups for schedule in group)


def _fingerprint(runner: Runner, dataset: Any) -> dict:
    try:
        return fingerprint(dataset)
    except Exception as error:  # any dataset class may fail, which should not end a run
        runner.logger.log(logging.WARNING, 'The data has no fingerprint: %s: %s',
                          type(error).__name__, error)
        return dict(images=len(dataset), sha256=None, of=None)


def _command() -> str:
    """Return the command line with absolute paths cut to their last part."""
    words = []
    for word in sys.argv:
        key, is_option, value = word.partition('=')
        words.append(f'{key}={_cut(value)}' if is_option else _cut(word))
    return shlex.join(['python', *words])


def _cut(word: str) -> str:
    return portable(word) if Path(word).is_absolute() else word


def _peak_memory() -> dict[str, Any]:
    peak = {}
    if sys.platform == 'linux':  # other systems have other units, or no such module
        import resource
        peak['peak_host_mib'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if torch.cuda.is_available():
        peak['peak_gpu_mib'] = torch.cuda.max_memory_allocated() >> 20
    return peak
