import json


def test_it_prints_the_table_and_draws_the_curves(tool, tmp_path):
    history = [dict(epoch=1, iter=9, metrics={'accuracy/top1': 40., 'accuracy/top5': 80.})]
    (tmp_path / 'mine.json').write_text(json.dumps(dict(
        command='python tools/train.py mine.py', config_file='mine.py', seed=5, seconds=90.,
        git_revision=None,
        environment=dict(processor='2 x Some CPU'), history=history)))
    (tmp_path / 'rows.yml').write_text(
        '- {model: Mine, budget: 1 epoch, to_pass: none, where: here, config: mine.py}')
    run = tool('results', tmp_path, '--curves', tmp_path / 'top1.png', experiment=False)
    assert run.code == 0, run.err
    assert '| Mine | 1 epoch | none | 40.00 | 80.00 |' in run.out
    assert (tmp_path / 'top1.png').read_bytes().startswith(b'\x89PNG')


def test_a_file_that_is_not_a_record_is_one_line(bad_input, tmp_path):
    (tmp_path / 'bad.json').write_text('{}')
    assert 'bad.json is not the record of a run' in bad_input('results', tmp_path, experiment=False)
