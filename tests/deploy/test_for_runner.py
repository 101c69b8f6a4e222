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
