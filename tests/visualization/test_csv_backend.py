import csv

import pytest
from mmengine import Config, MessageHub

from mmconvmixer.visualization.csv_backend import CSVVisBackend


@pytest.fixture(autouse=True)
def no_run_before():
    MessageHub._instance_dict.clear()


def table(path):
    with open(path, newline='') as file:
        return list(csv.reader(file))


def training(iteration, epoch=1, **figures):
    return dict(loss=2.5, epoch=epoch, iter=iteration, **figures)


@pytest.fixture
def start(tmp_path):
    """Make the backend of a start of the run in `tmp_path`."""
    def begin(resume=False, name='20260101_000000'):
        backend = CSVVisBackend(tmp_path / name / 'vis_data')
        backend.add_config(Config(dict(work_dir=str(tmp_path), resume=resume)))
        return backend
    return begin


def test_a_row_for_each_line_and_a_column_for_each_figure(start, tmp_path):
    start().add_scalars(training(50, lr=1e-3), step=50)
    assert table(tmp_path / 'scalars.csv') == [
        ['epoch', 'iter', 'loss', 'lr'], ['1', '50', '2.5', '0.001']]


def test_a_new_figure_gets_a_column_that_is_empty_in_earlier_rows(start, tmp_path):
    backend = start()
    backend.add_scalars(training(50), step=50)
    # The runner counts from 0, and passes the epoch as the step after validation.
    hub = MessageHub.get_current_instance()
    hub.update_info('epoch', 0)
    hub.update_info('iter', 74)
    backend.add_scalars({'accuracy/top1': 87.5, 'time': 0.25}, step=1)
    backend.add_scalars(training(125, epoch=2), step=125)
    assert table(tmp_path / 'scalars.csv') == [
        ['epoch', 'iter', 'loss', 'accuracy/top1', 'val/time'],
        ['1', '50', '2.5', '', ''],
        ['1', '75', '', '87.5', '0.25'],
        ['2', '125', '2.5', '', '']]


def test_a_resumed_run_continues_the_table(start, tmp_path):
    first = start()
    for iteration in (50, 100, 150):
        first.add_scalars(training(iteration, lr=0.1), step=iteration)
    again = start(resume=True, name='20260101_000001')
    again.add_scalars(training(100, grad_norm=3.), step=100)
    assert table(tmp_path / 'scalars.csv') == [
        ['epoch', 'iter', 'loss', 'lr', 'grad_norm'],
        ['1', '50', '2.5', '0.1', ''],
        ['1', '100', '2.5', '', '3']]


def test_a_resumed_run_that_begins_with_a_validation_keeps_the_row_before_it(start, tmp_path):
    hub = MessageHub.get_current_instance()
    hub.update_info('epoch', 0)
    hub.update_info('iter', 74)
    first, again = start(), start(resume=True, name='20260101_000001')
    first.add_scalars(training(75), step=75)
    first.add_scalars({'accuracy/top1': 40., 'time': 0.25}, step=1)
    first.add_scalars(training(150), step=150)
    again.add_scalars({'accuracy/top1': 41., 'time': 0.25}, step=1)
    assert [row[1:4] for row in table(tmp_path / 'scalars.csv')[1:]] == [
        ['75', '2.5', ''], ['75', '', '41']]


def test_an_incomplete_row_of_a_killed_run_is_dropped(start, tmp_path):
    first = start()
    first.add_scalars(training(50), step=50)
    path = tmp_path / 'scalars.csv'
    path.write_text(path.read_text() + '1,10')  # of "1,100,2.5"
    start(resume=True).add_scalars(training(100), step=100)
    assert table(path)[1:] == [['1', '50', '2.5'], ['1', '100', '2.5']]


@pytest.mark.parametrize('content', ['', 'my,own\n1,2\n', 'epoch,iter\n1,x\n', '\0\udcff'])
def test_a_damaged_table_does_not_end_a_resumed_run(start, tmp_path, content):
    (tmp_path / 'scalars.csv').write_text(content, errors='surrogateescape')
    start(resume=True).add_scalars(training(100), step=100)
    assert table(tmp_path / 'scalars.csv')[-1][:2] == ['1', '100']
    assert len(table(tmp_path / 'scalars.csv')) == 2


def test_a_new_run_in_an_old_folder_begins_a_new_table(start, tmp_path):
    start().add_scalars(training(50), step=50)
    start().add_scalars(training(99), step=99)
    assert [row[1] for row in table(tmp_path / 'scalars.csv')] == ['iter', '99']


def test_a_test_run_touches_nothing(start, tmp_path):
    start().close()
    assert list(tmp_path.iterdir()) == []


def test_another_folder_gets_the_table_itself(tmp_path):
    backend = CSVVisBackend(tmp_path / 'mine')
    backend.add_config(Config(dict(work_dir=str(tmp_path / 'work'))))
    backend.add_scalar('loss', 1., step=7)
    assert table(tmp_path / 'mine/scalars.csv') == [
        ['epoch', 'iter', 'loss'], ['', '7', '1']]


def test_a_real_run_killed_in_its_second_epoch_and_resumed_has_one_table(train, tmp_path):
    every = {'default_hooks.logger.interval': 25}
    train(tmp_path, every)
    path = tmp_path / 'scalars.csv'
    whole_first_epoch = path.read_text()
    path.write_text(whole_first_epoch + '2,100,,,,,\n2,12')
    train(tmp_path, {'train_cfg.max_epochs': 2, **every}, resume=True)
    assert path.read_text().startswith(whole_first_epoch)
    header, *rows = table(path)
    assert header[:2] == ['epoch', 'iter'] and len({len(row) for row in rows}) == 1
    assert [row[:2] for row in rows] == [[epoch, iteration] for epoch, iteration in (
        ('1', '25'), ('1', '50'), ('1', '75'), ('1', '75'),
        ('2', '100'), ('2', '125'), ('2', '150'), ('2', '150'))]
    top1 = header.index('accuracy/top1')
    assert [bool(row[top1]) for row in rows] == [False, False, False, True] * 2
