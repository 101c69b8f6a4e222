"""A file lock between processes and threads that ends with the process that holds it."""
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mmconvmixer.errors import OutputNotWritable

if TYPE_CHECKING:
    from filelock import FileLock

POLL = 0.1  # seconds between two attempts
MESSAGE_AFTER = 2.  # seconds of waiting


@contextmanager
def locked(path: Path, subject: str) -> Iterator[None]:
    """Wait until no other process or thread holds the lock file `path`, then hold it.

    The operating system releases the lock when a process ends, even if it is killed:
    the file that such a process leaves behind does not lock anything.

    Args:
        path: a file that is used for the lock only. A missing folder is created, and
            the file is removed at the end.
        subject: what the holder is doing, for the message to those who wait.

    Raises:
        OutputNotWritable: the folder takes no files or no locks.
    """
    from filelock import FileLock, Timeout  # imported here to keep importing this package fast

    # Each call has its own FileLock, because a single one can be acquired repeatedly. A
    # soft lock would outlive a killed process: a file system without locks is an error.
    lock = FileLock(path, thread_local=False, poll_interval=POLL, fallback_to_soft=False,
                    on_acquired=lambda file: _check_not_removed(path, file))
    try:
        try:
            _acquire(lock, path, MESSAGE_AFTER)
        except Timeout:
            print(f'waiting: another process is {subject}', file=sys.stderr, flush=True)
            _acquire(lock, path, timeout=-1)
    except OSError as error:
        raise OutputNotWritable(f'{path} cannot be locked: {error.strerror or error}; name a '
                                'folder that is writable, on a file system with locks') from error
    try:
        yield
    finally:
        # filelock keeps the file. Remove it while it is still locked: a process that has
        # opened it before then notices in `_check_not_removed`.
        with suppress(OSError):  # Windows cannot remove an open file; filelock removes it
            path.unlink()
        lock.release()


def _acquire(lock: 'FileLock', path: Path, timeout: float) -> None:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # the last holder removed the file or its folder
            lock.acquire(timeout)
            return


def _check_not_removed(path: Path, file: int) -> None:
    """Raise FileNotFoundError if the locked file is no longer the one at `path`."""
    if not os.path.samestat(os.fstat(file), os.stat(path)):
        raise FileNotFoundError(path)
