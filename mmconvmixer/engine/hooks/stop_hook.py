"""Stop a training on a signal, so that it can be resumed at the same iteration."""
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, barrier, get_world_size, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from mmconvmixer.engine.hooks.checkpoint_hook import INTERRUPTED, record_last

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A launcher passes on a signal that its processes have got already.
_SAME_REQUEST = 1.  # seconds


class StopHook(Hook):
    """After SIGTERM or SIGINT, finish the iteration, save a checkpoint and end the process.

    The exit code is 143 or 130, as a shell reports these signals. A second signal ends the
    process at once.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self._signal, self._since, self._listens = 0, 0., False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals in this block; only a process's main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        self._listens = True
        try:
            yield
        finally:
            self._listens = False
            for number, handler in before.items():
                signal.signal(number, handler)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Stop after this iteration if a process got a signal."""
        if self._listens and self._agreed():
            self._stop(runner, epoch=runner.epoch, iter=runner.iter + 1)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                       outputs: Any = None) -> None:
        """Stop in a validation, which a resumed run repeats."""
        # Processes may have different numbers of validation batches, so several of them
        # have to complete the validation before they can agree.
        if self._listens and self._signal and get_world_size() == 1:
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):  # put the weights back that it validates
                    hook.after_val_epoch(runner)
            self._stop(runner, epoch=runner.epoch, iter=runner.iter)

    def after_val(self, runner: Runner) -> None:
        """Stop after the validation of several processes."""
        if self._listens and get_world_size() > 1 and self._agreed():
            self._stop(runner, epoch=runner.epoch, iter=runner.iter)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if get_world_size() == 1:  # also ends a process that computes and runs no handler
            for each in SIGNALS:
                signal.signal(each, signal.SIG_DFL)
        elif not self._signal:
            self._since = time.monotonic()
        elif time.monotonic() - self._since > _SAME_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._signal = self._signal or number

    def _agreed(self) -> int:
        """Return the signal that any process got, 0 if none did."""
        if get_world_size() > 1:
            received = torch.tensor([self._signal], device=get_device())
            all_reduce(received, 'max')
            self._signal = int(received)
        return self._signal

    def _stop(self, runner: Runner, **meta: int) -> None:
        name = signal.Signals(self._signal).name
        runner.save_checkpoint(runner.work_dir, INTERRUPTED, meta=dict(meta))
        if is_main_process():
            path = os.path.join(runner.work_dir, INTERRUPTED)
            record_last(runner, path)
            runner.logger.info(f'Stopped by {name} after {meta["iter"]} iterations; --resume '
                               f'continues from {path}')
        barrier()  # a launcher ends the others when the first one ends
        raise SystemExit(128 + self._signal)


def shield_loader_process() -> None:
    """Let this loader process go on after a signal that the whole run gets.

    A terminal and a cluster's scheduler signal all processes of a run. Without its loader
    processes, the main one could not finish its iteration. They end when it ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, 'sigwaitinfo'):
        # The main process ends its loader processes by SIGTERM, so the sender matters, and
        # a handler in Python does not learn it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_if_parent_asks, daemon=True).start()


def _end_if_parent_asks() -> None:
    parent = multiprocessing.parent_process()  # os.getppid() may be a fork server
    if parent is not None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent.pid:
            pass
        os._exit(0)
