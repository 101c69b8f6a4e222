import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmconvmixer._support.atomic_write import atomic_write, check_writable, remove_leftovers
from mmconvmixer.errors import DownloadError, MMConvMixerError, OutputNotWritable


def test_the_file_appears_at_the_end_and_not_before(tmp_path):
    path = tmp_path / 'out.json'
    with atomic_write(path) as part:
        part.write_text('new')
        assert not path.exists()
    assert path.read_text() == 'new'
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stays_complete_until_the_new_one_is(tmp_path):
    path = tmp_path / 'out.json'
    path.write_text('old')
    with atomic_write(str(path)) as part:
        part.write_text('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new'


def test_the_temporary_file_has_the_same_folder_and_suffix(tmp_path):
    with atomic_write(tmp_path / 'a.b.pkl') as part:
        part.touch()
    assert part.parent == tmp_path
    assert part.suffix == '.pkl'


@pytest.mark.parametrize('error', [ZeroDivisionError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize('old', [None, 'old'])
def test_after_an_exception_there_is_the_old_file_or_nothing(tmp_path, error, old):
    path = tmp_path / 'out.json'
    if old:
        path.write_text(old)
    with pytest.raises(error), atomic_write(path) as part:
        part.write_text('half of the n')
        raise error
    assert [p.read_text() for p in tmp_path.iterdir()] == ([old] if old else [])


def test_two_writers_of_one_file_do_not_interfere(tmp_path):
    path = tmp_path / 'out.txt'
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write_text('first')
        second.write_text('second')
    assert path.read_text() == 'first'
    assert list(tmp_path.iterdir()) == [path]


def a_file_instead_of_a_folder(tmp_path):
    (tmp_path / 'file').touch()
    return tmp_path / 'file/out.txt'


def a_folder_instead_of_a_file(tmp_path):
    (tmp_path / 'out.txt').mkdir()
    return tmp_path / 'out.txt'


def a_name_of_over_255_letters(tmp_path):
    return tmp_path / ('x' * 300 + '.txt')


@pytest.mark.parametrize('case', [
    a_file_instead_of_a_folder, a_folder_instead_of_a_file, a_name_of_over_255_letters],
    ids=lambda case: case.__name__.replace('_', ' '))
def test_a_path_that_cannot_be_written_is_named_in_one_line(tmp_path, case):
    path = case(tmp_path)
    before = set(tmp_path.rglob('*'))
    with pytest.raises(OutputNotWritable) as caught, atomic_write(path) as part:
        part.write_text('text')
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert set(tmp_path.rglob('*')) == before


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / 'out.bin'
    path.write_text('old')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OutputNotWritable, match='out.bin'), atomic_write(path) as part:
            part.write_bytes(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.read_text() for p in tmp_path.iterdir()] == ['old']


def test_an_error_inside_the_block_is_passed_on_unchanged(tmp_path):
    """This is also an OSError, but a network that is down says nothing about the folder."""
    error = DownloadError('no network')
    with pytest.raises(MMConvMixerError) as caught, atomic_write(tmp_path / 'x.pth'):
        raise error
    assert caught.value is error


def test_missing_folders_are_created(tmp_path):
    with atomic_write(tmp_path / 'a/b/out.txt') as part:
        part.write_text('text')
    assert (tmp_path / 'a/b/out.txt').read_text() == 'text'


def test_after_an_exception_created_folders_are_removed_too(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / 'a/b/out.txt') as part:
        part.write_text('te')
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_resumable_file_survives_an_exception_and_is_continued(tmp_path):
    with pytest.raises(KeyError), atomic_write(tmp_path / 'out.txt', resumable=True) as part:
        part.write_text('half, ')
        raise KeyError
    assert list(tmp_path.iterdir()) == [part]
    with atomic_write(tmp_path / 'out.txt', resumable=True) as part, open(part, 'a') as file:
        file.write('whole')
    assert [p.name for p in tmp_path.iterdir()] == ['out.txt']
    assert (tmp_path / 'out.txt').read_text() == 'half, whole'


def test_the_file_of_a_killed_process_is_removed_and_nothing_else(tmp_path):
    killed = """if 1:
        import os, signal, sys
        from mmconvmixer._support.atomic_write import atomic_write
        with atomic_write(sys.argv[1]) as part:
            part.write_text('half')
            os.kill(os.getpid(), signal.SIGKILL)"""
    subprocess.run([sys.executable, '-c', killed, str(tmp_path / 'out.pth')], timeout=60)
    assert len(list(tmp_path.iterdir())) == 1
    kept = {tmp_path / name for name in ('out.pth', 'part.pth', '.hidden', 'x.part.pth')}
    for path in kept:
        path.touch()
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == kept


@pytest.mark.parametrize('name', ['', 'a', 'a/b/c'])
def test_check_writable_leaves_no_file(tmp_path, name):
    check_writable(tmp_path / name)
    check_writable(str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_several_processes_can_check_one_folder_at_once(tmp_path):
    """The processes of a distributed run do this with its work_dir."""
    with ThreadPoolExecutor(8) as pool:
        for number in range(50):
            folders = 8 * [tmp_path / f'{number}/work_dir']
            list(pool.map(check_writable, folders))  # an error comes out here


@pytest.mark.parametrize('name', ['file', 'file/below'])
def test_check_writable_names_what_is_not_a_folder(tmp_path, name):
    (tmp_path / 'file').write_text('text')
    with pytest.raises(OutputNotWritable, match=str(tmp_path / name)):
        check_writable(tmp_path / name)
    assert (tmp_path / 'file').read_text() == 'text'


def test_check_writable_refuses_a_file_system_without_files():
    # Not even root can write here.
    with pytest.raises(OutputNotWritable, match='/proc/mmconvmixer'):
        check_writable('/proc/mmconvmixer')
    assert not Path('/proc/mmconvmixer').exists()


def test_relative_paths_are_relative_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic_write('out.txt') as part:
        part.write_text('text')
    assert os.listdir() == ['out.txt']
