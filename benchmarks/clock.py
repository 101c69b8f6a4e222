"""Timing functions in turn, so that what else the machine does hits all alike."""
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call in each round."""
    times: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    def figures(self) -> dict:
        return dict(ms=self.median, least=min(self.times), most=max(self.times),
                    rounds=len(self.times), times=self.times)


def time_in_turn(functions: dict[str, Callable[[], object]], rounds: int,
                 seconds: float = float('inf'), warm_up: int = 3,
                 alone: bool = False) -> dict[str, Timing]:
    """Call each function once a round, and return how long each took.

    Args:
        functions: by name.
        rounds: how many, fewer (but five) if they take more than `seconds`.
        alone: see `milliseconds`.
    """
    for function in functions.values():
        for _ in range(warm_up):
            function()
    taken = {name: [] for name in functions}
    end = time.monotonic() + seconds
    for number in range(rounds):
        if number >= 5 and time.monotonic() > end:
            break
        for name, function in functions.items():
            taken[name].append(milliseconds(function, alone))
    return {name: Timing(tuple(times)) for name, times in taken.items()}


def milliseconds(function: Callable[[], object], alone: bool = False) -> float:
    """Return how long a call takes.

    Args:
        alone: of a GPU, the time of its work without that of Python's before
            it, and with nothing of an earlier call left in its caches.
    """
    if DEVICE == 'cpu':
        start = time.perf_counter()
        function()
        return 1e3 * (time.perf_counter() - start)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    if alone:
        torch.empty(256 << 20, dtype=torch.uint8, device=DEVICE).zero_()
    torch.cuda.synchronize()
    if alone:
        torch.cuda._sleep(2_000_000)  # about a millisecond, in which the work queues up
    start.record()
    function()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)
