"""int8 for OpenVINO."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.quantization import nncf_int8, quantize_openvino
from mmconvmixer.deploy.sample_images import sample_batch

openvino = pytest.importorskip('openvino')
pytest.importorskip('nncf')


@pytest.fixture
def job(convmixer):
    model = convmixer()
    return Job(model, preprocessing_of(model))


@pytest.fixture
def batches(job):
    return list(np.split(sample_batch(job.preprocessing, 12), 3))


def count(model, kind):
    return sum(op.get_type_name() == kind for op in model.get_ordered_ops())


def test_outputs_are_close_to_those_in_float_but_not_equal(job, batches):
    run = nncf_int8.runner(quantize_openvino(job, batches))
    images = sample_batch(job.preprocessing, 20)[12:]
    with torch.no_grad():
        expected = job.network(torch.from_numpy(images)).numpy()
    error = np.linalg.norm(run(images) - expected) / np.linalg.norm(expected)
    assert 1e-4 < error < 0.3  # with another image: 1.6
    np.testing.assert_array_equal(run(images[:1]).shape, (1, 10))


def test_all_convolutions_the_additions_and_the_head_compute_in_int8(job, batches):
    model = quantize_openvino(job, batches)
    compiled = openvino.Core().compile_model(model, 'CPU')
    kinds = {}
    for op in compiled.get_runtime_model().get_ordered_ops():
        info = op.get_rt_info()
        kinds.setdefault(info['layerType'].astype(str), []).append(
            info['runtimePrecision'].astype(str))
    convolutions = kinds['Convolution'] + kinds.get('GroupConvolution', [])
    assert len(convolutions) == 7
    assert set(convolutions) <= {'u8', 'i8'}, convolutions


def test_the_sum_of_two_products_of_any_weights_fits_into_16_bits(job, batches, mixer):
    """Processors without VNNI add two products in 16 bits, and a larger sum saturates."""
    model = mixer()
    for network in (quantize_openvino(job, batches), quantize_openvino(
            Job(model, preprocessing_of(model)), batches)):
        sums = 0
        for op in network.get_ordered_ops():
            if op.get_type_name() not in ('Convolution', 'MatMul'):  # depthwise does not sum
                continue
            weight = op.input_value(1).get_node()
            while weight.inputs():
                weight = weight.input_value(0).get_node()
            assert weight.data.dtype == np.int8
            assert 2 * 255 * np.abs(weight.data.astype(int)).max() < 2**15, op.get_friendly_name()
            sums += 1
        assert sums >= 5


def test_pointwise_inputs_are_symmetric_and_depthwise_ones_have_a_zero_point(job, batches):
    model = quantize_openvino(job, batches)
    bounds = {}
    for op in model.get_ordered_ops():
        if op.get_type_name() in ('Convolution', 'GroupConvolution'):
            source = op.input_value(0).get_node()
            low, high = (source.input_value(place).get_node().data.item() for place in (1, 2))
            kind = 'pointwise' if op.input_value(1).get_shape()[-1] == 1 else (
                op.get_type_name())
            bounds.setdefault(kind, []).append((low, high))
    for low, high in bounds['pointwise']:
        assert high == pytest.approx(-low * 127 / 128)
    assert len(bounds['pointwise']) == len(bounds['GroupConvolution']) == 3
    assert any(high != pytest.approx(-low * 127 / 128) for low, high in bounds['GroupConvolution'])


def test_layers_have_the_names_of_the_modules(job):
    assert list(nncf_int8.layers(nncf_int8.prepared(job))) == [
        'backbone.stem.patches',
        *(f'backbone.stages.{block}.{part}' for block in range(3)
          for part in ('mix_space', 'mix_channels')), 'head.fc']


def test_with_all_layers_kept_in_float_nothing_is_quantized_even_the_additions(job, batches):
    network = nncf_int8.prepared(job)
    names = list(nncf_int8.layers(network))
    every = count(nncf_int8.quantized(network, batches), 'FakeQuantize')
    one = nncf_int8.quantized(network, batches, keep=names[1:2])
    assert 0 < count(one, 'FakeQuantize') < every
    none = nncf_int8.quantized(network, batches, keep=names)
    assert count(none, 'FakeQuantize') == 0
    images = batches[0]
    np.testing.assert_allclose(nncf_int8.float_runner(none)(images),
                               nncf_int8.float_runner(network)(images), rtol=1e-4, atol=1e-5)


def test_the_size_of_the_batches_makes_no_difference(job, batches):
    singles = np.split(np.concatenate(batches), 12)
    for_batches, for_singles = (nncf_int8.float_runner(quantize_openvino(job, each))
                                for each in (batches, singles))
    np.testing.assert_array_equal(for_batches(batches[0]), for_singles(batches[0]))


def test_one_image_at_a_time_and_features_and_mixers_are_quantized_too(job, batches, mixer):
    model = mixer()
    for each in (replace(job, dynamic_batch=False, features=True),
                 Job(model, preprocessing_of(model))):
        images = sample_batch(each.preprocessing, 4)
        run = nncf_int8.runner(quantize_openvino(each, [images]))
        with torch.no_grad():
            expected = each.network(torch.from_numpy(images)).numpy()
        found = np.concatenate([run(images[number:number + 1]) for number in range(4)])
        assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 0.3
