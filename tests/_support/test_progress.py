import re
import time

from mmconvmixer._support.progress import Progress


class Quick(Progress):
    """Reports after hundredths of a second."""
    FIRST, INTERVAL = 0.02, 0.1


def test_a_task_of_under_two_seconds_reports_nothing(capsys):
    progress = Progress('test', 1000, 'batches')
    for done in range(1001):
        progress.update(done)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ''


def test_a_long_task_first_reports_after_two_seconds_and_then_every_ten():
    assert (Progress.FIRST, Progress.INTERVAL) == (2, 10)


def test_a_line_has_task_share_rate_and_remaining_time():
    lines = []
    progress = Quick('test', 100, 'batches', say=lines.append)
    time.sleep(0.1)
    progress.update(25)
    shape = r'test: 25/100 batches, (\d+)/s, eta 0:00:0(\d)'
    line, = lines
    rate, eta = map(int, re.fullmatch(shape, line).groups())
    assert 25 / rate > 0.1 * 0.99
    assert eta == round(75 / rate)


def test_at_the_end_the_remaining_time_is_zero():
    lines = []
    progress = Quick('test', 100, 'batches', say=lines.append)
    time.sleep(0.05)
    progress.update(100)
    assert lines[0].endswith(', eta 0:00:00')


def test_nothing_is_reported_before_the_first_unit():
    lines = []
    progress = Quick('test', 10, 'batches', say=lines.append)
    time.sleep(0.05)
    progress.update(0)
    assert lines == []
    progress.update(1)
    assert len(lines) == 1


def test_between_two_lines_there_is_an_interval():
    lines = []
    progress = Quick('test', 0, 'batches', say=lines.append)
    start = time.monotonic()
    done = 0
    while time.monotonic() < start + 0.35:
        done += 1
        progress.update(done)
    # At 0.02, 0.12, 0.22 and 0.32 s; a busy machine may miss some.
    assert 2 <= len(lines) <= 4


def test_without_a_total_there_is_no_share_and_no_remaining_time():
    lines = []
    progress = Quick('downloading', 0, 'bytes', say=lines.append)
    time.sleep(0.05)
    progress.update(7)
    assert re.fullmatch(r'downloading: 7 bytes, [\d.e+]+/s', lines[0])


def test_lines_go_to_standard_error(capsys):
    progress = Quick('test', 10, 'batches')
    time.sleep(0.05)
    progress.update(5)
    captured = capsys.readouterr()
    assert captured.out == ''
    assert captured.err.startswith('test: 5/10 batches, ')
    assert captured.err.endswith('\n')


def test_units_finished_before_count_for_the_share_but_not_for_the_rate():
    lines = []
    progress = Quick('test', 1000, 'batches', done=500, say=lines.append)
    time.sleep(0.1)
    progress.update(500)
    assert lines == []
    progress.update(525)
    line, = lines
    rate, eta = map(int, re.fullmatch(r'test: 525/1000 batches, (\d+)/s, eta 0:00:0(\d)',
                                      line).groups())
    assert 25 / rate > 0.1 * 0.99
    assert eta == round(475 / rate)


def test_a_training_run_reports_its_progress(train, tmp_path, monkeypatch):
    """The delay is set to zero here, as only runs of more than two seconds report."""
    monkeypatch.setattr(Progress, 'FIRST', 0.)
    train(tmp_path, dict(log_level='INFO'))
    log, = tmp_path.rglob('*.log')
    assert 'train epoch 1/1: 1/' in log.read_text() and 'val: 1/' in log.read_text()
