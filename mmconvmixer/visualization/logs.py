"""The log of a run, read from whichever of its files there are."""
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmconvmixer.checkpoints.run_record import RECORD, read_run_record
from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization import csv_backend
from mmconvmixer.visualization.log_files import (
    Row,
    is_record,
    numbers,
    read_csv,
    read_json_lines,
    read_record,
)

# mmengine's LocalVisBackend writes these for each start of a run.
SCALARS, CONFIG = 'scalars.json', 'config.py'
SOURCES = f'<start>/vis_data/{SCALARS}, {csv_backend.NAME} or {RECORD}'


@dataclass(frozen=True)
class Log:
    """What a run logged.

    Attributes:
        name: the run's work dir, or its file.
        path: what it was read from.
        rows: log lines in order of their `iter`, the iterations done. A row also has its
            `epoch` where that is known, and figures by name.
        epoch_length: iterations in an epoch; None for a run without epochs, and where
            fewer than two epochs were logged.
        notes: what was left out, for people to read.
        record: the whole run.json (see `RecordHook`), if the log was read from one.
    """
    name: str
    path: Path
    rows: list[Row]
    epoch_length: int | None = None
    notes: tuple[str, ...] = ()
    record: dict | None = None

    def curve(self, metric: str) -> list[tuple[float, float]]:
        """Return (iterations done, value) wherever the metric was logged."""
        return [(row['iter'], row[metric]) for row in self.rows if metric in row]

    def figures(self) -> list[str]:
        """Return the names of all figures that were logged, sorted."""
        return sorted({name for row in self.rows for name in row} - {'epoch', 'iter'})


def read_log(path: str | Path) -> Log:
    """Read the log of one run.

    Args:
        path: a work dir, whose starts are joined to one run: where two overlap, the later
            one counts, and a start that did not resume discards those before it. Or the
            folder of a single start in a work dir. Or a `scalars.json`, `scalars.csv` or
            `run.json`, under any name.

    Raises:
        BadConfig: nothing is there, it is not a log, or it is damaged. (An incomplete last
            line is skipped and mentioned in `notes`: the run may be writing it.)
    """
    log = _read(Path(path))
    if not log.figures():
        raise BadConfig(f'{log.path} has no log line yet; the first comes after '
                        'default_hooks.logger.interval iterations')
    return log


def read_logs(paths: Sequence[str | Path]) -> list[Log]:
    """Read several runs, each once; runs with the same name get their parent folders before it.

    Raises:
        BadConfig: see `read_log`.
    """
    logs = list({log.path.resolve(): log for log in map(read_log, paths)}.values())
    return [replace(log, name=name) for name, log in zip(_unique_names(logs), logs, strict=True)]


def read_records(folder: str | Path) -> list[Log]:
    """Read the records `<folder>/*.json` of runs, in order of their names.

    Raises:
        BadConfig: there is no such folder, or a file is not a run's record.
    """
    if not Path(folder).is_dir():
        raise BadConfig(f'{folder} is not a folder; expected one with records of runs')
    return [_from_record(path) for path in sorted(Path(folder).glob('*.json'))]


def _unique_names(logs: list[Log]) -> list[str]:
    names, paths = [log.name for log in logs], [log.path.resolve() for log in logs]
    for depth in range(2, 1 + max(len(path.parts) for path in paths)):
        repeated = {name for name in names if names.count(name) > 1}
        names = [str(Path(*path.parts[-depth:])) if name in repeated else name
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


def _read(path: Path) -> Log:
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise BadConfig(f'{path} is not there; expected a work dir, or a file {SOURCES} in one')
    if path.suffix == '.csv':
        rows, notes = read_csv(path)
        return _log(_name(path), path, rows, None, notes)
    if path.suffix == '.json':
        if is_record(path):
            return _from_record(path)
        length = _length_beside(path.parent.parent.parent)
        lines, notes = read_json_lines(path)
        return _log(_name(path), path, _with_iterations(lines, length), length, notes)
    raise BadConfig(f'{path} is not the log of a run; expected a work dir, or a file {SOURCES} '
                    'in one')


def _read_folder(folder: Path) -> Log:
    folder = folder.parent if folder.resolve().name == 'vis_data' else folder
    if (folder / 'vis_data' / SCALARS).is_file():
        log = _read(folder / 'vis_data' / SCALARS)
        return replace(log, name=_name_of_start(folder), path=folder)
    starts = sorted(path.parent.parent for path in folder.glob(f'*/vis_data/{SCALARS}'))
    if starts:
        return _join_starts(folder, starts)
    for name in (csv_backend.NAME, RECORD, SCALARS):
        if (folder / name).is_file():
            return _read(folder / name)
    found = ', '.join(sorted(path.name for path in folder.iterdir())[:8])
    hint = '; did you mean a work dir in it?' if any(
        folder.glob(f'*/*/vis_data/{SCALARS}')) else ''
    raise BadConfig(f'{folder} is not the work dir of a run: expected {SOURCES} in it, found '
                    f'{found or "nothing"}{hint}')


def _join_starts(work_dir: Path, starts: list[Path]) -> Log:
    # The names of the folders are local times, which go back in autumn and with the clock.
    recorded = _recorded_starts(work_dir)
    starts = [work_dir / name for name in recorded if work_dir / name in starts] or starts
    read = [read_json_lines(start / 'vis_data' / SCALARS) for start in starts]
    # A single start may be too short to tell the length of an epoch.
    lengths = (_length_of(lines) for lines in (
        *(lines for lines, _ in read), [line for lines, _ in read for line in lines]))
    length = _length_beside(work_dir) or next(filter(None, lengths), None)
    rows: list[Row] = []
    for start, (lines, _) in zip(starts, read, strict=True):
        begin = recorded.get(start.name, 0)
        later = _with_iterations(lines, length, begin)
        if not later:
            continue
        if start.name not in recorded:
            begin = min(row['iter'] for row in later) - 1 if _resumed(start) else 0
        rows = _up_to(rows, begin, later) + later
    return _log(work_dir.resolve().name, work_dir, rows, length,
                [note for _, notes in read for note in notes])


def _recorded_starts(work_dir: Path) -> dict[str, int]:
    """Return the iteration at which each start of a run began, in order, by its folder."""
    record = read_run_record(work_dir) or dict(starts=[])
    return {start['folder']: start['iter'] for start in record['starts']}


def _up_to(rows: list[Row], begin: float, later: list[Row]) -> list[Row]:
    """Return the rows up to an iteration, without the figures that a later start repeats there."""
    again = {name for row in later if row['iter'] <= begin for name in row} - {
        'iter', 'epoch', 'time', 'data_time', 'memory'}
    return [row for row in rows if row['iter'] < begin
            or (row['iter'] == begin and not again & row.keys())]


def _resumed(start: Path) -> bool:
    config = start / 'vis_data' / CONFIG
    return not config.is_file() or bool(re.search(r'^resume = True$', config.read_text(), re.M))


def _log(name: str, path: Path, rows: list[Row], length: int | None, notes: list[str],
         record: dict | None = None) -> Log:
    return Log(name, path, sorted(rows, key=lambda row: row['iter']),
               length or _length_of(rows), tuple(notes), record)


def _from_record(path: Path) -> Log:
    record = read_record(path)
    rows = [numbers({**entry, **entry.get('metrics', {})}) for entry in record['history']]
    return _log(_name(path), path, rows, _length_in(record['history']), [], record)


def _length_beside(work_dir: Path) -> int | None:
    """Return the iterations in an epoch according to the record in a work dir."""
    if not (work_dir / RECORD).is_file():
        return None
    return _length_in(read_record(work_dir / RECORD)['history'])


def _length_in(history: list[dict]) -> int | None:
    return next((entry['iter'] // entry['epoch'] for entry in reversed(history)
                 if 'epoch' in entry), None)


def _length_of(rows: Iterable[Row]) -> int | None:
    """Return the iterations in an epoch according to the first lines of two epochs."""
    first: dict[float, float] = {}
    for row in rows:
        if 'epoch' in row and 'iter' in row:
            first.setdefault(row['epoch'], row['iter'])
    if len(first) < 2:
        return None
    (epoch, start), *_, (last_epoch, last) = sorted(first.items())
    return round((last - start) / (last_epoch - epoch)) or None


def _with_iterations(rows: list[Row], length: int | None, begin: int = 0) -> list[Row]:
    """Give validation lines, which only have a `step`, the iterations done.

    Args:
        rows: of one start.
        length: iterations in an epoch.
        begin: iterations done before the first row.
    """
    length = length or _length_of(rows)
    placed, done, epoch = [], float(begin), None
    for line in rows:
        row = {name: value for name, value in line.items() if name != 'step'}
        step = line.get('step')
        if 'iter' in row:
            done, epoch = row['iter'], row.get('epoch')
        elif step is not None:
            # The step is an epoch; with log_metric_by_epoch=False it is an iteration.
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
