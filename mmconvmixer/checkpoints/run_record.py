"""The record `run.json` that a run keeps of itself, as far as it can be read."""
import json
import logging
from pathlib import Path

from mmengine.logging import print_log

RECORD = 'run.json'


def read_run_record(work_dir: str | Path) -> dict | None:
    """Return the record in a work dir; None, with a warning, if it is damaged or not there.

    Its `history` is a list of entries with an `iter`, its `seconds` a number.
    """
    path = Path(work_dir, RECORD)
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
        if not all(isinstance(entry['iter'], int) for entry in record['history']):
            raise ValueError('an entry of its history has no iter')
        record['seconds'] = float(record['seconds'])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        print_log(f'{path} is damaged and was not read ({type(error).__name__}: {error})',
                  'current', logging.WARNING)
        return None
    return record
