import json

import pytest


@pytest.fixture
def work_dir(tmp_path):
    folder = tmp_path / 'work_dirs/mine/20260101_000000/vis_data'
    folder.mkdir(parents=True)
    rows = [dict(loss=2., lr=0.1, epoch=1, iter=50, step=50), {'accuracy/top1': 50., 'step': 1},
            dict(loss=1., lr=0.1, epoch=2, iter=125, step=125)]
    (folder / 'scalars.json').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return tmp_path / 'work_dirs/mine'


def test_its_options(tools, options_of):
    assert options_of(tools('plot_log')) == {'runs', '-h', '--help', '--out'}


def test_it_draws_runs_into_every_file(tool, work_dir, tmp_path):
    done = tool('plot_log', '--out', tmp_path / 'a.png', '--out', tmp_path / 'a.svg', work_dir,
                work_dir / '20260101_000000', experiment=False)
    assert done.code == 0, done.err
    assert done.out == (f'wrote {tmp_path}/a.png, {tmp_path}/a.svg: mine, '
                        'mine/20260101_000000\n')
    assert (tmp_path / 'a.png').read_bytes().startswith(b'\x89PNG')
    assert '<svg' in (tmp_path / 'a.svg').read_text()


def test_without_out_it_writes_curves_png(tool, work_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tool('plot_log', work_dir, experiment=False).code == 0
    assert (tmp_path / 'curves.png').is_file()


def test_it_prints_what_it_left_out(tool, work_dir, tmp_path):
    file, = work_dir.glob('*/vis_data/scalars.json')
    file.write_text(file.read_text() + '{"loss": 0.')
    done = tool('plot_log', work_dir, '--out', tmp_path / 'a.png', experiment=False)
    assert done.code == 0
    assert done.out.startswith(f'note: {file}: the last line is incomplete')


@pytest.mark.parametrize('arguments, said', [
    (['nowhere'], 'nowhere is not there; expected a work dir'),
    (['work_dirs'], 'found mine; did you mean a work dir in it?'),
    (['work_dirs/mine', '--out', 'x.bmp'], 'x.bmp: curves are drawn as .png or .svg'),
    (['work_dirs/mine', '--out', '/proc/x.png'], '/proc/x.png cannot be written'),
])
def test_a_wrong_input_is_one_line(bad_input, work_dir, arguments, said):
    assert said in bad_input('plot_log', *arguments, experiment=False)
