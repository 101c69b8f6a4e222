"""The log of a run, from whichever of its files there are."""
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization import csv_backend
from mmconvmixer.visualization.runs import read_run

# What mmengine's LocalVisBackend writes for each start of a run.
SCALARS, CONFIG = 'scalars.json', 'config.py'
RECORD = 'run.json'
SOURCES = f'<start>/vis_data/{SCALARS}, {csv_backend.NAME} or {RECORD}'

Row = dict[str, float]


@dataclass(frozen=True)
class Log:
    """What a run logged.

    Attributes:
        name: of the run: its work dir, or its file.
        path: where it was read.
        rows: log lines in the order of their `iter`, the iterations done; with
            `epoch`, the one they are of, where known, and figures by name.
        epoch_length: iterations of an epoch; None of a run without epochs, and
            where less than two were logged.
        notes: what was left out, for the reader to know.
    """
    name: str
    path: Path
    rows: list[Row]
    epoch_length: int | None = None
    notes: tuple[str, ...] = ()

    def curve(self, metric: str) -> list[tuple[float, float]]:
        """Return (iterations done, value) wherever the metric was logged."""
        return [(row['iter'], row[metric]) for row in self.rows if metric in row]


def read_log(path: str | Path) -> Log:
    """Read the log of one run.

    Args:
        path: a work dir, whose starts are put together to one run: where two
            overlap, the later holds, and one that did not resume begins anew;
            a single start's folder in it; or a `scalars.json`, `scalars.csv` or
            `run.json`, under any name.

    Raises:
        BadConfig: nothing there, no log, or a damaged one. (A last line that is
            cut off is left out, which `notes` says: the run may be writing it.)
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise BadConfig(f'{path} is not there; expected a work dir, or a file {SOURCES} of one')
    if path.suffix == '.csv':
        rows, notes = _read_csv(path)
        return _log(_name(path), path, rows, None, notes)
    if path.suffix == '.json':
        if _is_record(path):
            return _of_record(path)
        length = _length_beside(path.parent.parent.parent)
        lines, notes = _read_json_lines(path)
        return _log(_name(path), path, _with_iterations(lines, length), length, notes)
    raise BadConfig(f'{path} is no log of a run; expected a work dir, or a file {SOURCES} of one')


def read_logs(paths: Sequence[str | Path]) -> list[Log]:
    """Read several runs, once each; runs of one name get their folders before it.

    Raises:
        BadConfig: see `read_log`.
    """
    logs = list({log.path.resolve(): log for log in map(read_log, paths)}.values())
    return [replace(log, name=name) for name, log in zip(_told_apart(logs), logs, strict=True)]


def _told_apart(logs: list[Log]) -> list[str]:
    names, paths = [log.name for log in logs], [log.path.resolve() for log in logs]
    for depth in range(2, 1 + max(len(path.parts) for path in paths)):
        double = {name for name in names if names.count(name) > 1}
        names = [str(Path(*path.parts[-depth:])) if name in double else name
                 for name, path in zip(names, paths, strict=True)]
    return names


def _name(file: Path) -> str:
    file = file.resolve()
    if file.parent.name == 'vis_data':
        return _name_of_start(file.parent.parent)
    if file.name in (SCALARS, csv_backend.NAME, RECORD):
        return file.parent.name
    return file.stem


def _name_of_start(folder: Path) -> str:
    return '/'.join(folder.resolve().parts[-2:])


def _read_folder(folder: Path) -> Log:
    folder = folder.parent if folder.resolve().name == 'vis_data' else folder
    if (folder / 'vis_data' / SCALARS).is_file():
        log = read_log(folder / 'vis_data' / SCALARS)
        return replace(log, name=_name_of_start(folder), path=folder)
    starts = sorted(path.parent.parent for path in folder.glob(f'*/vis_data/{SCALARS}'))
    if starts:
        return _put_together(folder, starts)
    for name in (csv_backend.NAME, RECORD, SCALARS):
        if (folder / name).is_file():
            return read_log(folder / name)
    found = ', '.join(sorted(path.name for path in folder.iterdir())[:8])
    hint = '; a work dir in it?' if any(folder.glob(f'*/*/vis_data/{SCALARS}')) else ''
    raise BadConfig(f'{folder} is no work dir of a run: expected {SOURCES} in it, found '
                    f'{found or "nothing at all"}{hint}')


def _put_together(work_dir: Path, starts: list[Path]) -> Log:
    read = [_read_json_lines(start / 'vis_data' / SCALARS) for start in starts]
    # A start may be too short to tell by itself.
    lengths = (_length_of(lines) for lines in (
        *(lines for lines, _ in read), [line for lines, _ in read for line in lines]))
    length = _length_beside(work_dir) or next(filter(None, lengths), None)
    rows: list[Row] = []
    for start, (lines, _) in zip(starts, read, strict=True):
        later = _with_iterations(lines, length)
        if later:
            first = min(row['iter'] for row in later) if _resumed(start) else 0
            rows = [row for row in rows if row['iter'] < first] + later
    return _log(work_dir.resolve().name, work_dir, rows, length,
                [note for _, notes in read for note in notes])


def _resumed(start: Path) -> bool:
    config = start / 'vis_data' / CONFIG
    return not config.is_file() or bool(re.search(r'^resume = True$', config.read_text(), re.M))


def _log(name: str, path: Path, rows: list[Row], length: int | None, notes: list[str]) -> Log:
    if not any(row.keys() - {'epoch', 'iter'} for row in rows):
        raise BadConfig(f'{path} holds no line of a log yet; the first comes after '
                        'default_hooks.logger.interval iterations')
    return Log(name, path, sorted(rows, key=lambda row: row['iter']),
               length or _length_of(rows), tuple(notes))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding='utf-8')
    except OSError as error:
        raise BadConfig(f'{path} can not be read: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise BadConfig(f'{path} is no log of a run: it is no text') from error


def _is_record(path: Path) -> bool:
    """Whether a file is one JSON value rather than one a line."""
    text = _read_text(path)
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return not (isinstance(value, dict) and 'step' in value)


def _of_record(path: Path) -> Log:
    history = read_run(path).record['history']
    rows = [_numbers({'epoch': entry.get('epoch'), **entry, **entry.get('metrics', {})})
            for entry in history]
    return _log(_name(path), path, rows, _length_in(history), [])


def _length_beside(work_dir: Path) -> int | None:
    """Return the iterations of an epoch, by the record in a work dir."""
    if not (work_dir / RECORD).is_file():
        return None
    return _length_in(read_run(work_dir / RECORD).record['history'])


def _length_in(history: list[dict]) -> int | None:
    return next((entry['iter'] // entry['epoch'] for entry in reversed(history)
                 if 'epoch' in entry), None)


def _length_of(rows: Iterable[Row]) -> int | None:
    """Return the iterations of an epoch, by the distance of two epochs' first lines."""
    first: dict[float, float] = {}
    for row in rows:
        if 'epoch' in row and 'iter' in row:
            first.setdefault(row['epoch'], row['iter'])
    if len(first) < 2:
        return None
    (epoch, start), *_, (last_epoch, last) = sorted(first.items())
    return round((last - start) / (last_epoch - epoch)) or None


def _read_json_lines(path: Path) -> tuple[list[Row], list[str]]:
    lines = _read_text(path).splitlines()
    parsed, notes = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError('not a JSON object')
        except ValueError as error:
            if number == len(lines):
                notes.append(f'{path}: the last line is cut off and left out')
                break
            raise BadConfig(f'{path}, line {number} is damaged ({error}): {line[:60]!r}; remove '
                            'the line to draw the others') from error
        parsed.append(_numbers(row))
    return parsed, notes


def _with_iterations(rows: list[Row], length: int | None) -> list[Row]:
    """Give validation's lines, which have a `step` only, the iterations done."""
    length = length or _length_of(rows)
    placed, done, epoch = [], 0., None
    for line in rows:
        row = {name: value for name, value in line.items() if name != 'step'}
        step = line.get('step')
        if 'iter' in row:
            done, epoch = row['iter'], row.get('epoch')
        elif step is not None:
            # An epoch, unless log_metric_by_epoch is off: then it is an iteration.
            if step >= done > 0:
                row['iter'] = step
            else:
                row['iter'] = max(done, step * length if length else done)
                if length:
                    row['epoch'] = step
            if epoch is not None:
                row.setdefault('epoch', epoch)
        if row.get('iter'):
            placed.append(row)
    return placed


def _read_csv(path: Path) -> tuple[list[Row], list[str]]:
    text = _read_text(path)
    notes = []
    if text and not text.endswith('\n'):
        notes.append(f'{path}: the last line is cut off and left out')
    columns, table = csv_backend.read_table(path)
    if 'iter' not in columns:
        raise BadConfig(f'{path} is no table of a run: expected a column iter, found '
                        f'{", ".join(columns)[:200] or "nothing at all"}')
    rows = []
    for number, cells in enumerate(table, 2):
        try:
            row = {name: float(cell) for name, cell in cells.items() if cell}
            rows.append({'iter': row.pop('iter'), **row})
        except (KeyError, TypeError, ValueError) as error:
            raise BadConfig(f'{path}, line {number} is damaged: expected numbers under '
                            f'{", ".join(columns)[:200]}; remove the line to draw the '
                            'others') from error
    return rows, notes


def _numbers(row: dict) -> Row:
    return {name: value for name, value in row.items()
            if isinstance(value, int | float) and not isinstance(value, bool)}
