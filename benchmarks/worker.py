"""A row's process: builds it, answers, and times itself when it is told to."""
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from benchmarks.rows import Plan, build_row


class Worker:
    """A row in a process of its own, at rest unless it is asked.

    Args:
        plan: of the row.

    Attributes:
        note: what the row chose while it was built.
        failure: why it could not be built, or ''.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        context = get_context('spawn')
        self._pipe, theirs = context.Pipe()
        with _threads(plan.threads):
            self._process = context.Process(target=_serve, args=(theirs, plan), daemon=True)
            self._process.start()
        theirs.close()
        try:
            self.note, self.failure = self._receive()
        except WorkerFailed as error:
            self.note, self.failure = '', str(error)

    def answer(self, images: np.ndarray) -> np.ndarray:
        """Return the row's logits (N, classes) for images (N, C, H, W)."""
        return self._ask('answer', images)

    def seconds(self, images: np.ndarray, repeats: int) -> float:
        """Return the mean time of one of `repeats` calls."""
        return self._ask('seconds', images, repeats)

    def forget_memory(self) -> None:
        """Let `memory` be of what comes now."""
        self._ask('forget memory')

    def memory(self) -> int:
        """Return the most memory that the process has had, or took of the GPU, in bytes."""
        return self._ask('memory')

    def end(self) -> None:
        if self._process.is_alive():
            with suppress(OSError):  # it has just ended by itself
                self._pipe.send(('end',))
            self._process.join(10)
        self._process.kill()

    def _ask(self, *message):
        try:
            self._pipe.send(message)
        except OSError as error:
            raise WorkerFailed(self._ending()) from error
        return self._receive()

    def _receive(self):
        try:
            value = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerFailed(self._ending()) from error
        if isinstance(value, WorkerFailed):
            raise value
        return value

    def _ending(self) -> str:
        self._process.join(10)
        return f'{self.plan.title}: its process ended with {self._process.exitcode}'


class WorkerFailed(Exception):
    """A row that can not compute, or not any more."""


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let a process that is started meanwhile have so many threads."""
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
    except Exception as error:  # of any library; the other rows go on
        pipe.send(('', f'{type(error).__name__}: {" ".join(str(error).split())[:300]}'))
        return
    pipe.send((note, ''))
    while (message := pipe.recv())[0] != 'end':
        try:
            pipe.send(_reply(run, plan, *message))
        except Exception as error:
            pipe.send(WorkerFailed(f'{plan.title}: {type(error).__name__}: {error}'))


def _reply(run, plan: Plan, what: str, *details):
    if what == 'forget memory':
        if plan.device == 'cuda':
            torch.cuda.reset_peak_memory_stats()
        elif _CLEAR.exists():
            _CLEAR.write_text('5')  # the most that is resident, counted from now
        return None
    if what == 'memory':
        return torch.cuda.max_memory_allocated() if plan.device == 'cuda' else _most_resident()
    images = torch.from_numpy(details[0])
    if what == 'answer':
        return run(images).numpy()
    run(images)  # what the last row's turn left in the caches is not this one's fault
    start = perf_counter()
    for _ in range(details[1]):
        run(images)
    return (perf_counter() - start) / details[1]


_CLEAR, _STATUS = Path('/proc/self/clear_refs'), Path('/proc/self/status')


def _most_resident() -> int:
    if not _STATUS.exists():
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith('VmHWM'))
    return 1024 * int(line.split()[1])
