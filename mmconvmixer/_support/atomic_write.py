"""Writing files so that a reader never meets half of one."""
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from mmconvmixer.errors import MMConvMixerError, OutputNotWritable


@contextmanager
def atomic_write(path: str | os.PathLike, resumable: bool = False) -> Iterator[Path]:
    """Yield a path beside `path`; what was written there becomes `path` at the end.

    Flushed to disk and renamed, so that `path` holds the old file or the new
    one, whatever happens; after an exception, nothing is left. The folder is
    made if need be.

    Args:
        path: the file.
        resumable: always yield the same path, and leave what is there after an
            exception for a later call to go on with. The caller sees to it
            that one process at a time does.

    Raises:
        OutputNotWritable: the folder is read-only, full or no folder.
    """
    path = Path(path)
    # The suffix stays last: writers choose the format by it.
    part = path.with_name(f'.{path.name}.part' if resumable else
                          f'.{path.stem}.{uuid4().hex[:8]}.part{path.suffix}')
    made = [folder for folder in path.absolute().parents if not folder.exists()]
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
        if not resumable:
            with suppress(OSError):  # never made, or its folder is the trouble
                part.unlink()
        with suppress(OSError):  # not empty: all went well, or others use it too
            for folder in made:
                folder.rmdir()


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Remove what `atomic_write` could not, because its process was killed."""
    for part in Path(folder).glob('.*.????????.part*'):
        if re.search(r'\.[0-9a-f]{8}\.part(\.\w+)?$', part.name):
            part.unlink(missing_ok=True)


def check_writable(folder: str | os.PathLike) -> None:
    """Raise OutputNotWritable now rather than after the work; leave nothing.

    Args:
        folder: where something will be written, existing or not.
    """
    folder = Path(folder)
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise OutputNotWritable(f'{folder} can not be made or written to: {existing}: '
                                f'{error.strerror or error}; name another') from error
