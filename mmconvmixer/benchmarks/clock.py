"""Timing functions in turn, so that what else the machine does hits all alike."""
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: median, least and most over the rounds."""
    median: float
    least: float
    most: float


def time_in_turn(functions: dict[str, Callable[[], object]], rounds: int,
                 warm_up: int = 3) -> dict[str, Timing]:
    """Call each function once a round, and return how long each took."""
    for function in functions.values():
        for _ in range(warm_up):
            function()
    taken = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            taken[name].append(milliseconds(function))
    return {name: Timing(statistics.median(times), min(times), max(times))
            for name, times in taken.items()}


def milliseconds(function: Callable[[], object]) -> float:
    if DEVICE == 'cpu':
        start = time.perf_counter()
        function()
        return 1e3 * (time.perf_counter() - start)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    function()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)
