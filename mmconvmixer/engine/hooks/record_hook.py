"""The record of a run: what is needed to repeat it, and how it went."""
import json
import logging
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer._support.environment import environment
from mmconvmixer._support.git_revision import git_revision
from mmconvmixer.config.portable import portable, portable_text
from mmconvmixer.datasets.fingerprint import fingerprint
from mmconvmixer.engine.metrics import as_plain

NAME = 'run.json'


class RecordHook(Hook):
    """Write `<work_dir>/run.json` and add its first part to the meta of every checkpoint.

    The file holds

    - what is needed to repeat the run: command, config_file and `cfg`, its text (with
      absolute paths cut to their last part), seed, environment, git revision, and
      fingerprints of the data;
    - `history`, one entry for each epoch (in a run by iterations, for each validation):
      epoch, iter, lr (of the last iteration), loss (mean), seconds, metrics;
    - the seconds that the run took and its peak memory.

    `--resume` continues the history. An epoch whose validation was interrupted has no metrics.
    """

    # Runs before CheckpointHook, so that an epoch with a checkpoint is in the record.
    priority = 'LOW'

    def before_run(self, runner: Runner) -> None:
        """Start the clock."""
        self._started = self._since = time.perf_counter()

    def before_train(self, runner: Runner) -> None:
        """Write the first part of the record."""
        if not is_main_process():
            return
        data = dict(train=_fingerprint(runner, runner.train_dataloader.dataset))
        if runner.val_loop is not None:
            data['val'] = _fingerprint(runner, runner.val_loop.dataloader.dataset)
        self.origin = dict(
            command=_command(), config_file=portable(runner.cfg.filename or ''),
            seed=runner.seed, deterministic=runner.deterministic, processes=get_world_size(),
            environment=environment(), git_revision=git_revision(), data=data,
            cfg=portable_text(runner.cfg))
        self.history, self._seconds_before = _earlier(runner)
        self._begin_entry(runner)
        self._write(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Begin the entry of an epoch."""
        if is_main_process() and not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._begin_entry(runner)

    def after_train_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Add the entry of an epoch."""
        if is_main_process() and not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._add(runner, epoch=runner.epoch + 1, iter=runner.iter)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Add the metrics to the last entry."""
        if not is_main_process() or not hasattr(self, 'history'):
            return
        if not self.history or self.history[-1]['iter'] != runner.iter:
            self._add(runner, iter=runner.iter)
        self.history[-1].update(metrics=as_plain(metrics or {}), seconds=self._entry_seconds())
        self._begin_entry(runner)
        self._write(runner)

    def after_train(self, runner: Runner) -> None:
        """Write the record with the peak memory."""
        if is_main_process():
            self._write(runner, **_peak_memory())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the first part of the record to the checkpoint."""
        checkpoint['meta'].update(getattr(self, 'origin', {}))
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if hasattr(model, 'numerics'):  # of the weights that the run started from
            checkpoint['meta']['converted'] = dict(numerics=model.numerics)

    def _begin_entry(self, runner: Runner) -> None:
        self._since, self._first_iter = time.perf_counter(), runner.iter

    def _entry_seconds(self) -> float:
        return round(time.perf_counter() - self._since, 2)

    def _add(self, runner: Runner, **when: int) -> None:
        entry = dict(when, seconds=self._entry_seconds())
        scalars = runner.message_hub.log_scalars
        if 'train/lr' in scalars:
            entry['lr'] = float(scalars['train/lr'].current())
        if 'train/loss' in scalars and runner.iter > self._first_iter:
            entry['loss'] = float(scalars['train/loss'].mean(runner.iter - self._first_iter))
        self.history.append(entry)
        self._write(runner)

    def _write(self, runner: Runner, **end: Any) -> None:
        seconds = self._seconds_before + time.perf_counter() - self._started
        record = {**self.origin, 'history': self.history, 'seconds': round(seconds, 1), **end}
        record['cfg'] = record.pop('cfg')  # comes last because it is long
        with atomic_write(Path(runner.work_dir, NAME)) as part:
            part.write_text(json.dumps(record, indent=1))


def _fingerprint(runner: Runner, dataset: Any) -> dict:
    try:
        return fingerprint(dataset)
    except Exception as error:  # any dataset class may fail, which should not end a run
        runner.logger.log(logging.WARNING, 'The data has no fingerprint: %s: %s',
                          type(error).__name__, error)
        return dict(images=len(dataset), sha256=None, of=None)


def _earlier(runner: Runner) -> tuple[list[dict], float]:
    """Return the history and the seconds of the run that is resumed."""
    path = Path(runner.work_dir, NAME)
    if not runner._resume or not path.is_file():
        return [], 0.
    record = json.loads(path.read_text())
    return [entry for entry in record['history'] if entry['iter'] <= runner.iter], record['seconds']


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
