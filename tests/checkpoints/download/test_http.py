import hashlib
import os
import signal
import subprocess
import threading
import time
import tracemalloc
from email.utils import formatdate
from types import SimpleNamespace

import pytest

import mmconvmixer._support.progress
import mmconvmixer.checkpoints.download.http
from mmconvmixer.checkpoints import fetch
from mmconvmixer.errors import DownloadError, HashMismatch, OutputNotWritable

CONTENT = bytes(range(256)) * 20
OTHER = CONTENT[::-1]
GOOD = f'net-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth'
DATE = 'Wed, 21 Oct 2015 07:28:00 GMT'


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def part_of(folder, name=GOOD):
    return folder / f'.{name}.part'


@pytest.fixture
def waits(monkeypatch):
    """The seconds of each wait between attempts, which is skipped."""
    waited = []
    monkeypatch.setattr(mmconvmixer.checkpoints.download.http, 'time',
                        SimpleNamespace(sleep=waited.append, time=time.time))
    return waited


@pytest.mark.parametrize('headers, version', [
    ({'ETag': '"1"'}, '"1"'), ({'Last-Modified': DATE}, DATE),
    ({'ETag': 'W/"1"', 'Last-Modified': DATE}, DATE), ({}, None)])
def test_a_transfer_that_breaks_three_times_is_put_together(
        host, answer, tmp_path, headers, version):
    host.answers = [answer(CONTENT, cut=cut, headers=headers) for cut in (100, 1000, 1)]
    host.answers.append(answer(CONTENT, headers=headers))
    path = fetch(f'{host.url}/{GOOD}', tmp_path)
    assert files(tmp_path) == {path.name: CONTENT}
    assert host.asked('Range') == [None, 'bytes=100-', 'bytes=1100-', 'bytes=1101-']
    assert host.asked('If-Range') == [None, version, version, version]
    assert host.sent == len(CONTENT)


def test_a_transfer_may_break_any_number_of_times_if_it_advances(host, answer, tmp_path):
    host.answers = [answer(CONTENT, cut=256)]
    fetch(f'{host.url}/{GOOD}', tmp_path)
    assert len(host.requests) == 20 and host.sent == len(CONTENT)


def test_without_a_hash_the_version_decides_whether_it_resumes(host, answer, tmp_path):
    host.answers = [answer(CONTENT, cut=100), answer(CONTENT)]
    assert fetch(f'{host.url}/net.pth', tmp_path).read_bytes() == CONTENT
    assert host.asked('If-Range') == [None, '"1"'] and host.sent == len(CONTENT)


def test_without_a_hash_or_a_version_it_starts_over(host, answer, tmp_path):
    host.answers = [answer(CONTENT, cut=100, headers={}), answer(CONTENT, headers={})]
    assert fetch(f'{host.url}/net.pth', tmp_path).read_bytes() == CONTENT
    assert host.asked('Range') == [None, None] and host.sent == 100 + len(CONTENT)


@pytest.mark.parametrize('name', [GOOD, 'net.pth'])
def test_a_server_that_knows_no_ranges_sends_all_again(host, answer, tmp_path, name):
    host.answers = [answer(CONTENT, cut=3000, ranges=False), answer(CONTENT, ranges=False)]
    assert fetch(f'{host.url}/{name}', tmp_path).read_bytes() == CONTENT
    assert host.asked('Range') == [None, 'bytes=3000-']
    assert host.sent == 3000 + len(CONTENT)


def test_a_transfer_that_always_breaks_at_the_same_place_fails(host, answer, tmp_path):
    host.answers = [answer(CONTENT, cut=100, ranges=False)]
    with pytest.raises(DownloadError, match='after 100 of 5120'):
        fetch(f'{host.url}/{GOOD}', tmp_path)
    assert len(host.requests) == mmconvmixer.checkpoints.download.http.TRIES


@pytest.mark.parametrize('if_range', [True, False], ids=['answers 200', 'ignores If-Range'])
@pytest.mark.parametrize('name', [GOOD, 'net.pth'])
def test_a_file_that_changed_between_two_parts_is_downloaded_again(
        host, answer, tmp_path, name, if_range):
    new = dict(headers={'ETag': '"2"'}, if_range=if_range)
    host.answers = [answer(OTHER, cut=3000), answer(CONTENT, **new)]
    assert fetch(f'{host.url}/{name}', tmp_path).read_bytes() == CONTENT
    assert list(files(tmp_path)) == [name]


def test_a_file_that_shrank_below_its_part_is_downloaded_again(host, answer, tmp_path):
    host.answers = [answer(OTHER * 2, cut=6000, headers={}), answer(CONTENT, headers={})]
    assert fetch(f'{host.url}/{GOOD}', tmp_path).read_bytes() == CONTENT
    assert host.asked('Range') == [None, 'bytes=6000-', None]


def test_parts_that_do_not_fit_are_downloaded_once_more_from_the_start(host, answer, tmp_path):
    host.answers = [answer(OTHER, cut=3000, headers={}), answer(CONTENT, headers={})]
    assert fetch(f'{host.url}/{GOOD}', tmp_path).read_bytes() == CONTENT
    assert host.asked('Range') == [None, 'bytes=3000-', None]
    assert list(files(tmp_path)) == [GOOD]


def test_bytes_that_are_wrong_again_are_an_error_and_not_kept(host, answer, tmp_path):
    host.answers = [answer(OTHER, cut=3000), answer(OTHER)]
    with pytest.raises(HashMismatch):
        fetch(f'{host.url}/{GOOD}', tmp_path)
    assert host.asked('Range') == [None, 'bytes=3000-', None]
    assert files(tmp_path) == {}


def test_wrong_bytes_without_an_interruption_are_not_downloaded_twice(host, answer, tmp_path):
    host.answers = [answer(OTHER)]
    with pytest.raises(HashMismatch):
        fetch(f'{host.url}/{GOOD}', tmp_path)
    assert len(host.requests) == 1


@pytest.mark.parametrize('digits', [8, 64])
def test_a_given_hash_is_checked(host, answer, tmp_path, digits):
    host.answers = [answer(CONTENT)]
    right, wrong = (hashlib.sha256(data).hexdigest()[:digits] for data in (CONTENT, OTHER))
    assert fetch(f'{host.url}/net.pth', tmp_path, sha256=right.upper()).read_bytes() == CONTENT
    with pytest.raises(HashMismatch, match=f'promises {wrong}'):
        fetch(f'{host.url}/other.pth', tmp_path, sha256=wrong)
    assert list(files(tmp_path)) == ['net.pth']


def test_a_stalled_transfer_is_resumed(host, answer, tmp_path, monkeypatch):
    monkeypatch.setattr(mmconvmixer.checkpoints.download.http, 'TIMEOUT', 0.3)
    host.answers = [answer(CONTENT, cut=3000, stall=True), answer(CONTENT)]
    assert fetch(f'{host.url}/{GOOD}', tmp_path).read_bytes() == CONTENT
    assert host.asked('Range') == [None, 'bytes=3000-'] and host.sent == len(CONTENT)


@pytest.mark.parametrize('status', [500, 502, 503, 429])
def test_a_server_with_a_temporary_error_is_asked_again(host, answer, tmp_path, status):
    host.answers = [answer(status=status), answer(status=status), answer(CONTENT)]
    assert fetch(f'{host.url}/{GOOD}', tmp_path).read_bytes() == CONTENT
    assert len(host.requests) == 3


@pytest.mark.parametrize('status', [400, 401, 403, 404, 410, 416])
def test_a_server_that_refuses_is_not_asked_again(host, answer, tmp_path, status):
    host.answers = [answer(status=status), answer(CONTENT)]
    with pytest.raises(DownloadError):
        fetch(f'{host.url}/{GOOD}', tmp_path)
    assert len(host.requests) == 1
    assert files(tmp_path) == {}


def test_waiting_times_double_and_vary(host, answer, tmp_path, waits):
    host.answers = [answer(status=503)]
    with pytest.raises(DownloadError, match='Service Unavailable'):
        fetch(f'{host.url}/{GOOD}', tmp_path)
    assert len(host.requests) == mmconvmixer.checkpoints.download.http.TRIES == len(waits) + 1
    for number, wait in enumerate(waits):
        assert 0.5 <= wait / (0.01 * 2 ** number) <= 1.5
    assert len(set(waits)) == len(waits)


@pytest.mark.parametrize('status', [429, 503])
@pytest.mark.parametrize('said, least, most', [
    ('7', 7, 7), ('100000', 60, 60), ('-5', 0, 0.1), ('soon', 0, 0.1),
    (formatdate(time.time() + 3600, usegmt=True), 60, 60), (DATE, 0, 0.1)],
    ids=['seconds', 'too many', 'below 0', 'no time', 'a date to come', 'a date gone by'])
def test_retry_after_is_respected_within_bounds(
        host, answer, tmp_path, waits, status, said, least, most):
    host.answers = [answer(status=status, headers={'Retry-After': said}), answer(CONTENT)]
    fetch(f'{host.url}/{GOOD}', tmp_path)
    wait, = waits
    assert least <= wait <= most


def test_each_retry_is_reported(host, answer, tmp_path, capsys):
    host.answers = [answer(CONTENT, cut=100), answer(CONTENT)]
    fetch(f'{host.url}/{GOOD}', tmp_path)
    line, = capsys.readouterr().err.splitlines()
    assert f'{GOOD}: broke off after 100 of 5120 bytes; trying again in 0.0' in line


def test_progress_includes_earlier_data_but_the_rate_does_not(
        host, answer, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(mmconvmixer._support.progress.Progress, 'FIRST', 0.)
    host.answers = [answer(range(4), cut=3 << 20), answer(range(4), pace=0.5)]
    fetch(f'{host.url}/net.pth', tmp_path)
    last = capsys.readouterr().err.splitlines()[-1]
    done = int(last.split('/net.pth: ')[1].split('/')[0])
    rate = float(last.split(' bytes, ')[1].split('/s')[0])
    assert done > 3 << 20 and f'/{4 << 20} bytes' in last
    assert 'eta 0:0' in last and rate > 0


def test_the_next_call_resumes_an_interrupted_one(
        host, answer, tmp_path, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt
    monkeypatch.setattr(mmconvmixer.checkpoints.download.http, 'time',
                        SimpleNamespace(sleep=interrupt))
    host.answers = [answer(CONTENT, cut=3000), answer(CONTENT)]
    with pytest.raises(KeyboardInterrupt):
        fetch(f'{host.url}/{GOOD}', tmp_path)
    assert set(files(tmp_path)) == {f'.{GOOD}.part', f'.{GOOD}.part.from'}
    assert fetch(f'{host.url}/{GOOD}', tmp_path).read_bytes() == CONTENT
    assert host.asked('If-Range') == [None, '"1"'] and host.sent == len(CONTENT)
    assert list(files(tmp_path)) == [GOOD]


def test_a_part_with_an_incomplete_note_is_resumed_only_with_a_hash(host, answer, tmp_path):
    host.answers = [answer(CONTENT)]
    part_of(tmp_path).write_bytes(CONTENT[:3000])
    fetch(f'{host.url}/{GOOD}', tmp_path)
    path = fetch(f'{host.url}/net.pth', tmp_path)
    path.unlink()
    part_of(path.parent, 'net.pth').write_bytes(CONTENT[:3000])
    part_of(path.parent, 'net.pth.part.from').write_text('http')
    fetch(f'{host.url}/net.pth', tmp_path)
    assert host.asked('Range') == ['bytes=3000-', None, None]


def test_a_complete_part_needs_no_network(tmp_path):
    part_of(tmp_path).write_bytes(CONTENT)
    assert fetch(f'http://127.0.0.1:1/{GOOD}', tmp_path).read_bytes() == CONTENT
    assert list(files(tmp_path)) == [GOOD]


def test_a_folder_without_locks_is_named_in_the_error(host, answer, tmp_path, monkeypatch):
    def no_locks(*arguments):
        raise OSError(38, 'Function not implemented')
    monkeypatch.setattr('fcntl.flock', no_locks)
    with pytest.raises(OutputNotWritable, match=f'{tmp_path}.*Function not implemented'):
        fetch(f'{host.url}/{GOOD}', tmp_path)
    assert host.requests == []


def test_a_huge_file_is_never_in_memory_completely(host, answer, megabytes, tmp_path):
    size = 64
    digest = hashlib.sha256()
    for number in range(size):
        digest.update(megabytes(number))
    host.answers = [answer(range(size), pace=0.01, cut=(40 << 20) + 5),
                    answer(range(size), pace=0.01)]
    tracemalloc.start()
    try:
        path = fetch(f'{host.url}/net-{digest.hexdigest()}.pth', tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size == size << 20 == host.sent
    assert peak < 8 << 20  # includes the memory of the server


FETCH = """if 1:
    import sys
    from mmconvmixer.checkpoints import fetch
    print('ready', flush=True)
    sys.stdin.readline()
    print(fetch(*sys.argv[1:]))"""


@pytest.fixture
def process(warm_python):
    """Start a process that is ready to fetch and waits for a line on standard input."""
    started = []

    def start(*arguments):
        running = subprocess.Popen(
            [warm_python, '-c', FETCH, *map(str, arguments)], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        started.append(running)
        assert running.stdout.readline() == 'ready\n'
        return running
    yield start
    for running in started:
        running.kill()
        running.communicate()


def test_of_several_processes_one_downloads(host, answer, megabytes, tmp_path, process):
    host.answers = [answer(range(4), pace=0.3)]
    url, folder = f'{host.url}/net.pth', tmp_path / 'new'
    processes = [process(url, folder) for _ in range(3)]
    for running in processes:
        running.stdin.write('go\n')
        running.stdin.flush()
    paths = {running.communicate(timeout=60)[0] for running in processes}
    assert [running.returncode for running in processes] == [0] * 3
    assert len(host.requests) == 1
    assert len(paths) == 1
    assert files(folder) == {'net.pth': b''.join(map(megabytes, range(4)))}


RANK = """if 1:
    import sys
    from torch.distributed import destroy_process_group, init_process_group
    from mmconvmixer.checkpoints import fetch
    from mmconvmixer.errors import DownloadError
    meeting, rank, *arguments = sys.argv[1:]
    init_process_group('gloo', init_method=f'file://{meeting}', rank=int(rank), world_size=2)
    try:
        print(fetch(*arguments))
    except DownloadError:
        print('failed')
    destroy_process_group()"""


@pytest.mark.parametrize('status, requests', [(200, 1), (404, 2)])
def test_in_a_distributed_run_rank_0_downloads_and_none_hangs_if_it_fails(
        host, answer, tmp_path, warm_python, status, requests):
    host.answers = [answer(CONTENT, status=status)]
    ranks = [subprocess.Popen(
        [warm_python, '-c', RANK, tmp_path / 'meeting', str(rank), f'{host.url}/{GOOD}',
         tmp_path / 'cache'], stdout=subprocess.PIPE, text=True) for rank in range(2)]
    said = [rank.communicate(timeout=120)[0].strip() for rank in ranks]
    assert said == 2 * [str(tmp_path / 'cache' / GOOD) if status == 200 else 'failed']
    assert len(host.requests) == requests  # the second rank may have a separate disk


@pytest.mark.skipif(os.name == 'nt', reason='no SIGKILL')
@pytest.mark.parametrize('waiting', [True, False])
def test_a_killed_process_blocks_nobody_and_its_part_is_resumed(
        host, answer, tmp_path, process, waiting):
    host.answers = [answer(range(2), cut=1 << 20, stall=True), answer(range(2))]
    running = process(f'{host.url}/net.pth', tmp_path)
    running.stdin.write('go\n')
    running.stdin.flush()
    part = None
    while not part or part.stat().st_size < 1 << 20:
        time.sleep(0.02)
        assert running.poll() is None
        part = next(tmp_path.rglob('.net.pth.part'), None)
    assert next(tmp_path.rglob('.net.pth.lock'))
    paths = []
    other = threading.Thread(
        target=lambda: paths.append(fetch(f'{host.url}/net.pth', tmp_path)))
    if waiting:
        other.start()
        time.sleep(0.5)
        assert len(host.requests) == 1
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    if not waiting:
        other.start()
    other.join(20)
    assert paths and paths[0].stat().st_size == 2 << 20
    assert host.asked('Range') == [None, f'bytes={1 << 20}-']
    assert host.sent == 2 << 20
    assert list(files(tmp_path)) == ['net.pth']
