import errno
import os
import resource
import sys
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.queues import Queue

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmconvmixer._support.resources import exhausted
from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.datasets import SkipUnreadable
from mmconvmixer.engine.resources import send_exhaustion
from mmconvmixer.errors import OutOfResources


@contextmanager
def no_file_handles():
    """Let no file be opened in this block."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as file:
        lowest = file.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_an_image_that_cannot_be_opened_for_want_of_handles_is_not_called_corrupt(
        image_folder, tmp_path):
    path, = image_folder(tmp_path, 1, classes=1)

    class OneImage:
        def __len__(self):
            return 1

        def get_data_info(self, index):
            return dict(img_path=str(path))

        def __getitem__(self, index):
            return dict(inputs=path.read_bytes())

    dataset = SkipUnreadable(OneImage())
    with no_file_handles(), pytest.raises(OutOfResources, match='file handles'):
        dataset[0]
    assert dataset[0]['inputs']


def test_a_checkpoint_that_cannot_be_opened_is_not_called_damaged(trained):
    read_checkpoint(trained)
    with no_file_handles(), pytest.raises(OutOfResources, match='Too many open files'):
        read_checkpoint(trained)


@HOOKS.register_module(force=True)
class RunOut(Hook):

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        raise MemoryError


def test_a_full_memory_in_a_training_is_one_line(tool, toy_config, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = ['{toy_config}']\ncustom_hooks = [dict(type='mmengine.RunOut')]\n")
    done = tool('train', config, '--work-dir', tmp_path / 'work')
    assert done.code == 2
    assert done.err == (
        'error: the system has no memory left (MemoryError); use smaller batches (batch_size) or '
        'fewer loader processes (num_workers)\n')


# With 36 the processes cannot all be started, with 44 some of them cannot send a batch.
@pytest.mark.parametrize('handles', [36, 44])
def test_too_few_file_handles_for_the_loader_processes_are_one_line(
        shell, toy_config, tmp_path, handles):
    done = shell(
        [sys.executable, 'tools/train.py', toy_config, '--work-dir', tmp_path, '--cfg-options',
         'train_dataloader.num_workers=8'],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (handles, handles)))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert 'no file handles left' in done.stderr and 'ulimit -n' in done.stderr


class CannotBeSent:

    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        raise self.error


@pytest.fixture
def queue(monkeypatch):
    """A queue as a loader process has it."""
    monkeypatch.setattr(Queue, '_on_queue_feeder_error', Queue._on_queue_feeder_error)
    send_exhaustion()
    return get_context().Queue()


def test_a_batch_that_cannot_be_sent_for_want_of_handles_is_an_error_in_its_place(queue, capsys):
    queue.put((7, CannotBeSent(OSError(errno.EMFILE, 'Too many open files'))))
    number, error = queue.get(timeout=20)
    assert number == 7
    with pytest.raises(OSError, match='Too many open files') as caught:
        error.reraise()
    assert exhausted(caught.value) == 'file handles'
    assert capsys.readouterr().err == ''


def test_a_batch_that_cannot_be_sent_for_another_reason_keeps_its_traceback(queue, capsys):
    queue.put((7, CannotBeSent(TypeError('no pickle'))))
    queue.put('the next')
    assert queue.get(timeout=20) == 'the next'
    assert 'TypeError: no pickle' in capsys.readouterr().err
