"""`.param` and `.bin` files, run by ncnn's own runtime."""
import sys

import pytest

from mmconvmixer.deploy import export
from mmconvmixer.deploy.formats import ncnn as format
from mmconvmixer.errors import BadConfig, UnknownOption

ncnn = pytest.importorskip('ncnn', reason='ncnn is not installed')
pytest.importorskip('pnnx', reason='pnnx is not installed')
pytest.importorskip('onnxscript', reason='onnxscript is not installed')


def test_the_record_names_both_files_and_blobs_without_a_batch(convmixer, tmp_path):
    record = export(convmixer(depth=1), 'ncnn', tmp_path / 'net.param')
    assert sorted(record['files']) == ['net.bin', 'net.param']
    assert record['inputs'] == {'images': dict(shape=[3, 32, 32], dtype='float32')}
    assert record['outputs'] == {'logits': dict(shape=[10], dtype='float32')}
    assert {'ncnn', 'pnnx'} <= set(record['packages'])
    assert {path.name for path in tmp_path.iterdir()} == {'net.param', 'net.bin', 'net.param.json'}
    net = ncnn.Net()
    net.load_param(str(tmp_path / 'net.param'))
    assert (net.input_names(), net.output_names()) == (['images'], ['logits'])


def test_float16_weights_make_half_a_file_that_is_computed_in_float32(convmixer, tmp_path):
    model = convmixer(depth=1)
    sizes = {}
    for dtype in format.DTYPES:
        check = export(model, 'ncnn', tmp_path / 'net.param', dtype=dtype)['check']
        sizes[dtype] = (tmp_path / 'net.bin').stat().st_size
    # Rounding the weights to 11 bits shows, but not as much as computing in float16 does.
    assert 1e-5 < check['max_difference'] / check['largest'] < 1e-2
    weights = sum(each.numel() for each in model.parameters() if each.dim() > 1)
    assert sizes['float32'] - sizes['float16'] == pytest.approx(2 * weights, rel=0.05)


def test_a_batch_is_refused(convmixer, tmp_path):
    with pytest.raises(UnknownOption, match='one image at a time'):
        export(convmixer(depth=1), 'ncnn', tmp_path / 'net.param', dynamic_batch=True)
    assert not list(tmp_path.iterdir())


def test_an_operator_that_ncnn_has_not_is_named():
    """pnnx writes such a file and exits with 0, for example for torch's addcmul."""
    graph = ('7767517\n3 3\nInput in0 0 1 in0\nReLU relu_0 1 1 in0 1\n'
             'aten::addcmul pnnx_1 1 1 1 out0\n')
    with pytest.raises(BadConfig, match='has no layer for a part of this network: aten::addcmul$'):
        format._check_layers(graph)
    format._check_layers(graph.replace('aten::addcmul', 'GELU'))


def test_files_that_ncnn_does_not_load_are_an_error(tmp_path):
    (tmp_path / 'net.param').write_text('not a graph\n')
    with pytest.raises(BadConfig, match='ncnn does not load .*net.param'):
        format.reader(tmp_path / 'net.param')


def test_a_failure_of_pnnx_is_an_error(convmixer, tmp_path, monkeypatch):
    monkeypatch.setattr('pnnx.EXEC_PATH', sys.executable)  # it finds no such script
    with pytest.raises(BadConfig, match='pnnx does not convert this network'):
        export(convmixer(depth=1), 'ncnn', tmp_path / 'net.param')
