"""Find the checkpoint from which a run resumes."""
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

    Candidates are read, newest first, and damaged ones are skipped: a crash, a full
    disk or an interrupted copy leaves incomplete files.

    Args:
        work_dir: folder of the run, with its `epoch_N.pth` or `iter_N.pth` files.
    """
    steps = {path: int(match[1]) for path in Path(work_dir).glob('*.pth')
             if (match := _STEP.fullmatch(path.name)) and path.is_file()}
    for path in sorted(steps, key=steps.get, reverse=True):
        try:
            return path, read_checkpoint(path)
        except BadCheckpoint as error:
            print_log(f'does not resume from a damaged file: {error}', 'current', logging.WARNING)
    return None
