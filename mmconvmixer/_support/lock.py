"""A lock between processes and threads that ends with the process that holds it."""
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mmconvmixer.errors import OutputNotWritable

POLL = 0.1  # seconds
SAY_AFTER = 2.  # seconds


@contextmanager
def locked(path: Path, subject: str) -> Iterator[None]:
    """Wait until no other process or thread holds the lock file `path`, then hold it.

    The operating system releases the lock when a process ends, however that happens: a
    file that a killed process leaves locks nothing.

    Args:
        path: a file for the lock alone. Its folder is created if need be; the file is
            removed at the end.
        subject: what the holder is doing, for the message to those who wait.

    Raises:
        OutputNotWritable: the folder takes no files or no locks.
    """
    # A lock of its own for each call: one FileLock lets its thread in again. A soft
    # lock would outlive a killed process, so a file system without locks is an error.
    lock = FileLock(path, thread_local=False, poll_interval=POLL, fallback_to_soft=False,
                    on_acquired=lambda file: _check_not_removed(path, file))
    try:
        try:
            _acquire(lock, path, SAY_AFTER)
        except Timeout:
            print(f'waiting: another process is {subject}', file=sys.stderr, flush=True)
            _acquire(lock, path, timeout=-1)
    except OSError as error:
        raise OutputNotWritable(f'{path} can not be locked: {error.strerror or error}; name a '
                                'folder that is writable, on a file system with locks') from error
    try:
        yield
    finally:
        # filelock leaves the file. It is removed while it is still locked, so that whoever
        # opened it before finds out in `_check_not_removed`.
        with suppress(OSError):  # Windows: it is open; filelock itself removes it there
            path.unlink()
        lock.release()


def _acquire(lock: FileLock, path: Path, timeout: float) -> None:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # the last holder removed the file, or its folder too
            lock.acquire(timeout)
            return


def _check_not_removed(path: Path, file: int) -> None:
    """Raise FileNotFoundError if the locked file is no longer the one at `path`."""
    if not os.path.samestat(os.fstat(file), os.stat(path)):
        raise FileNotFoundError(path)
