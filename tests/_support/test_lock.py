import errno
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmconvmixer._support import lock as locking
from mmconvmixer._support.lock import claimed, locked
from mmconvmixer.errors import InUse, OutputNotWritable


def test_only_one_thread_at_a_time_holds_the_lock_and_the_file_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(locking, 'POLL', 0.001)
    path, inside, most = tmp_path / 'new/.lock', [], []

    def enter(number):
        with locked(path, 'counting'):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.002)
            inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(100)))
    assert most == [1] * 100
    assert not path.exists()


def test_an_exception_releases_the_lock(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / '.lock', 'failing'):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_a_killed_process_does_not_lock(tmp_path):
    killed = """if 1:
        import os, signal, sys
        from pathlib import Path
        from mmconvmixer._support.lock import locked
        with locked(Path(sys.argv[1]), 'dying'):
            os.kill(os.getpid(), signal.SIGKILL)"""
    subprocess.run([sys.executable, '-c', killed, str(tmp_path / '.lock')], timeout=60)
    assert (tmp_path / '.lock').exists()
    with locked(tmp_path / '.lock', 'living'):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_long_wait_is_reported_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(locking, 'MESSAGE_AFTER', 0.05)
    monkeypatch.setattr(locking, 'POLL', 0.02)
    with ThreadPoolExecutor(1) as pool:
        with locked(tmp_path / '.lock', 'working'):
            other = pool.submit(lambda: locked(tmp_path / '.lock', 'working').__enter__())
            time.sleep(0.3)
            assert not other.done()
        other.result(timeout=5)
    assert capsys.readouterr().err == 'waiting: another process is working\n'


def test_a_folder_that_is_not_writable_is_named_in_the_error():
    with pytest.raises(OutputNotWritable, match='/proc/mmconvmixer'), \
            locked(Path('/proc/mmconvmixer/.lock'), 'writing'):
        pass


def test_a_lock_on_a_file_that_was_removed_does_not_count(tmp_path):
    """A process that opened the file before its last holder removed it has to try again."""
    path = tmp_path / '.lock'
    with open(path, 'w') as file:
        locking._check_not_removed(path, file.fileno())
        path.unlink()
        with pytest.raises(FileNotFoundError):
            locking._check_not_removed(path, file.fileno())
        path.touch()
        with pytest.raises(FileNotFoundError):
            locking._check_not_removed(path, file.fileno())


def test_a_folder_that_the_last_holder_removed_is_created_again(tmp_path, monkeypatch):
    """A failed download removes the folders that it created."""
    monkeypatch.setattr(locking, 'POLL', 0.3)
    path, held = tmp_path / 'new/.lock', threading.Event()

    def wait_for_it():
        with locked(path, 'waiting'):
            held.set()

    with ThreadPoolExecutor(1) as pool:
        with locked(path, 'failing'):
            other = pool.submit(wait_for_it)
            time.sleep(0.1)
        path.parent.rmdir()
        other.result(timeout=20)
    assert held.is_set()


def test_a_folder_is_claimed_by_one_at_a_time_and_left_as_it_was(tmp_path):
    folder = tmp_path / 'new/run'
    with claimed(folder):
        with pytest.raises(InUse, match=f'another run is writing to {folder}'), claimed(folder):
            pass
        with pytest.raises(InUse), claimed(folder):
            pass
    assert list(tmp_path.iterdir()) == []
    with claimed(folder):
        (folder / 'result').touch()
    assert [path.name for path in folder.iterdir()] == ['result']


def test_a_killed_process_gives_its_folder_up_while_its_children_live(tmp_path):
    killed = """if 1:
        import os, signal, sys, time
        from pathlib import Path
        from mmconvmixer._support.lock import claimed
        with claimed(Path(sys.argv[1])):
            if os.fork() == 0:
                time.sleep(3)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)"""
    subprocess.run([sys.executable, '-c', killed, str(tmp_path)], timeout=60)
    with claimed(tmp_path):
        pass


@pytest.mark.parametrize('error', [
    OSError(errno.ENOLCK, 'No locks available'), NotImplementedError('flock')])
def test_a_file_system_without_locks_is_used_without_one(tmp_path, monkeypatch, capsys, error):
    def fails(*_, **_options):
        raise error
    monkeypatch.setattr(locking, '_acquire', fails)
    with claimed(tmp_path / 'run'):
        assert 'file system without locks' in capsys.readouterr().err


def test_a_folder_that_takes_no_files_cannot_be_claimed(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OutputNotWritable), claimed(tmp_path / 'file'):
        pass
