"""Write files so that a reader never sees an incomplete one."""
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
    """Yield a temporary path beside `path`; rename it to `path` when the block ends.

    The file is flushed to disk first, so that `path` is always either the old file or
    the new one. After an exception the temporary file is removed. A missing folder is
    created.

    Args:
        path: the file to write.
        resumable: always yield the same temporary path, and keep that file after an
            exception so that a later call can continue it. The caller makes sure
            that only one process at a time does this.

    Raises:
        OutputNotWritable: the folder is read-only or full, or is not a folder.
    """
    path = Path(path)
    # The suffix stays last: some writers choose the format by it.
    part = path.with_name(f'.{path.name}.part' if resumable else
                          f'.{path.stem}.{uuid4().hex[:8]}.part{path.suffix}')
    created = [folder for folder in path.absolute().parents if not os.path.exists(folder)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except MMConvMixerError:  # raised inside the block; some of these are also OSErrors
        raise
    except OSError as error:
        raise OutputNotWritable(f'{path} cannot be written: {error.strerror or error}; '
                                'name a folder that is writable') from error
    finally:
        if not resumable:
            with suppress(OSError):  # it was never created, or its folder is the problem
                part.unlink()
        with suppress(OSError):  # not empty: the file was written, or others use the folder
            for folder in created:
                folder.rmdir()


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Remove the temporary files of `atomic_write` calls whose process was killed."""
    for part in Path(folder).glob('.*.????????.part*'):
        if re.search(r'\.[0-9a-f]{8}\.part(\.\w+)?$', part.name):
            part.unlink(missing_ok=True)


def check_writable(folder: str | os.PathLike) -> None:
    """Raise OutputNotWritable before any work is done if a folder can't be written to.

    Args:
        folder: where something will be written. It need not exist; it is not created.
    """
    folder = Path(folder)
    existing = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.stat(folder)  # fails for a name that no folder can have
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise OutputNotWritable(f'{folder} cannot be created or written to: {existing}: '
                                f'{error.strerror or error}; name another folder') from error
