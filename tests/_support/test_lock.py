import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmconvmixer._support import lock as locking
from mmconvmixer._support.lock import locked
from mmconvmixer.errors import OutputNotWritable


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
