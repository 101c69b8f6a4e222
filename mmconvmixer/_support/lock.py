"""A lock between processes that ends with the process that holds it."""
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mmconvmixer.errors import OutputNotWritable

POLL = 0.1  # seconds
SAY_AFTER = 2.  # seconds


@contextmanager
def locked(path: Path, subject: str) -> Iterator[None]:
    """Hold the lock of the file `path`, once no other process or thread does.

    The operating system lets go of it when a process ends, however that
    happens; a file that a killed process leaves locks nothing. Otherwise the
    file is removed at the end.

    Args:
        path: of the lock alone; its folder is made if need be.
        subject: what others may not do meanwhile, for those who wait.

    Raises:
        OutputNotWritable: the folder takes no files, or no locks.
    """
    file = _taken(path, subject)
    try:
        yield
    finally:
        if os.name == 'nt':  # where an open file can't be removed
            file.close()
        with suppress(OSError):  # another waits for it, on Windows
            path.unlink()
        file.close()


def _taken(path: Path, subject: str) -> BinaryIO:
    say_at = time.monotonic() + SAY_AFTER
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = open(path, 'ab')  # noqa: SIM115, open as long as the lock is held
        except OSError as error:
            raise OutputNotWritable(f'{path} can not be written: {error.strerror or error}; '
                                    'name a folder that is writable') from error
        try:
            if _try_lock(file) and _is_at(file, path):
                return file
        except OSError as error:
            file.close()
            raise OutputNotWritable(
                f'{path} can not be locked: {error.strerror or error}; name a folder on a file '
                'system with locks') from error
        except BaseException:
            file.close()
            raise
        file.close()
        if time.monotonic() >= say_at:
            print(f'waiting: another process is {subject}', file=sys.stderr, flush=True)
            say_at = float('inf')
        time.sleep(POLL)


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether the file still is the one with that name: its last holder removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


if os.name == 'nt':
    import msvcrt

    def _try_lock(file: BinaryIO) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
else:
    import fcntl

    def _try_lock(file: BinaryIO) -> bool:
        # flock and not lockf, which would let in every thread of this process.
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
