"""A run's log as a table for spreadsheets."""
import csv
import io
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.visualization import BaseVisBackend

from mmconvmixer._support.atomic_write import atomic_write

NAME = 'scalars.csv'
FIRST = ('epoch', 'iter')


class CSVVisBackend(BaseVisBackend):
    """Write `<work_dir>/scalars.csv`: a row for each log line, a column for each figure.

    The first two columns are the epoch and the iterations done so far. A figure that a
    line does not have, such as the accuracy between validations, is an empty cell.
    Validation's own times are `val/time` and `val/data_time`. A figure that occurs for
    the first time gets a new last column, and the table is rewritten; otherwise rows are
    appended, and each is on disk when the next iteration begins.

    A resumed run continues the same table: what an earlier start logged after the point
    of resumption is dropped, and so is a row that was cut off when the run was killed. A
    new run in an old folder begins a new table.

    Args:
        save_dir: for `<work_dir>/<start>/vis_data`, which mmengine's runner passes, the
            table is written to the work dir; for any other folder, to that folder. With None,
            as from a visualizer that only draws, nothing is written.
    """

    def __init__(self, save_dir: str | Path | None) -> None:
        super().__init__(str(save_dir))
        self._off = save_dir is None
        self.path = Path(save_dir or '', NAME)
        self._continues = True
        self._columns: list[str] | None = None

    @property
    def experiment(self) -> 'CSVVisBackend':
        """This backend itself."""
        return self

    def _init_env(self) -> None:
        """Do nothing: a test run writes no scalars and must not touch the table."""

    def add_config(self, config: Config) -> None:
        """Read from the run's config where the table is, and whether to continue it."""
        self._continues = bool(config.get('resume'))
        folder, work_dir = self.path.parent.absolute(), config.get('work_dir')
        if (work_dir and folder.name == 'vis_data'
                and folder.parent.parent == Path(work_dir).absolute()):
            self.path = folder.parent.parent / NAME

    def add_scalar(self, name: str, value: Any, step: int = 0) -> None:
        """Write a row with one figure; see `add_scalars`."""
        self.add_scalars({name: value}, step)

    def add_scalars(self, scalar_dict: dict, step: int = 0,
                    file_path: str | None = None) -> None:
        """Write a row.

        Args:
            scalar_dict: figures by name.
            step: the iteration, outside of a run that counts iterations.
            file_path: not used; other backends take it.
        """
        if self._off:
            return
        row = _with_time(scalar_dict, step)
        if self._columns is None:
            self._begin(row)
        new = [name for name in row if name not in self._columns]
        if new:
            _, rows = read_table(self.path)
            self._columns += new
            self._rewrite(rows)
        with open(self.path, 'a', newline='', encoding='utf-8') as file:
            file.write(_line([row.get(name) for name in self._columns]))

    def _begin(self, row: dict[str, Any]) -> None:
        self._columns, rows = list(row), []
        if self._continues and self.path.is_file():
            columns, before = read_table(self.path)
            if 'iter' in columns:
                self._columns = columns
                rows = [old for old in before if _comes_before(old, row)]
        self._rewrite(rows)

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        with atomic_write(self.path) as part:
            lines = [self._columns, *([row.get(name) for name in self._columns] for row in rows)]
            part.write_text(''.join(map(_line, lines)), encoding='utf-8', newline='')


def read_table(path: str | Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and the rows, without an incomplete last one."""
    text = Path(path).read_text(encoding='utf-8', errors='replace')
    whole = text[:text.rfind('\n') + 1]
    reader = csv.DictReader(io.StringIO(whole, newline=''))
    rows = list(reader)
    return list(reader.fieldnames or ()), rows


def _with_time(scalars: dict, step: int) -> dict[str, Any]:
    hub = MessageHub.get_current_instance()
    validation = 'iter' not in scalars
    # `step` is an epoch after validation, but an iteration in training.
    done = {name: scalars.get(name, hub.runtime_info.get(name)) for name in FIRST}
    if validation:
        done = {name: None if value is None else value + 1 for name, value in done.items()}
    if done['iter'] is None:
        done['iter'] = step
    figures = {f'val/{name}' if validation and name in ('time', 'data_time') else name: value
               for name, value in scalars.items() if name not in FIRST}
    return {**done, **figures}


def _comes_before(old: dict[str, str], first: dict[str, Any]) -> bool:
    """Whether a row of an earlier start is not repeated from the first row of this one on."""
    # A resumed run may begin with a validation, which follows the training's row.
    same = 'val/time' in first and _iteration(old) == first['iter'] and not old.get('val/time')
    return same or _iteration(old) < first['iter']


def _iteration(row: dict[str, str]) -> float:
    try:
        return float(row['iter'])
    except (KeyError, TypeError, ValueError):
        return float('inf')  # a damaged row: dropped like those after the point of resumption


def _line(cells: list) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator='\n').writerow(map(_cell, cells))
    return line.getvalue()


def _cell(value: Any) -> Any:
    if hasattr(value, 'item'):  # torch or numpy
        value = value.item()
    return f'{value:.6g}' if isinstance(value, float) else value
