"""Writing files so that a reader never meets half of one."""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from mmconvmixer.errors import OutputNotWritable


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path beside `path`; what was written there becomes `path` at the end.

    Flushed to disk and renamed, so that `path` holds the old file or the new
    one, whatever happens; after an exception, nothing is left.

    Raises:
        OutputNotWritable: the folder is missing, read-only or full.
    """
    path = Path(path)
    # The suffix stays last: writers choose the format by it.
    part = path.with_name(f'.{path.stem}.{uuid4().hex[:8]}.part{path.suffix}')
    try:
        yield part
        with open(part, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise OutputNotWritable(f'{path} can not be written: {error.strerror or error}; '
                                'name a folder that exists and is writable') from error
    finally:
        part.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike) -> None:
    """Raise OutputNotWritable now rather than after the work.

    Args:
        path: a folder that will be made if need be.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f'.{uuid4().hex[:8]}.part'
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputNotWritable(f'{path} is no folder that can be written to: '
                                f'{error.strerror or error}; name another') from error
