"""A run's record: everything one needs to repeat it, and how it went."""
import json
import shlex
import sys
import time
from pathlib import Path

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from mmconvmixer.config import portable
from mmconvmixer.datasets.fingerprint import fingerprint
from mmconvmixer.files import written_whole
from mmconvmixer.provenance import environment, git_revision

NAME = 'run.json'


class RecordHook(Hook):
    """Write `<work_dir>/run.json` and put its first part into every checkpoint.

    run.json holds command, config_file and `cfg`, its text, seed,
    environment, git revision, fingerprints of the data; then `history`, one
    entry for each epoch (or, by iterations, each validation): epoch, iter, lr
    (of its last iteration), loss (mean), seconds, metrics; and at the end the
    seconds of the run and its peak memory. After `--resume` the history goes on.
    """

    priority = 'VERY_LOW'  # after the hooks that finish an epoch

    def before_run(self, runner) -> None:
        self._started = time.perf_counter()

    def before_train(self, runner) -> None:
        if not is_main_process():
            return
        data = dict(train=fingerprint(runner.train_dataloader.dataset))
        if runner.val_loop is not None:
            data['val'] = fingerprint(runner.val_loop.dataloader.dataset)
        self.origin = dict(
            command=shlex.join(['python', *sys.argv]), config_file=portable(runner.cfg.filename),
            seed=runner.seed, deterministic=runner.deterministic, processes=get_world_size(),
            environment=environment(), git_revision=git_revision(), data=data)
        self.history, self._seconds_before = [], 0.
        path = Path(runner.work_dir, NAME)
        if runner._resume and path.is_file():
            earlier = json.loads(path.read_text())
            self.history = [entry for entry in earlier['history']
                            if entry['iter'] <= runner.iter]
            self._seconds_before = earlier['seconds']
        self._write(runner)

    def before_train_epoch(self, runner) -> None:
        self._epoch_started = time.perf_counter()

    def after_train_epoch(self, runner, metrics=None) -> None:
        if is_main_process() and not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._add(runner, epoch=runner.epoch + 1, iter=runner.iter,
                      iterations=len(runner.train_dataloader))

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        if not is_main_process() or not hasattr(self, 'history'):
            return
        if not self.history or self.history[-1]['iter'] != runner.iter:
            self._add(runner, iter=runner.iter, iterations=runner.iter)
        self.history[-1]['metrics'] = dict(metrics or {})
        self.history[-1]['seconds'] = round(time.perf_counter() - self._epoch_started, 2)
        self._write(runner)

    def _add(self, runner, iterations: int, **when) -> None:
        scalars = runner.message_hub.log_scalars
        entry = dict(when, lr=scalars['train/lr'].current(),
                     seconds=round(time.perf_counter() - self._epoch_started, 2))
        if 'train/loss' in scalars:
            entry['loss'] = float(scalars['train/loss'].mean(iterations))
        self.history.append(entry)
        self._write(runner)

    def after_train(self, runner) -> None:
        if is_main_process():
            self._write(runner, **_peak_memory())

    def _write(self, runner, **end) -> None:
        seconds = self._seconds_before + time.perf_counter() - self._started
        record = dict(self.origin, history=self.history, seconds=round(seconds, 1), **end,
                      cfg=runner.cfg.pretty_text)
        with written_whole(Path(runner.work_dir, NAME)) as part:
            part.write_text(json.dumps(record, indent=1))

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint['meta'].update(getattr(self, 'origin', {}))


def _peak_memory() -> dict[str, int]:
    peak = {}
    if sys.platform == 'linux':  # elsewhere other units, or no such module
        import resource
        peak['peak_host_mib'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if torch.cuda.is_available():
        peak['peak_gpu_mib'] = torch.cuda.max_memory_allocated() >> 20
    return peak
