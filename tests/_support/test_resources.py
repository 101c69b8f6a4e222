import errno

import pytest

from mmconvmixer._support.resources import exhausted, raise_if_exhausted
from mmconvmixer.errors import OutOfResources


@pytest.mark.parametrize('error, what', [
    (OSError(errno.EMFILE, 'Too many open files'), 'file handles'),
    (OSError(errno.ENOMEM, 'Cannot allocate memory'), 'memory'),
    (OSError(errno.ENOSPC, 'No space left on device'), 'disk space'),
    (MemoryError(), 'memory'),
    (RuntimeError('received 0 items of ancdata'), 'file handles'),
    (RuntimeError('[enforce fail] DefaultCPUAllocator: not enough memory: you tried'), 'memory'),
    (RuntimeError('CUDA out of memory. Tried to allocate 2 GiB'), 'memory'),
    (RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. '), 'memory'),
    (RuntimeError('DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that '
                  "dataloader's workers are out of shared memory."), 'shared memory'),
    (RuntimeError('unable to write to file </torch_7>: No space left on device (28)'),
     'shared memory'),
    (RuntimeError('mat1 and mat2 shapes cannot be multiplied'), None),
    (FileNotFoundError(errno.ENOENT, 'No such file'), None),
    (KeyError('memory'), None)])
def test_what_is_exhausted_is_known_from(error, what):
    assert exhausted(error) == what


def test_the_cause_counts_of_an_error_that_follows():
    try:
        try:
            raise OSError(errno.EMFILE, 'Too many open files')
        except OSError:
            object()._workers_status  # noqa: B018
    except AttributeError as error:
        assert exhausted(error) == 'file handles'


def test_only_the_operating_system_s_answer_tells_of_a_file_that_could_not_be_opened():
    with pytest.raises(OutOfResources, match=r'no file handles left .*ulimit -n'):
        raise_if_exhausted(OSError(errno.EMFILE, 'Too many open files'))
    raise_if_exhausted(MemoryError())
    raise_if_exhausted(FileNotFoundError(errno.ENOENT, 'No such file'))
