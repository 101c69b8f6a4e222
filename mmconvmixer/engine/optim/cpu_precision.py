"""The precision in which a training with mixed precision computes on a CPU."""
import logging
import statistics
import time
from typing import Any

import torch
from mmengine.logging import print_log

from mmconvmixer._support.processor import supported_precision
from mmconvmixer.engine.agree import by_first_process

PRECISIONS = ('float32', 'bfloat16')
ROUNDS = 6  # iterations in each precision; the first of each is a warm-up


class CpuPrecision:
    """Chooses between bfloat16 and float32, so that mixed precision does not slow a run down.

    A processor without bfloat16 instructions computes in float32. With them, bfloat16 is
    faster for some networks and slower for others: it speeds products up, but the kernels in
    C++ (`ops.fused`) take float32 only. So the first iterations take turns, and the
    faster precision computes all others. They are iterations of the training like any other.

    A choice by the clock may differ from run to run. Deterministic runs (`randomness`)
    compute in float32 unless bfloat16 was asked for.

    Args:
        asked: whether the config asks for bfloat16, which is then not compared with float32.
    """

    def __init__(self, asked: bool) -> None:
        self._chosen: str | None = None
        self._seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
        self._since: float | None = None
        if supported_precision('bfloat16') == 'float32':
            self._chosen = 'float32'
        elif asked:
            self._chosen = 'bfloat16'
        elif torch.are_deterministic_algorithms_enabled():
            self._chosen = 'float32'
            print_log('mixed precision: this run is deterministic, and which precision is faster '
                      'would be decided by the clock: computing in float32 (set '
                      "optim_wrapper.dtype='bfloat16' for bfloat16)", 'current', logging.WARNING)
        self._is_fixed = self._chosen is not None

    @property
    def of_this_iteration(self) -> str:
        """The precision in which the current iteration computes."""
        return self._chosen or min(PRECISIONS, key=lambda each: len(self._seconds[each]))

    def begin(self) -> None:
        """Start the clock of an iteration, unless it runs."""
        if self._chosen is None and self._since is None:
            if not any(self._seconds.values()):
                print_log(f'mixed precision: the first {2 * ROUNDS} iterations take turns in '
                          'float32 and bfloat16, and the faster one computes the others',
                          'current')
            self._since = time.perf_counter()

    def end(self) -> None:
        """Stop the clock of an iteration, and choose after the last one that is timed."""
        if self._since is None:
            return
        self._seconds[self.of_this_iteration].append(time.perf_counter() - self._since)
        self._since = None
        if all(len(times) == ROUNDS for times in self._seconds.values()):
            self._choose()

    def state_dict(self) -> dict[str, Any]:
        """Return the choice, and what it is made from."""
        return dict(chosen=self._chosen,
                    seconds={name: list(times) for name, times in self._seconds.items()})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as the run that is resumed, or log that this is not possible."""
        if not self._is_fixed:
            self._chosen = state['chosen']
            self._seconds = {name: list(times) for name, times in state['seconds'].items()}
        elif state['chosen'] != self._chosen:
            before = state['chosen'] or ' and '.join(PRECISIONS)
            print_log(f'mixed precision: the run computed in {before} so far and continues in '
                      f'{self._chosen}: its weights will not be those of an uninterrupted run',
                      'current', logging.WARNING)

    def _choose(self) -> None:
        medians = {name: statistics.median(times[1:]) for name, times in self._seconds.items()}
        # Of several processes the first decides for all.
        self._chosen = by_first_process(lambda: min(medians, key=medians.__getitem__))
        print_log('mixed precision: an iteration takes ' + ', '.join(
            f'{1e3 * seconds:.3g} ms in {name}' for name, seconds in medians.items())
            + f'; continuing in {self._chosen}', 'current')
