"""The files that hold a run's log: JSON lines, a CSV table, or a record."""
import json
from pathlib import Path

from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization import csv_backend

RECORD_KEYS = {'command', 'config_file', 'seed', 'seconds', 'environment', 'git_revision',
               'history'}

Row = dict[str, float]


def read_json_lines(path: Path) -> tuple[list[Row], list[str]]:
    """Return the rows of a file with one JSON object on each line, and notes."""
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
                notes.append(_incomplete(path))
                break
            raise BadConfig(f'{path}, line {number} is damaged ({error}): {line[:60]!r}; remove '
                            'the line to draw the others') from error
        parsed.append(numbers(row))
    return parsed, notes


def _incomplete(path: Path) -> str:
    return f'{path}: the last line is incomplete and was left out'


def read_csv(path: Path) -> tuple[list[Row], list[str]]:
    """Return the rows of a `scalars.csv`, and notes."""
    text = _read_text(path)
    notes = [_incomplete(path)] if text and not text.endswith('\n') else []
    columns, table = csv_backend.read_table(path)
    if 'iter' not in columns:
        raise BadConfig(f'{path} is not the table of a run: expected a column iter, found '
                        f'{", ".join(columns)[:200] or "nothing"}')
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


def numbers(row: dict) -> Row:
    """Return the entries that are numbers."""
    return {name: value for name, value in row.items()
            if isinstance(value, int | float) and not isinstance(value, bool)}


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding='utf-8')
    except OSError as error:
        raise BadConfig(f'{path} cannot be read: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise BadConfig(f'{path} is not the log of a run: it is not text') from error


def is_record(path: Path) -> bool:
    """Whether a file is one JSON value rather than one on each line."""
    text = _read_text(path)
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return not (isinstance(value, dict) and 'step' in value)


def read_record(path: Path) -> dict:
    """Return a run.json (see `RecordHook`); BadConfig if the file is not one."""
    try:
        record = json.loads(_read_text(path))
    except ValueError as error:
        raise BadConfig(f'{path} is not JSON: {error}') from error
    if not isinstance(record, dict) or not record.keys() >= RECORD_KEYS:
        raise BadConfig(f'{path} is not the record of a run; expected a run.json that '
                        'tools/train.py wrote')
    return record
