"""`tools/export.py`: a file and one line, or an error and no file."""
import pytest

NAME = 'convmixer-64-4_digits'


def test_a_name_is_exported_with_its_weights(tool, tmp_path):
    out = tmp_path / 'net.pt2'
    done = tool('export', NAME, '--format', 'torch', '--out', out, experiment=False)
    assert done.code == 0, done.err
    assert f'wrote {out} (published weights); max difference to PyTorch' in done.out
    assert 'top-1 agreement 100%' in done.out
    assert out.is_file() and (tmp_path / 'net.pt2.json').is_file()


def test_a_config_without_a_checkpoint_says_that_its_weights_are_random(tool, repo, tmp_path):
    config = repo / f'configs/convmixer/{NAME}.py'
    done = tool('export', config, '--format', 'torch', '--out', tmp_path / 'net.pt2',
                experiment=False)
    assert done.code == 0, done.err
    assert f'{NAME} is exported with random weights' in done.out + done.err


def test_a_checkpoints_features_are_exported(tool, trained, toy_config, tmp_path):
    done = tool('export', toy_config, '--checkpoint', trained, '--format', 'torch', '--out',
                tmp_path / 'net.pt2', '--features', '--no-dynamic-batch', experiment=False)
    assert done.code == 0, done.err
    assert '(epoch_1.pth weights)' in done.out
    assert 'top-1' not in done.out


@pytest.mark.parametrize(('options', 'said'), [
    (['--format', 'tensorrt', '--out', 'net.engine'], 'these are: onnx, openvino, torch'),
    (['--format', 'torch', '--out', 'net.pth'], 'does not end in .pt2'),
    (['--format', 'torch', '--out', 'net.pt2', '--dtype', 'int4'], 'it has float32'),
    (['--format', 'torch', '--out', 'net.pt2', '--checkpoint', 'none.pth'], 'none.pth'),
])
def test_bad_input_leaves_nothing(bad_input, options, said):
    assert said in bad_input('export', NAME, *options, experiment=False)
