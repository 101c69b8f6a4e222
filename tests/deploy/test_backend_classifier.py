"""`tools/test.py --backend`: other runtimes on a whole dataset."""
import pytest


@pytest.mark.parametrize(('backend', 'precision'), [
    ('torch', 'float32'), ('torch', 'bfloat16'), ('onnxruntime', 'float32'),
    ('openvino', 'float32'), ('litert', 'float32')])
def test_another_runtime_gets_the_accuracy_of_the_model(
        tool, tmp_path, processor, backend, precision):
    processor('with VNNI and bfloat16')
    if backend in ('onnxruntime', 'openvino', 'litert'):
        pytest.importorskip('tensorflow' if backend == 'litert' else backend)
    name = 'convmixer-64-4_digits'
    plain = tool('test', name, '--work-dir', tmp_path / 'plain')
    other = tool('test', name, '--work-dir', tmp_path / 'other', '--backend', backend,
                 '--precision', precision)
    assert other.code == 0, other.err
    assert other.out.splitlines()[-1].split()[:4] == plain.out.splitlines()[-1].split()[:4]


def test_the_backend_gets_averaged_weights(tool, train, toy_config, trained, tmp_path):
    """EMAHook exchanges the weights when the test begins, so the backend is built after that."""
    config = tmp_path / 'averaged.py'
    config.write_text(f"_base_ = ['{toy_config}']\n"
                      "custom_hooks = [dict(type='EMAHook', momentum=0.002)]\n")
    train(tmp_path / 'run', config=config, validate=False)
    averaged = tmp_path / 'run/epoch_1.pth'

    def accuracy(config, checkpoint, *options):
        done = tool('test', config, checkpoint, '--work-dir', tmp_path / 'test', *options)
        assert done.code == 0, done.err
        return done.out.splitlines()[-1].split()[1]

    assert accuracy(config, averaged, '--backend', 'torch') == accuracy(config, averaged)
    assert accuracy(config, averaged) != accuracy(toy_config, trained)  # the run without average
