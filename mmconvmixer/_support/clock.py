"""The one clock: calls are timed in turn, so that other load on the machine affects all equally."""
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'

Key = TypeVar('Key', bound=Hashable)
Result = TypeVar('Result')


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call in each round."""
    times: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median over the rounds, in milliseconds."""
        return statistics.median(self.times)

    def figures(self) -> dict[str, Any]:
        """Return median, least and most milliseconds, the rounds, and every time."""
        return dict(ms=self.median, least=min(self.times), most=max(self.times),
                    rounds=len(self.times), times=self.times)

    def ratios_to(self, base: 'Timing') -> list[float]:
        """Return this time over the base's, round by round, in increasing order."""
        return sorted(own / other for own, other in zip(self.times, base.times, strict=True))


def in_turn(functions: Mapping[Key, Callable[[], Result]], rounds: int,
            seconds: float = float('inf')) -> dict[Key, list[Result]]:
    """Call each function once a round, and return what it returned in each.

    Args:
        functions: what to call, by name.
        rounds: how many; fewer, but at least five, if they take more than `seconds`.
        seconds: see `rounds`.
    """
    results: dict[Key, list[Result]] = {name: [] for name in functions}
    end = time.monotonic() + seconds
    for number in range(rounds):
        if number >= 5 and time.monotonic() > end:
            break
        for name, function in functions.items():
            results[name].append(function())
    return results


def time_in_turn(functions: Mapping[Key, Callable[[], object]], rounds: int,
                 seconds: float = float('inf'), warm_up: int = 3, alone: bool = False,
                 device: str = DEVICE) -> dict[Key, Timing]:
    """Time one call of each function in every round.

    Args:
        functions: what to time, by name.
        rounds, seconds: see `in_turn`.
        warm_up: calls of each function before the first round.
        alone, device: see `milliseconds`.
    """
    for function in functions.values():
        for _ in range(warm_up):
            function()
    stopwatches = {name: partial(milliseconds, function, alone, device)
                   for name, function in functions.items()}
    return {name: Timing(tuple(times))
            for name, times in in_turn(stopwatches, rounds, seconds).items()}


def fastest(functions: Mapping[Key, Callable[[], object]]) -> Key:
    """Return the name of the function with the smallest median of three calls on the CPU."""
    timings = time_in_turn(functions, rounds=3, warm_up=1, device='cpu')
    return min(timings, key=lambda name: timings[name].median)


def milliseconds(function: Callable[[], object], alone: bool = False,
                 device: str = DEVICE) -> float:
    """Return how long one call takes.

    Args:
        function: what to time.
        alone: on a GPU, measure its work without Python's before it, and with an
            empty cache.
        device: 'cuda' measures the GPU's work with events. 'cpu' measures wall-clock
            time, which includes a GPU's work only where the function waits for it.
    """
    if device == 'cpu':
        return timed(function)[1]
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    if alone:
        torch.empty(256 << 20, dtype=torch.uint8, device=device).zero_()
    torch.cuda.synchronize()
    if alone:
        torch.cuda._sleep(2_000_000)  # about a millisecond, during which the work is queued
    start.record()
    function()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def timed(function: Callable[..., Result], *arguments: Any,
          now: Callable[[], float] = time.perf_counter) -> tuple[Result, float]:
    """Call a function; return its result and the milliseconds on the clock `now`.

    `time.thread_time` counts the calling thread's processor time only, which other
    programs on the machine change little.
    """
    start = now()
    result = function(*arguments)
    return result, 1e3 * (now() - start)
