"""The record `run.json` that a run keeps of itself, as far as it can be read."""
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from mmengine.logging import print_log

RECORD = 'run.json'


def read_run_record(work_dir: str | Path) -> dict | None:
    """Return the record in a work dir; None, with a warning, if it is damaged or not there.

    Its `history` is a list of entries with an `iter`, its `seconds` a number, and its
    `starts`, which records of earlier versions lack, a list of entries with folder and `iter`.
    Its `run_from`, if there is one, is a number of iterations.
    """
    path = Path(work_dir, RECORD)
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
        record.setdefault('starts', [])
        entries = [*record['history'], *record['starts']]
        if not all(isinstance(entry['iter'], int) and isinstance(entry.get('metrics', {}), dict)
                   for entry in entries):
            raise ValueError('an entry has no iter or no metrics')
        if not isinstance(record.get('run_from', 0), int):
            raise ValueError('run_from is not a number of iterations')
        if not all(isinstance(start['folder'], str) for start in record['starts']):
            raise ValueError('a start has no folder')
        record['seconds'] = float(record['seconds'])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError,
            RecursionError) as error:
        print_log(f'{path} is damaged and was not read ({type(error).__name__}: {error})',
                  'current', logging.WARNING)
        return None
    return record


def is_of_run(meta: object, record: Mapping) -> bool:
    """Return whether a checkpoint's meta is of the run that has this record.

    Runs of earlier versions have no identifier until they are resumed: up to this iteration
    (`run_from`), their checkpoints have none.
    """
    meta = meta if isinstance(meta, Mapping) else {}
    if meta.get('run') is None and 'run_from' in record:
        done = meta.get('iter')
        return isinstance(done, int) and done <= record['run_from']
    return meta.get('run') == record.get('run')
