"""Finding where to resume."""
import logging
import re
from pathlib import Path

from mmengine.logging import print_log

from mmconvmixer.checkpoints.read import read_checkpoint
from mmconvmixer.errors import BadCheckpoint

_STEP = re.compile(r'(?:epoch|iter)_(\d+)\.pth')


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """Return the path of the newest complete checkpoint of a run; see `read_latest`."""
    latest = read_latest(work_dir)
    return latest and latest[0]


def read_latest(work_dir: str | Path) -> tuple[Path, dict] | None:
    """Return the newest complete checkpoint of a run and its path, None if there is none.

    Every candidate is read, newest first: a file that a crash, a full disk or
    a copy cut short is passed over.

    Args:
        work_dir: the run's folder, with `epoch_N.pth` or `iter_N.pth` in it.
    """
    steps = {path: int(match[1]) for path in Path(work_dir).glob('*.pth')
             if (match := _STEP.fullmatch(path.name)) and path.is_file()}
    for path in sorted(steps, key=steps.get, reverse=True):
        try:
            return path, read_checkpoint(path)
        except BadCheckpoint as error:
            print_log(f'not resumed from: {error}', 'current', logging.WARNING)
    return None
