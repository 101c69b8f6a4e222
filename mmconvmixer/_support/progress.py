"""Progress lines like `test: 12/16 batches, 3.1/s, eta 0:00:12`."""
import sys
import time
from collections.abc import Callable
from datetime import timedelta


class Progress:
    """Reports the progress of a long task: first after 2 s, then every 10 s.

    It prints whole lines instead of redrawing a bar, so that they also suit log files.

    Args:
        task: what runs; the line begins with it.
        total: the number of units; 0 if it is unknown.
        unit: plural name of the units.
        done: units that were finished before the start; the rate leaves them out.
        say: called with each line. Default: print it to standard error.
    """

    FIRST, INTERVAL = 2., 10.

    def __init__(self, task: str, total: int, unit: str, *, done: int = 0,
                 say: Callable[[str], None] | None = None) -> None:
        self.task, self.total, self.unit = task, total, unit
        self._say = say or (lambda line: print(line, file=sys.stderr, flush=True))
        self._before = done
        self._start = time.monotonic()
        self._next = self._start + self.FIRST

    def update(self, done: int) -> None:
        """Record that `done` units are finished, and report it if it is time to."""
        now = time.monotonic()
        if now < self._next or done == self._before:
            return
        self._next = now + self.INTERVAL
        rate = (done - self._before) / (now - self._start)
        of_total = f'/{self.total}' if self.total else ''
        line = f'{self.task}: {done}{of_total} {self.unit}, {rate:.3g}/s'
        if self.total:
            eta = timedelta(seconds=round((self.total - done) / rate))
            line += f', eta {eta}'
        self._say(line)
