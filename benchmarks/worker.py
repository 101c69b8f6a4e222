"""A row's process: it builds the row, computes its outputs, and times it when asked."""
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.rows import Plan, Run, build_row
from mmconvmixer._support.clock import milliseconds


class Worker:
    """A row in a process of its own, idle unless it gets a request.

    Args:
        plan: what the row computes.

    Attributes:
        note: what the row chose while it was built.
        failure: why it could not be built, or ''.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        context = get_context('spawn')
        self._pipe, worker_end = context.Pipe()
        with _threads(plan.threads):
            self._process = context.Process(target=_serve, args=(worker_end, plan), daemon=True)
            self._process.start()
        worker_end.close()
        try:
            self.note, self.failure = self._receive()
        except WorkerFailed as error:
            self.note, self.failure = '', str(error)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Return the row's outputs, such as logits (N, classes), for images (N, C, H, W)."""
        return self._ask(_outputs, images)

    def seconds(self, images: np.ndarray, repeats: int) -> float:
        """Return the mean time of one of `repeats` calls."""
        return self._ask(_seconds, images, repeats)

    def reset_peak_memory(self) -> None:
        """Measure `peak_memory` from now on."""
        self._ask(_reset_peak_memory)

    def peak_memory(self) -> int:
        """Return the largest memory of the process, or of its GPU tensors, in bytes."""
        return self._ask(_peak_memory)

    def end(self) -> None:
        """End the process."""
        if self._process.is_alive():
            with suppress(OSError):  # it has already ended
                self._pipe.send(None)
            self._process.join(10)
        self._process.kill()

    def _ask(self, question: Callable[..., Any], *details: Any) -> Any:
        try:
            self._pipe.send((question, *details))
        except OSError as error:
            raise WorkerFailed(self._exit()) from error
        return self._receive()

    def _receive(self) -> Any:
        try:
            value = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerFailed(self._exit()) from error
        if isinstance(value, WorkerFailed):
            raise value
        return value

    def _exit(self) -> str:
        self._process.join(10)
        return f'{self.plan.title}: its process ended with {self._process.exitcode}'


class WorkerFailed(Exception):
    """A row that cannot compute."""


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Set the number of threads of a process that is started inside this context."""
    names = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, plan: Plan) -> None:
    if hasattr(os, 'sched_setaffinity'):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:plan.threads])
    torch.set_num_threads(plan.threads)
    try:
        run, note = build_row(plan)
    except Exception as error:  # libraries raise anything; the other rows go on
        pipe.send(('', f'{type(error).__name__}: {" ".join(str(error).split())[:300]}'))
        return
    pipe.send((note, ''))
    while (message := pipe.recv()) is not None:
        question, *details = message
        try:
            pipe.send(question(run, plan, *details))
        except Exception as error:
            pipe.send(WorkerFailed(f'{plan.title}: {type(error).__name__}: {error}'))


def _outputs(run: Run, plan: Plan, images: np.ndarray) -> np.ndarray:
    return run(torch.from_numpy(images)).numpy()


def _seconds(run: Run, plan: Plan, images: np.ndarray, repeats: int) -> float:
    batch = torch.from_numpy(images)
    run(batch)  # refill the caches, which hold the last row's data

    def calls() -> None:
        for _ in range(repeats):
            run(batch)
    # Wall-clock time, also on a GPU: the outputs come back to the CPU.
    return 1e-3 * milliseconds(calls, device='cpu') / repeats


_CLEAR, _STATUS = Path('/proc/self/clear_refs'), Path('/proc/self/status')


def _reset_peak_memory(run: Run, plan: Plan) -> None:
    if plan.device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    elif _CLEAR.exists():
        _CLEAR.write_text('5')  # Linux's command to reset the peak of resident memory


def _peak_memory(run: Run, plan: Plan) -> int:
    if plan.device == 'cuda':
        return torch.cuda.max_memory_allocated()
    if not _STATUS.exists():
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith('VmHWM'))
    return 1024 * int(line.split()[1])
