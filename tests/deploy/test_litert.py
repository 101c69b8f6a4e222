"""`.tflite` files, run by LiteRT's interpreter."""
import numpy as np
import pytest
import torch

from mmconvmixer import get_model
from mmconvmixer.deploy.formats import litert
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.keras_twin import keras_twin
from mmconvmixer.deploy.keras_twin.affine import norms_as_convolutions
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.errors import BadConfig

pytest.importorskip('tensorflow', reason='TensorFlow is not installed')


def convmixer(act='GELU', kernel_size=5):
    """Weights like trained ones: the pointwise products are near the identity."""
    model = get_model('convmixer-128-4_cifar10', head=dict(in_channels=16), backbone=dict(
        arch=f'16/2-p4-k{kernel_size}', act_cfg=dict(type=act)))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(0.3 * torch.randn(value.shape, generator=generator))
        for norm in (each for each in model.modules() if isinstance(each, torch.nn.BatchNorm2d)):
            norm.weight.abs_().add_(0.5)
            norm.running_var.abs_().add_(0.5)
        for block in model.backbone.stages:
            block[1].weight += torch.eye(16)[..., None, None]
    return model


@pytest.fixture
def network(request, mixer):
    """The network of this test's parameter."""
    return mixer() if request.param == 'mixer' else convmixer(*request.param)


def job_of(model, **options):
    return Job(model, preprocessing_of(model), **options)


def images(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 3, 32, 32)).astype(np.float32)


def expected_of(job, x):
    with torch.no_grad():
        return job.network(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize('features', [False, True])
@pytest.mark.parametrize('network', [(), ('ReLU', 4), 'mixer'], indirect=True)
def test_any_number_of_images_is_computed(network, features, tmp_path, error):
    job, path = job_of(network, features=features), tmp_path / 'net.tflite'
    litert.write(job, path)
    run = litert.reader(path)
    for count in (3, 1, 5):
        x = images(count)
        assert error(run(x), expected_of(job, x)) < 1e-5


def test_a_static_file_takes_one_image(mixer, tmp_path, error):
    job, path = job_of(mixer(), dynamic_batch=False), tmp_path / 'net.tflite'
    litert.write(job, path)
    run, x = litert.reader(path), images(2)
    assert error(np.concatenate([run(x[:1]), run(x[1:])]), expected_of(job, x)) < 1e-5
    with pytest.raises(RuntimeError, match='dimension'):
        run(x)


@pytest.mark.parametrize('network', [(), 'mixer'], indirect=True)
def test_int8_is_close_to_float32(network, tmp_path, error):
    """8 bits make a small error; without calibrated ranges it would be more than 1."""
    job, path = job_of(network), tmp_path / 'net.tflite'
    litert.write_int8(job, path, [images(16, seed=1), images(16, seed=2)])
    x = images(8)
    expected = expected_of(job, x)
    for xnnpack in (True, False):
        actual = litert.reader(path, xnnpack=xnnpack)(x)
        assert 1e-4 < error(actual, expected) < 0.1
        assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.99


def test_the_ranges_come_from_the_images(tmp_path, error):
    job, path, x = job_of(convmixer()), tmp_path / 'net.tflite', images(8)
    litert.write_int8(job, path, [images(16, seed=1)])
    fitting = error(litert.reader(path)(x), expected_of(job, x))
    litert.write_int8(job, path, [0.01 * images(16, seed=1)])
    assert error(litert.reader(path)(x), expected_of(job, x)) > 5 * fitting


def test_int8_weights_have_one_byte_and_a_scale_for_each_channel(tmp_path):
    Interpreter = litert._interpreters().Interpreter
    job, path = job_of(convmixer()), tmp_path / 'net.tflite'
    litert.write_int8(job, path, [images(4)])
    tensors = Interpreter(model_path=str(path)).get_tensor_details()
    kernels = [each for each in tensors if each['shape'].tolist() == [16, 1, 1, 16]]
    assert len(kernels) == 2 and {each['dtype'] for each in kernels} == {np.int8}
    assert all(len(each['quantization_parameters']['scales']) == 16 for each in kernels)


def test_batch_norms_as_convolutions_compute_the_same(error):
    twin = keras_twin(convmixer())
    network, x = norms_as_convolutions(twin), images(2).transpose(0, 2, 3, 1)
    assert error(network(x).numpy(), twin(x).numpy()) < 1e-5
    assert not any('moving_mean' in variable.path for variable in network.variables)


@pytest.mark.parametrize('dynamic_batch, batch', [(True, 'batch'), (False, 1)])
def test_the_interface_is_that_of_the_file(dynamic_batch, batch, tmp_path):
    Interpreter = litert._interpreters().Interpreter
    job, path = job_of(convmixer(), dynamic_batch=dynamic_batch), tmp_path / 'net.tflite'
    litert.write(job, path)
    assert litert.interface(job) == dict(
        inputs=dict(images=dict(shape=[batch, 32, 32, 3], dtype='float32')),
        outputs=dict(logits=dict(shape=[batch, 10], dtype='float32')))
    runner = Interpreter(model_path=str(path)).get_signature_runner()
    logits = runner(images=images(1).transpose(0, 2, 3, 1))['logits']
    np.testing.assert_allclose(logits, litert.reader(path)(images(1)), rtol=1e-6)


def test_the_error_for_int8_without_images_says_what_to_call(tmp_path):
    with pytest.raises(BadConfig, match='write_int8'):
        litert.write(job_of(convmixer(), dtype='int8'), tmp_path / 'net.tflite')
