"""Lines like `test: 12/16 batches, 3.1/s, eta 0:00:12`, wherever one waits."""
import sys
import time
from collections.abc import Callable
from datetime import timedelta


class Progress:
    """Says how far a long task is: first after 2 s, then every 10 s.

    Whole lines, not a redrawn bar: logs and terminals read the same.

    Args:
        task: what runs, the line's first word.
        total: units in all; 0 where nobody knows.
        unit: plural name of one step.
        done: units that were finished before, which count for no rate.
        say: where lines go. Default: standard error.
    """

    FIRST, INTERVAL = 2., 10.

    def __init__(self, task: str, total: int, unit: str, *, done: int = 0,
                 say: Callable[[str], None] | None = None):
        self.task, self.total, self.unit = task, total, unit
        self._say = say or (lambda line: print(line, file=sys.stderr, flush=True))
        self._before = done
        self._start = time.monotonic()
        self._next = self._start + self.FIRST

    def update(self, done: int) -> None:
        """Note that `done` units are finished, and say so if it is time."""
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
