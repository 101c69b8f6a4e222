"""Quantized ONNX files give the same answers on processors with and without VNNI."""
import numpy as np
import pytest

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

from mmconvmixer.deploy.formats.onnx_session import session_of  # noqa: E402

EXACT = 'session.x64quantprecision'


@pytest.fixture
def network(tmp_path):
    """Return the path of a matrix product in int8 whose weights reach `largest`."""
    def write(largest):
        generator = np.random.default_rng(0)
        weights = generator.integers(largest // 2, largest, (64, 16), np.int8, endpoint=True)
        numbers = dict(step=np.float32(1 / 255), zero=np.uint8(0), weights=weights,
                       weight_step=np.float32(1 / 127), weight_zero=np.int8(0),
                       out_step=np.float32(0.25))
        nodes = [('QuantizeLinear', ['images', 'step', 'zero'], 'q'),
                 ('DequantizeLinear', ['q', 'step', 'zero'], 'x'),
                 ('DequantizeLinear', ['weights', 'weight_step', 'weight_zero'], 'w'),
                 ('MatMul', ['x', 'w'], 'y'),
                 ('QuantizeLinear', ['y', 'out_step', 'zero'], 'yq'),
                 ('DequantizeLinear', ['yq', 'out_step', 'zero'], 'logits')]
        value = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node(kind, given, [out]) for kind, given, out in nodes], 'net',
            [value('images', onnx.TensorProto.FLOAT, ['N', 64])],
            [value('logits', onnx.TensorProto.FLOAT, ['N', 16])],
            [onnx.numpy_helper.from_array(number, name) for name, number in numbers.items()])
        path = tmp_path / f'{largest}.onnx'
        onnx.save(onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid('', 20)], ir_version=10), path)
        return path
    return write


def as_written(path, images):
    """Compute the graph node by node, where no sum is kept in 16 bits."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, ['CPUExecutionProvider']).run(
        None, {'images': images})[0]


def is_exact(session):
    try:
        return session.get_session_options().get_session_config_entry(EXACT) == '1'
    except RuntimeError:  # the entry was not set
        return False


@pytest.mark.parametrize('largest', [64, 127], ids=['seven bits', 'eight bits'])
def test_no_sum_saturates_on_a_processor_without_vnni(network, processor, largest):
    processor('with AVX2 alone')
    images = np.random.default_rng(1).uniform(0.7, 1, (3, 64)).astype(np.float32)
    path = network(largest)
    for model in (path, onnx.load(path)):
        found = session_of(model).run(None, {'images': images})[0]
        # One step of the output's rounding; saturated sums are wrong by a quarter and more.
        np.testing.assert_allclose(found, as_written(path, images), atol=0.26)


@pytest.mark.parametrize('kind, largest, exact', [
    ('with AVX2 alone', 127, True), ('with AVX2 alone', 64, False),
    ('with VNNI and bfloat16', 127, False)])
def test_the_slower_exact_mode_is_for_eight_bits_without_vnni_only(
        network, processor, kind, largest, exact):
    processor(kind)
    assert is_exact(session_of(network(largest))) == exact
