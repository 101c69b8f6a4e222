"""`tools/test.py --backend`: other runtimes on a whole dataset."""
import pytest


@pytest.mark.parametrize(('backend', 'precision'), [
    ('torch', 'float32'), ('torch', 'bfloat16'), ('onnxruntime', 'float32'),
    ('openvino', 'float32')])
def test_another_runtime_gets_the_accuracy_of_the_model(tool, tmp_path, backend, precision):
    if backend in ('onnxruntime', 'openvino'):
        pytest.importorskip(backend)
    name = 'convmixer-64-4_digits'
    plain = tool('test', name, '--work-dir', tmp_path / 'plain')
    other = tool('test', name, '--work-dir', tmp_path / 'other', '--backend', backend,
                 '--precision', precision)
    assert other.code == 0, other.err
    assert other.out.splitlines()[-1].split()[:4] == plain.out.splitlines()[-1].split()[:4]


def test_an_average_of_weights_is_what_is_asked(tool, train, toy_config, tmp_path):
    """EMAHook exchanges the weights when the test begins: the backend is made after that."""
    averaged = ['custom_hooks=[dict(type=EMAHook,momentum=0.5)]']
    train(tmp_path / 'run', overrides=dict(custom_hooks=[dict(type='EMAHook', momentum=0.5)]))
    checkpoint = tmp_path / 'run/epoch_1.pth'
    last_lines = [tool('test', toy_config, checkpoint, '--work-dir', tmp_path / 'test', *options,
                       '--cfg-options', *averaged).out.splitlines()[-1]
                  for options in ([], ['--backend', 'torch'])]
    assert last_lines[0].split()[:4] == last_lines[1].split()[:4]
