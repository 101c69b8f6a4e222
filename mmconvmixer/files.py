"""Writing files so that a reader never meets half of one."""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from mmconvmixer.errors import MMConvMixerError, OutputNotWritable


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path beside `path`; what was written there becomes `path` at the end.

    Flushed to disk and renamed, so that `path` holds the old file or the new
    one, whatever happens; after an exception, nothing is left. The folder is
    made if need be.

    Raises:
        OutputNotWritable: the folder is read-only, full or no folder.
    """
    path = Path(path)
    # The suffix stays last: writers choose the format by it.
    part = path.with_name(f'.{path.stem}.{uuid4().hex[:8]}.part{path.suffix}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except MMConvMixerError:  # the writer's own, which may be an OSError too
        raise
    except OSError as error:
        raise OutputNotWritable(f'{path} can not be written: {error.strerror or error}; '
                                'name a folder that is writable') from error
    finally:
        if part.parent.is_dir():
            part.unlink(missing_ok=True)


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Remove what `written_whole` could not, because its process was killed."""
    for part in Path(folder).glob('.*.part*'):
        part.unlink(missing_ok=True)


def check_writable(folder: str | os.PathLike) -> None:
    """Raise OutputNotWritable now rather than after the work; leave nothing.

    Args:
        folder: where something will be written, existing or not.
    """
    folder = Path(folder)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f'.{uuid4().hex[:8]}.part'
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputNotWritable(f'{folder} is no folder that can be written to: '
                                f'{error.strerror or error}; name another') from error
    finally:
        for path in missing:
            if path.is_dir():
                path.rmdir()
