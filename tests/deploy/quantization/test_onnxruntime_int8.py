"""int8 for onnxruntime, and the preparation of its graph."""
from collections import Counter

import numpy as np
import pytest
import torch

from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.quantization import onnxruntime_int8, quantize_onnx
from mmconvmixer.deploy.sample_images import sample_batch

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')


@pytest.fixture
def batches():
    return lambda job: list(np.split(sample_batch(job.preprocessing, 12), 3))


def job_of(model):
    return Job(model, preprocessing_of(model))


def logits(job, images):
    with torch.no_grad():
        return job.network(torch.from_numpy(images)).numpy()


def kinds(model):
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize('act', ['GELU', 'ReLU'])
def test_outputs_are_close_to_those_in_float_but_not_equal(
        convmixer, batches, act, tmp_path):
    job = job_of(convmixer(act))
    quantize_onnx(job, batches(job), tmp_path / 'net.onnx')
    assert [path.name for path in tmp_path.iterdir()] == ['net.onnx']
    images = sample_batch(job.preprocessing, 20)[12:]
    found = onnxruntime_int8.runner(onnx.load(tmp_path / 'net.onnx'))(images)
    error = np.linalg.norm(found - logits(job, images)) / np.linalg.norm(logits(job, images))
    # With another image: 1.6; with weights of eight bits, without VNNI: 0.26.
    assert 1e-4 < error < 0.15


def test_the_sum_of_two_products_of_any_weights_fits_into_16_bits(convmixer, batches, mixer):
    """Processors without VNNI add two products in 16 bits, and a larger sum saturates."""
    for job in (job_of(convmixer()), job_of(mixer())):
        model = onnxruntime_int8.quantized(onnxruntime_int8.prepared(job), batches(job))
        weights = [onnx.numpy_helper.to_array(each) for each in model.graph.initializer]
        kernels = [each for each in weights if each.dtype == np.int8 and each.ndim > 1]
        assert len(kernels) >= 5
        assert all(2 * 255 * np.abs(each.astype(int)).max() < 2**15 for each in kernels)


@pytest.mark.parametrize('act', ['GELU', 'ReLU'])
def test_onnxruntime_finds_int8_kernels_for_all_layers(convmixer, batches, act, tmp_path):
    job = job_of(convmixer(act))
    quantize_onnx(job, batches(job), tmp_path / 'net.onnx')
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / 'optimized.onnx')
    options.log_severity_level = 3
    onnxruntime.InferenceSession(tmp_path / 'net.onnx', options,
                                 providers=['CPUExecutionProvider'])
    found = kinds(onnx.load(tmp_path / 'optimized.onnx'))
    assert found['QLinearConv'] == 7 and found['QGemm'] == 1
    assert found['Conv'] == found['Clip'] == found['Relu'] == 0
    assert (found['Gelu'], found['QLinearAdd']) == ((7, 0) if act == 'GELU' else (0, 7))


@pytest.mark.parametrize('act', ['GELU', 'ReLU'])
def test_preparing_the_graph_does_not_change_the_outputs(convmixer, act):
    job = job_of(convmixer(act))
    model = onnxruntime_int8.prepared(job)
    images = sample_batch(job.preprocessing, 4)
    np.testing.assert_allclose(onnxruntime_int8.runner(model)(images), logits(job, images),
                               rtol=1e-2, atol=2e-3 if act == 'GELU' else 1e-4)
    assert kinds(model)['Mul'] == (7 if act == 'GELU' else 0)
    assert kinds(model)['Clip'] == (7 if act == 'GELU' else 0)


def test_negative_scales_are_not_folded(convmixer):
    network = convmixer('ReLU')
    with torch.no_grad():
        network.backbone.stages[1][0].fn[2].weight[3] *= -1
    job = job_of(network)
    model = onnxruntime_int8.prepared(job)
    images = sample_batch(job.preprocessing, 4)
    np.testing.assert_allclose(onnxruntime_int8.runner(model)(images), logits(job, images),
                               rtol=1e-3, atol=1e-4)
    assert kinds(model)['Mul'] == 1


def test_layers_that_are_kept_stay_in_float(convmixer, batches):
    job = job_of(convmixer('ReLU'))
    model = onnxruntime_int8.prepared(job)
    names = list(onnxruntime_int8.layers(model))
    assert names == ['backbone.stem.patches',
                     *(f'backbone.stages.{block}.{part}' for block in range(3)
                       for part in ('mix_space', 'mix_channels')), 'head.fc']
    every = kinds(onnxruntime_int8.quantized(model, batches(job)))['QuantizeLinear']
    one = onnxruntime_int8.quantized(model, batches(job), keep=names[1:2])
    assert 0 < kinds(one)['QuantizeLinear'] < every
    assert kinds(onnxruntime_int8.quantized(model, batches(job), names))['QuantizeLinear'] == 0


def test_mixers_are_quantized_too(mixer, batches, tmp_path):
    job = job_of(mixer())
    quantize_onnx(job, batches(job), tmp_path / 'net.onnx')
    images = sample_batch(job.preprocessing, 4)
    found = onnxruntime_int8.runner(onnx.load(tmp_path / 'net.onnx'))(images)
    assert np.linalg.norm(found - logits(job, images)) < 0.25 * np.linalg.norm(logits(job, images))
