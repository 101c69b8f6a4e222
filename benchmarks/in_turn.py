"""Rows are compared, then timed in turn, each in its own process."""
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.rows import Plan
from benchmarks.worker import Worker, WorkerFailed
from mmconvmixer._support.clock import in_turn
from mmconvmixer.deploy.backends.auto import TOLERANCES

TURN = 0.3  # seconds that a row computes, at least, in each of its turns


@dataclass
class Measured:
    """A row's figures for one batch size; `failure` says why there are none."""
    row: str
    precision: str
    batch_size: int
    difference: float = float('nan')
    failure: str = ''
    note: str = ''
    seconds: list[float] = field(default_factory=list)
    memory: int = 0

    @property
    def median(self) -> float:
        """The median time of one call over the rounds, in seconds."""
        return statistics.median(self.seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return every figure by name."""
        figures = dict(vars(self))
        if self.seconds:
            figures.update(images_per_second=self.batch_size / self.median,
                           latency_ms=1e3 * self.median)
        return figures


def measure(plans: list[Plan], batches: list[np.ndarray], rounds: int,
            say: Callable[[str], None] = print) -> list[Measured]:
    """Return the figures of each row at each batch size.

    A row is not timed if its outputs differ from the first row's by more than its
    precision explains.

    Args:
        plans: the rows; the outputs of the first are the expected ones.
        batches: images (N, C, H, W) float32, one batch for each size.
        rounds: turns of each row.
        say: receives lines of progress.
    """
    workers, measured = [], []
    try:
        for plan in plans:
            say(f'building {plan.title}')
            workers.append(Worker(plan))
        for images in batches:
            measured += _at_one_size(workers, images, rounds, say)
    finally:
        for worker in workers:
            worker.end()
    return measured


def _at_one_size(workers: list[Worker], images: np.ndarray, rounds: int,
                 say: Callable[[str], None]) -> list[Measured]:
    rows, turns, expected = [], {}, None
    for number, worker in enumerate(workers):
        plan = worker.plan
        row = Measured(plan.row, plan.precision, len(images), failure=worker.failure,
                       note=worker.note)
        rows.append(row)
        if row.failure:
            continue
        try:
            outputs = worker.outputs(images)
            worker.reset_peak_memory()
            warm = worker.seconds(images, 1)
        except WorkerFailed as error:
            row.failure = str(error)[:300]
            continue
        expected = outputs if expected is None else expected
        # A training step's loss and gradient norm must each be right.
        scale = np.abs(expected) if plan.train else np.abs(expected).max()
        row.difference = float((np.abs(outputs - expected) / scale).max())
        if not row.difference <= TOLERANCES[plan.precision]:
            row.failure = f'another function: outputs differ by {row.difference:.2g} of the largest'
            continue
        turns[number] = partial(_turn, worker, row, images, max(1, round(TURN / warm)))
    say(f'timing {len(turns)} rows at batch {len(images)}, {rounds} rounds')
    in_turn(turns, rounds)
    return rows


def _turn(worker: Worker, row: Measured, images: np.ndarray, repeats: int) -> None:
    """Add one turn to a row's figures, or note why its process failed."""
    if row.failure:
        return
    try:
        row.seconds.append(worker.seconds(images, repeats))
        row.memory = worker.peak_memory()
    except WorkerFailed as error:  # for example, it ran out of memory
        row.failure, row.seconds = str(error)[:300], []


def table(measured: list[Measured], train: bool = False) -> str:
    """Return the figures in columns; the last line names the row that ratios refer to."""
    lines = [f'{"batch":>5}  {"row":<24}{"img/s":>8}{"ms a step" if train else "ms a batch":>11}'
             f'{"spread":>15}{"MB":>7}{"ratio":>7}  difference']
    first: dict[int, Measured] = {}
    for row in measured:
        title = f'{row.row} {row.precision}'
        if not row.seconds:
            lines.append(f'{row.batch_size:>5}  {title:<24}not timed: {row.failure}')
            continue
        base = first.setdefault(row.batch_size, row)
        spread = f'{1e3 * min(row.seconds):.1f}-{1e3 * max(row.seconds):.1f}'
        ratio = statistics.median(a / b for a, b in zip(base.seconds, row.seconds, strict=True))
        lines.append(
            f'{row.batch_size:>5}  {title:<24}{row.batch_size / row.median:>8.2f}'
            f'{1e3 * row.median:>11.1f}{spread:>15}{row.memory / 2**20:>7.0f}{ratio:>7.2f}'
            f'  {row.difference:.1e}' + (f' ({row.note})' if row.note else ''))
    bases = {f'{row.row} {row.precision}' for row in first.values()}
    return '\n'.join([*lines, '', f'ratio: to {" and ".join(sorted(bases))} in the same run'])


def machine(threads: int, device: str) -> str:
    """Return in one line the machine that is measured."""
    if device == 'cuda':
        return f'{torch.cuda.get_device_name()}, torch {torch.__version__}'
    cores = sorted(os.sched_getaffinity(0))[:threads] if hasattr(os, 'sched_getaffinity') else '?'
    return (f'{processor_name()}, {threads} threads on cores {cores}, torch {torch.__version__}')


def processor_name() -> str:
    """Return the processor's model name."""
    try:
        with open('/proc/cpuinfo') as file:
            return next(line.partition(':')[2].strip() for line in file
                        if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
