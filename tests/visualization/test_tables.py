import json
from pathlib import Path

import pytest
import yaml

from mmconvmixer.errors import BadConfig, OutputNotWritable
from mmconvmixer.visualization import epochs_table, plot_logs, read_records, results_table

RECORD = dict(
    command='python tools/train.py mine.py', config_file='mine.py', seed=5, seconds=90.,
    git_revision='abc',
    environment=dict(processor='2 x Some CPU'), history=[
        dict(epoch=1, iter=10, metrics={'accuracy/top1': 40., 'accuracy/top5': 80.}),
        dict(epoch=2, iter=20),
        dict(epoch=3, iter=30, metrics={'accuracy/top1': 50.25, 'accuracy/top5': 90.})])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'mine.json').write_text(json.dumps(RECORD))
    rows = [dict(model='Mine', budget='3 epochs', to_pass='50 %', where='a GPU', config=config)
            for config in ('mine.py', 'other.py')]
    (tmp_path / 'rows.yml').write_text(yaml.safe_dump(rows))
    return tmp_path


def test_a_record_has_the_epochs_that_were_measured(folder):
    run, = read_records(folder)
    assert run.name == 'mine' and run.epoch_length == 10
    assert run.curve('accuracy/top1') == [(10, 40.), (30, 50.25)]
    assert run.record == RECORD


def test_the_table_has_the_last_figures_and_says_what_was_not_run(folder):
    *_, mine, other = results_table(folder).splitlines()
    assert mine == ('| Mine | 3 epochs | 50 % | 50.25 | 90.00 |  | 5 | 1.5 min | 2 x Some CPU | '
                    '`python tools/train.py mine.py` |')
    assert other == ('| Mine | 3 epochs | 50 % | not run | | | | | a GPU | '
                     '`python tools/train.py other.py` |')


def test_the_folder_of_a_run_and_that_it_was_resumed_are_no_part_of_its_command(folder):
    (folder / 'mine.json').write_text(json.dumps(dict(RECORD, command=(
        'python tools/train.py mine.py --work-dir work_dirs/x --seed 5 --resume'))))
    assert '| `python tools/train.py mine.py --seed 5` |' in results_table(folder)


def test_epochs_are_listed_beside_those_of_the_official_log(folder):
    (folder / 'official_log.yml').write_text(
        '0: [0.005, 54.18]\n2: [0.01, 70.0]\n9: [0.05, 78.0]\n')
    history = [dict(entry, lr=0.02) for entry in RECORD['history']]
    (folder / 'c10.json').write_text(json.dumps(
        dict(RECORD, config_file='configs/x_cifar10.py', history=history)))
    (folder / 'c100.json').write_text(json.dumps(
        dict(RECORD, config_file='configs/x_cifar100.py', history=history)))
    (folder / 'once.json').write_text(json.dumps(  # evaluated at its end only
        dict(RECORD, config_file='configs/x_cifar10.py', history=history[-1:])))
    assert epochs_table(folder).splitlines() == [
        '| epoch | official: lr | top-1 | c10: lr | top-1 |',
        '| --: | --: | --: | --: | --: |',
        '| 0 | 0.005000 | 54.18 | 0.020000 | 40.00 |',
        '| 2 | 0.010000 | 70.00 | 0.020000 | 50.25 |',
        '| 9 | 0.050000 | 78.00 |  |  |']


@pytest.mark.parametrize('content', ['{', '[]', '{"config": "x"}'])
def test_a_file_that_is_not_a_record_is_named(tmp_path, content):
    (tmp_path / 'bad.json').write_text(content)
    with pytest.raises(BadConfig, match='bad.json'):
        read_records(tmp_path)


def test_a_run_that_was_never_validated_has_no_figures(folder):
    history = [dict(epoch=1, iter=10)]
    (folder / 'mine.json').write_text(json.dumps(dict(RECORD, history=history)))
    assert '| 50 % |  |  |  | 5 | 1.5 min |' in results_table(folder)
    with pytest.raises(BadConfig, match='mine.json has none of accuracy/top1; it has no figures'):
        plot_logs(read_records(folder), [folder / 'curves.png'], 'accuracy/top1')


def test_curves_need_runs_and_an_image_file(folder, tmp_path):
    with pytest.raises(BadConfig, match='no run'):
        plot_logs([], [tmp_path / 'curves.png'], 'accuracy/top1')
    with pytest.raises(OutputNotWritable, match='.png or .svg'):
        plot_logs(read_records(folder), [tmp_path / 'curves.xyz'], 'accuracy/top1')
    with pytest.raises(BadConfig, match='it has accuracy/top1, accuracy/top5'):
        plot_logs(read_records(folder), [tmp_path / 'curves.png'], 'accuracy/top9')
    with pytest.raises(BadConfig, match='nowhere is not a folder'):
        read_records(tmp_path / 'nowhere')


def test_curves_are_drawn_with_a_line_and_a_name_for_each_run(folder, tmp_path):
    (folder / 'second.json').write_text(json.dumps(RECORD))
    path = tmp_path / 'curves.svg'
    plot_logs(read_records(folder), [path], 'accuracy/top1')
    assert path.read_text().count('id="line2d_') > 2
    import matplotlib
    with matplotlib.rc_context({'svg.fonttype': 'none'}):
        plot_logs(read_records(folder), [path], 'accuracy/top1')
    drawn = path.read_text()
    for text in ('mine', 'second', '50.25', 'epoch'):
        assert text in drawn


DOCS = Path(__file__).resolve().parents[2] / 'docs'


@pytest.mark.skipif(not DOCS.is_dir(), reason='docs/ is in the checkout only')
@pytest.mark.parametrize('table', [results_table, epochs_table])
def test_the_results_page_holds_the_tables_of_the_records(table):
    assert table(DOCS / 'results') in (DOCS / 'results.md').read_text(), \
        'python tools/results.py docs/results prints what it must hold'
