"""A row's process: builds it, answers, and times itself when it is told to."""
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import perf_counter

import numpy as np
import torch

from mmconvmixer.benchmarks.rows import Plan, build_row


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
        self.note, self.failure = self._receive()

    def answer(self, images: np.ndarray) -> np.ndarray:
        """Return the row's logits (N, classes) for images (N, C, H, W)."""
        return self._ask('answer', images)

    def seconds(self, images: np.ndarray, repeats: int) -> float:
        """Return the mean time of one of `repeats` calls."""
        return self._ask('seconds', images, repeats)

    def memory(self) -> int:
        """Return the most memory that the process had, or took of the GPU, in bytes."""
        return self._ask('memory')

    def end(self) -> None:
        if self._process.is_alive():
            self._pipe.send(('end',))
        self._process.join(10)
        self._process.kill()

    def _ask(self, *message):
        self._pipe.send(message)
        return self._receive()

    def _receive(self):
        try:
            value = self._pipe.recv()
        except EOFError:
            self._process.join()
            return '', f'its process ended ({self._process.exitcode})'
        if isinstance(value, BaseException):
            raise value
        return value


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
            pipe.send(RuntimeError(f'{plan.title}: {type(error).__name__}: {error}'))


def _reply(run, plan: Plan, what: str, *details):
    if what == 'memory':
        return (torch.cuda.max_memory_allocated() if plan.device == 'cuda'
                else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    images = torch.from_numpy(details[0])
    if what == 'answer':
        return run(images).numpy()
    run(images)  # what the last row's turn left in the caches is not this one's fault
    start = perf_counter()
    for _ in range(details[1]):
        run(images)
    return (perf_counter() - start) / details[1]
