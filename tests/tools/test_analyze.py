import shutil

import pytest

NAME = 'convmixer-64-4_digits'


def test_a_run_is_tested_and_described(tool, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained.parent, 'work_dirs/mine')
    done = tool('analyze', 'work_dirs/mine', experiment=False)
    assert done.code == 0, done.err
    page = (tmp_path / 'report.html').read_text()
    assert all(f'<h2>{title}</h2>' in page for title in (
        'Result', 'Curves', 'Classes', 'Calibration', 'Confusion', 'Worst images', 'Run', 'Config'))
    said = done.out.splitlines()[-1]
    assert said.startswith('wrote report.html: ') and said.endswith('of 599 images are right')
    assert said.split()[2] in page
    assert 'http' not in page.replace('http://www.w3.org', '').split('<h2>Config')[0]


def test_predictions_have_what_they_tell(tool, evaluate, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    metrics = evaluate(trained, tmp_path / 'logs', out='mine.json')
    done = tool('analyze', 'mine.json', '--out', 'page.html', experiment=False)
    assert done.code == 0, done.err
    page = (tmp_path / 'page.html').read_text()
    assert '<h2>Run</h2>' not in page and '<h2>Curves</h2>' not in page
    assert f'{metrics["accuracy/top1"]:.2f}%' in page and f'{metrics["accuracy/top5"]:.2f}%' in page
    assert f'calibration error {metrics["calibration/ece"]:.2f} points' in page
    assert 'give the config whose test set has it' in page


@pytest.mark.parametrize('arguments, said', [
    (['nothing.json'], 'nothing.json cannot be read'),
    ([NAME, '--out', 'x.pdf'], 'x.pdf: the page is written as .html'),
    (['nothing'], 'nothing is neither a file nor a model'),
    (['.'], '. is a folder without the config of a run'),
])
def test_a_wrong_input_is_one_line(bad_input, arguments, said):
    assert said in bad_input('analyze', *arguments, experiment=False)
