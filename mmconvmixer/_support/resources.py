"""Recognize that a call failed because the system has no memory or file handles left."""
import errno
import re

from mmconvmixer.errors import OutOfResources

_BY_NUMBER = {errno.EMFILE: 'file handles', errno.ENFILE: 'file handles',
              errno.ENOMEM: 'memory', errno.ENOSPC: 'disk space'}
# torch has no error classes or numbers for these.
_BY_TEXT = [
    ('file handles', 'Too many open files|received 0 items of ancdata'),
    ('shared memory', 'No space left on device|Bus error|shared memory'),
    ('memory', "can't allocate memory|[Cc]annot allocate memory|not enough memory|[Oo]ut of memory"
               '|MemoryError|killed by signal: Killed')]
_ADVICE = {
    'file handles': 'raise the limit (ulimit -n), or load with fewer processes (num_workers)',
    'shared memory': 'enlarge /dev/shm, or load with fewer processes (num_workers)',
    'memory': 'use smaller batches (batch_size) or fewer loader processes (num_workers)',
    'disk space': 'make room, or name a folder elsewhere (--work-dir)'}


def exhausted(error: BaseException) -> str | None:
    """Return what the system has run out of, if an error says so."""
    if isinstance(error, MemoryError):
        return 'memory'
    if isinstance(error, OSError) and error.errno in _BY_NUMBER:
        return _BY_NUMBER[error.errno]
    if isinstance(error, OSError | RuntimeError):
        return next((what for what, text in _BY_TEXT if re.search(text, str(error))), None)
    # A loader that could not be set up fails once more when it is taken down.
    return exhausted(error.__context__) if error.__context__ is not None else None


def raise_if_exhausted(error: BaseException) -> None:
    """Raise OutOfResources if the operating system had no memory or file handles for a call.

    A file that could not be opened for that reason is not a damaged one. (Damaged files may
    well cause a MemoryError.)
    """
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        what = 'memory' if error.errno == errno.ENOMEM else 'file handles'
        raise out_of(what, error) from error


def out_of(what: str, error: BaseException) -> OutOfResources:
    """Return the error for a want of `what`, with the last line of its cause's message."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return OutOfResources(f'the system has no {what} left ({lines[-1][:120]}); {_ADVICE[what]}')
