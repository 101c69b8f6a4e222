"""File locks between processes and threads that end with the process that holds them."""
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mmconvmixer.errors import InUse, OutputNotWritable

if TYPE_CHECKING:
    from filelock import FileLock

POLL = 0.1  # seconds between two attempts
MESSAGE_AFTER = 2.  # seconds of waiting

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


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
    from filelock import Timeout  # imported here to keep importing this package fast

    lock = _file_lock(path)
    try:
        try:
            _acquire(lock, path, MESSAGE_AFTER)
        except Timeout:
            print(f'waiting: another process is {subject}', file=sys.stderr, flush=True)
            _acquire(lock, path, timeout=-1)
    except (OSError, NotImplementedError) as error:
        raise _not_locked(path, error) from error
    try:
        yield
    finally:
        _release(lock, path)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that only one run at a time may write to.

    A file system without locks is used without one, with a message.

    Args:
        folder: it is created if it is missing, and removed at the end if it is empty then.

    Raises:
        InUse: another process holds it.
        OutputNotWritable: the folder takes no files.
    """
    from filelock import Timeout

    path = folder / '.lock'
    created = [each for each in (folder, *folder.absolute().parents) if not each.exists()]
    lock = _file_lock(path)
    try:
        _acquire(lock, path, timeout=0)
    except Timeout as error:
        raise InUse(f'another run is writing to {folder}; wait until it ends, or name another '
                    'folder (--work-dir)') from error
    except (OSError, NotImplementedError) as error:
        if not (isinstance(error, NotImplementedError) or error.errno in _NO_LOCKS):
            raise _not_locked(path, error) from error
        print(f'{folder} is on a file system without locks: make sure that no other run writes '
              'to it', file=sys.stderr, flush=True)
    try:
        yield
    finally:
        _release(lock, path)
        with suppress(OSError):  # the run has written something
            for each in created:
                each.rmdir()


def _file_lock(path: Path) -> 'FileLock':
    from filelock import FileLock

    # Each call has its own FileLock, because a single one can be acquired repeatedly. A
    # soft lock would outlive a killed process.
    return FileLock(path, thread_local=False, poll_interval=POLL, fallback_to_soft=False,
                    on_acquired=lambda file: _check_not_removed(path, file))


def _not_locked(path: Path, error: Exception) -> OutputNotWritable:
    return OutputNotWritable(f'{path} cannot be locked: {getattr(error, "strerror", "") or error}; '
                             'name a folder that is writable, on a file system with locks')


def _release(lock: 'FileLock', path: Path) -> None:
    # filelock keeps the file. Remove it while it is still locked: a process that has
    # opened it before then notices in `_check_not_removed`.
    if lock.is_locked:
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
