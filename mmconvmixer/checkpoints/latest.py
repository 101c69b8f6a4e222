"""Find the checkpoint from which a run resumes."""
import logging
import re
from pathlib import Path

from mmengine.logging import print_log

from mmconvmixer.checkpoints.read import read_checkpoint
from mmconvmixer.checkpoints.run_record import is_of_run, read_run_record
from mmconvmixer.errors import BadCheckpoint, CheckpointNotFound

# mmengine's file with the path of the checkpoint that a run saved last.
LAST = 'last_checkpoint'
_STEP = re.compile(r'(?:epoch|iter)_(\d+)\.pth')


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """Return the path of the newest complete checkpoint of a run; see `read_latest`."""
    latest = read_latest(work_dir)
    return latest and latest[0]


def read_latest(work_dir: str | Path) -> tuple[Path, dict] | None:
    """Return the newest complete checkpoint of a run and its path, None if there is none.

    It is the one that the run itself recorded (`last_checkpoint`). If that file is damaged
    or missing, as after an interrupted copy, the older ones are read, newest first. A folder
    may also hold files of an earlier run: where the record of the run (`run.json`) says
    which run it is, checkpoints of others are left aside. What is left aside is logged.

    Args:
        work_dir: folder of the run, with its `epoch_N.pth` or `iter_N.pth` files.
    """
    steps = {path: int(match[1]) for path in Path(work_dir).glob('*.pth')
             if (match := _STEP.fullmatch(path.name)) and path.is_file()}
    record, last = read_run_record(work_dir) or {}, _recorded(work_dir, bool(steps))
    before = _step(last)
    older = [path for path in sorted(steps, key=lambda path: steps[path], reverse=True)
             if path != last and (before is None or steps[path] < before)]
    for path in [*([last] if last else []), *older]:
        try:
            content = read_checkpoint(path)
        except (BadCheckpoint, CheckpointNotFound) as error:
            _warn(f'does not resume from a damaged file: {error}')
            continue
        if 'run' in record and not is_of_run(content.get('meta'), record):
            continue
        _name_others(steps, path)
        return path, content
    _name_others(steps, None)
    return None


def _recorded(work_dir: str | Path, saves_inside: bool) -> Path | None:
    """Return the path that the run recorded last, in the work dir if it saves there."""
    try:
        text = Path(work_dir, LAST).read_text(encoding='utf-8').strip()
    except (OSError, UnicodeDecodeError):
        return None
    if not text:
        return None
    # The folder may have been moved or copied, and what is at its old place may differ. Only a run
    # that saves elsewhere (the `out_dir` of its CheckpointHook) has no checkpoints inside.
    inside = Path(work_dir, Path(text).name)
    if saves_inside or inside.is_file() or not Path(text).is_file():
        return inside
    return Path(text)


def _step(path: Path | None) -> int | None:
    match = path and _STEP.fullmatch(path.name)
    return int(match[1]) if match else None


def _name_others(steps: dict[Path, int], chosen: Path | None) -> None:
    """Log the files that a choice by the highest number would have preferred."""
    step = _step(chosen) if chosen in steps else None
    if chosen is not None and step is None:  # its name has no number to compare
        return
    others = [path for path in sorted(steps, key=lambda path: steps[path])
              if step is None or steps[path] > step]
    if others:
        of_run = f'the run saved {chosen.name} last' if chosen else 'the run has saved none'
        _warn(f'left aside: {", ".join(path.name for path in others)} in {others[0].parent}, '
              f'because {of_run}; --resume PATH resumes from another checkpoint')


def _warn(text: str) -> None:
    print_log(text, 'current', logging.WARNING)
