"""A run's record: everything one needs to repeat it, and how it went."""
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
from mmengine.runner import IterBasedTrainLoop

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer._support.environment import environment
from mmconvmixer._support.git_revision import git_revision
from mmconvmixer.config.portable import portable, portable_text
from mmconvmixer.datasets.fingerprint import fingerprint
from mmconvmixer.engine.metrics import as_plain

NAME = 'run.json'


class RecordHook(Hook):
    """Write `<work_dir>/run.json` and put its first part into every checkpoint.

    run.json holds command, config_file and `cfg`, its text (absolute paths cut to
    their last part), seed, environment, git revision, fingerprints of the data;
    then `history`, one entry for each epoch (or, by iterations, each validation):
    epoch, iter, lr (of its last iteration), loss (mean), seconds, metrics; and at
    the end the seconds of the run and its peak memory. After `--resume` the
    history goes on; an epoch whose validation was cut off stays without metrics.
    """

    # Before CheckpointHook: an epoch is in the record when its checkpoint is there.
    priority = 'LOW'

    def before_run(self, runner) -> None:
        self._started = self._since = time.perf_counter()

    def before_train(self, runner) -> None:
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

    def before_train_epoch(self, runner) -> None:
        if is_main_process() and not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._begin_entry(runner)

    def after_train_epoch(self, runner, metrics=None) -> None:
        if is_main_process() and not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._add(runner, epoch=runner.epoch + 1, iter=runner.iter)

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        if not is_main_process() or not hasattr(self, 'history'):
            return
        if not self.history or self.history[-1]['iter'] != runner.iter:
            self._add(runner, iter=runner.iter)
        self.history[-1].update(metrics=as_plain(metrics or {}), seconds=self._entry_seconds())
        self._begin_entry(runner)
        self._write(runner)

    def after_train(self, runner) -> None:
        if is_main_process():
            self._write(runner, **_peak_memory())

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint['meta'].update(getattr(self, 'origin', {}))
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if hasattr(model, 'numerics'):  # of the weights that the run began with
            checkpoint['meta']['converted'] = dict(numerics=model.numerics)

    def _begin_entry(self, runner) -> None:
        self._since, self._first_iter = time.perf_counter(), runner.iter

    def _entry_seconds(self) -> float:
        return round(time.perf_counter() - self._since, 2)

    def _add(self, runner, **when) -> None:
        entry = dict(when, seconds=self._entry_seconds())
        scalars = runner.message_hub.log_scalars
        if 'train/lr' in scalars:
            entry['lr'] = float(scalars['train/lr'].current())
        if 'train/loss' in scalars and runner.iter > self._first_iter:
            entry['loss'] = float(scalars['train/loss'].mean(runner.iter - self._first_iter))
        self.history.append(entry)
        self._write(runner)

    def _write(self, runner, **end) -> None:
        seconds = self._seconds_before + time.perf_counter() - self._started
        record = {**self.origin, 'history': self.history, 'seconds': round(seconds, 1), **end}
        record['cfg'] = record.pop('cfg')  # long: last
        with atomic_write(Path(runner.work_dir, NAME)) as part:
            part.write_text(json.dumps(record, indent=1))


def _fingerprint(runner, dataset) -> dict:
    try:
        return fingerprint(dataset)
    except Exception as error:  # of anybody's dataset class; no reason to end a run
        runner.logger.log(logging.WARNING, 'the data has no fingerprint: %s: %s',
                          type(error).__name__, error)
        return dict(images=len(dataset), sha256=None, of=None)


def _earlier(runner) -> tuple[list[dict], float]:
    """Return history and seconds of the run that is resumed."""
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
    if sys.platform == 'linux':  # elsewhere other units, or no such module
        import resource
        peak['peak_host_mib'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if torch.cuda.is_available():
        peak['peak_gpu_mib'] = torch.cuda.max_memory_allocated() >> 20
    return peak
