import json

import pytest

from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization import read_log, read_logs


def line(iteration, epoch=1, loss=2.):
    return dict(loss=loss, lr=0.1, epoch=epoch, iter=iteration, step=iteration)


def validation(epoch, top1=50.):
    return {'accuracy/top1': top1, 'time': 0.1, 'step': epoch}


def write_start(work_dir, name, lines, resume=False):
    folder = work_dir / name / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'config.py').write_text(f"model = dict(type='X')\nresume = {resume}\n")
    (folder / 'scalars.json').write_text(''.join(json.dumps(row) + '\n' for row in lines))
    return folder.parent


@pytest.fixture
def work_dir(tmp_path):
    """Two epochs of 75 iterations, logged every 50."""
    write_start(tmp_path / 'mine', '20260101_000000', [
        line(50, loss=2.5), validation(1, 40.), line(125, 2, loss=1.5), validation(2, 60.)])
    return tmp_path / 'mine'


def test_a_work_dir_is_read_as_a_run_with_figures_by_iteration(work_dir):
    log = read_log(work_dir)
    assert log.name == 'mine' and log.epoch_length == 75 and log.notes == ()
    assert log.curve('loss') == [(50, 2.5), (125, 1.5)]
    assert log.curve('accuracy/top1') == [(75, 40.), (150, 60.)]


@pytest.mark.parametrize('inside, name', [
    ('20260101_000000', 'mine/20260101_000000'),
    ('20260101_000000/vis_data', 'mine/20260101_000000'),
    ('20260101_000000/vis_data/scalars.json', 'mine/20260101_000000')])
def test_a_start_or_its_file_is_read_as_a_run_too(work_dir, inside, name):
    log = read_log(work_dir / inside)
    assert log.name == name
    assert log.rows == read_log(work_dir).rows


def test_where_both_have_lines_a_resumed_start_replaces_the_earlier_one(work_dir):
    write_start(work_dir, '20260102_000000', [line(125, 2, loss=1.25), validation(2, 61.)],
                resume=True)
    log = read_log(work_dir)
    assert log.curve('loss') == [(50, 2.5), (125, 1.25)]
    assert log.curve('accuracy/top1') == [(75, 40.), (150, 61.)]


def test_what_the_earlier_start_logged_after_the_end_of_the_later_one_is_dropped(work_dir):
    write_start(work_dir, '20260102_000000', [line(50, loss=2.25)], resume=True)
    assert read_log(work_dir).curve('loss') == [(50, 2.25)]


def test_starts_of_one_epoch_each_give_its_length_together(tmp_path):
    write_start(tmp_path, '20260101_000000', [line(50), validation(1)])
    write_start(tmp_path, '20260102_000000', [line(125, 2), validation(2)], resume=True)
    log = read_log(tmp_path)
    assert log.epoch_length == 75
    assert [when for when, _ in log.curve('accuracy/top1')] == [75, 150]


def test_a_start_that_did_not_resume_discards_those_before_it(work_dir):
    write_start(work_dir, '20260102_000000', [line(70, loss=3.)])
    assert read_log(work_dir).curve('loss') == [(70, 3.)]


def test_a_start_without_a_line_changes_nothing(work_dir):
    before = read_log(work_dir).rows
    write_start(work_dir, '20260102_000000', [])
    assert read_log(work_dir).rows == before


def write_record(work_dir, starts, **more):
    (work_dir / 'run.json').write_text(json.dumps(dict(
        command='', config_file='', seed=0, seconds=1., environment={}, git_revision=None,
        history=[dict(epoch=1, iter=75)], starts=[
            dict(folder=name, iter=begin) for name, begin in starts], **more)))


def test_the_starts_come_in_the_order_of_the_record_and_not_of_their_local_times(tmp_path):
    write_start(tmp_path, '20261025_025900', [line(50, loss=4.), line(100, 2, loss=3.)])
    write_start(tmp_path, '20261025_020100', [line(100, 2, loss=2.), line(150, 2, loss=1.)],
                resume=True)
    write_record(tmp_path, [('20261025_025900', 0), ('20261025_020100', 75)])
    assert read_log(tmp_path).curve('loss') == [(50, 4.), (100, 2.), (150, 1.)]


def test_starts_of_an_earlier_run_in_the_folder_do_not_belong_to_the_curve(tmp_path):
    write_start(tmp_path, '20260105_000000', [line(50, loss=9.), line(500, 7, loss=8.)])
    write_start(tmp_path, '20260101_000000', [line(50, loss=4.)])
    write_record(tmp_path, [('20260101_000000', 0)])
    assert read_log(tmp_path).curve('loss') == [(50, 4.)]


@pytest.mark.parametrize('again', [40., 41.])
def test_a_resumed_run_that_begins_with_a_validation_keeps_the_line_before_it(tmp_path, again):
    write_start(tmp_path, '1', [line(75, loss=4.), validation(1, 40.)])
    write_start(tmp_path, '2', [validation(1, again), line(150, 2, loss=3.)], resume=True)
    write_record(tmp_path, [('1', 0), ('2', 75)])
    log = read_log(tmp_path)
    assert log.curve('loss') == [(75, 4.), (150, 3.)]
    assert log.curve('accuracy/top1') == [(75, again)]


def test_all_files_of_a_real_run_have_the_same_figures(train, tmp_path):
    train(tmp_path / 'run', {'default_hooks.logger.interval': 25})
    train(tmp_path / 'run', {'train_cfg.max_epochs': 2, 'default_hooks.logger.interval': 25},
          resume=True)
    logs = [read_log(tmp_path / 'run' / file) for file in ('', 'scalars.csv', 'run.json')]
    for log in logs:
        assert log.name == 'run' and log.epoch_length == 75
        assert log.curve('accuracy/top1') == [
            (iteration, pytest.approx(value, rel=1e-5))
            for iteration, value in logs[0].curve('accuracy/top1')]
    assert [when for when, _ in logs[0].curve('loss')] == [25, 50, 75, 100, 125, 150]
    assert [when for when, _ in logs[1].curve('lr')] == [25, 50, 75, 100, 125, 150]
    assert [when for when, _ in logs[2].curve('lr')] == [75, 150]


def test_the_record_beside_a_log_of_one_epoch_gives_its_length(tmp_path):
    start = write_start(tmp_path, '20260101_000000', [line(50), validation(1)])
    assert read_log(tmp_path).epoch_length is None
    assert read_log(tmp_path).curve('accuracy/top1') == [(50, 50.)]  # the last known iteration
    (tmp_path / 'run.json').write_text(json.dumps(dict(
        command='', config_file='', seed=0, seconds=1., environment={}, git_revision=None,
        history=[dict(epoch=1, iter=75)])))
    for path in (tmp_path, start, start / 'vis_data/scalars.json'):
        assert read_log(path).curve('accuracy/top1') == [(75, 50.)]


def test_a_run_by_iterations_has_no_epochs(tmp_path):
    rows = [dict(loss=1., iter=iteration, step=iteration) for iteration in (10, 20, 30)]
    rows.insert(2, {'accuracy/top1': 5., 'step': 25})  # log_metric_by_epoch=False
    write_start(tmp_path, 'start', rows)
    log = read_log(tmp_path)
    assert log.epoch_length is None
    assert log.curve('accuracy/top1') == [(25, 5.)]


@pytest.mark.parametrize('name', ['cut.json', 'cut.csv'])
def test_an_incomplete_last_line_is_left_out_and_noted(tmp_path, name):
    path = tmp_path / name
    path.write_text(json.dumps(line(50)) + '\n{"loss": 1.9, "it' if name == 'cut.json' else
                    'epoch,iter,loss\n1,50,2.0\n1,10')
    log = read_log(path)
    assert log.curve('loss') == [(50, 2.)]
    assert log.notes == (f'{path}: the last line is incomplete and was left out',)


@pytest.mark.parametrize('name, content, said', [
    ('x.json', json.dumps(line(50)) + '\nhello\n' + json.dumps(line(100)), "line 2 .*'hello'"),
    ('x.json', '', 'has no log line yet'),
    ('x.json', '{"loss": 1, "ite', 'has no log line yet'),
    ('x.json', '{"epochs": 3}', 'is not the record of a run'),
    ('x.csv', 'a,b\n1,2\n', 'expected a column iter, found a, b'),
    ('x.csv', '', 'expected a column iter, found nothing'),
    ('x.csv', 'iter,loss\n1,2\n2,high\n', 'line 3 is damaged: expected numbers under iter, loss'),
    ('x.json', b'\xff\xfe\x00', 'it is not text'),
    ('x.csv', b'\xff\xfe\x00', 'it is not text'),
    ('x.txt', 'hello', 'x.txt is not the log of a run; expected a work dir, or a file'),
])
def test_a_file_that_is_not_a_log_or_a_damaged_one_is_named(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadConfig, match=said):
        read_log(path)


def test_a_folder_without_a_log_is_reported_with_what_is_in_it(work_dir, tmp_path):
    with pytest.raises(BadConfig, match='nowhere is not there'):
        read_log(tmp_path / 'nowhere')
    with pytest.raises(BadConfig, match=r'found mine; did you mean a work dir in it\?'):
        read_log(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(BadConfig, match='found nothing$'):
        read_log(tmp_path / 'empty')


def test_runs_with_one_name_get_different_ones_and_none_is_read_twice(work_dir, tmp_path):
    other = tmp_path / 'other/mine'
    write_start(other, '20260101_000000', [line(50)])
    alone = write_start(tmp_path / 'alone', '20260101_000000', [line(50)])
    logs = read_logs([work_dir, other, f'{work_dir}/', alone.parent, alone / 'vis_data'])
    assert [log.name for log in logs] == [
        f'{tmp_path.name}/mine', 'other/mine', 'alone', 'alone/20260101_000000']
