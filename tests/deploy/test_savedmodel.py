"""SavedModels: their outputs, their gradients, and their use as checkpoints."""
import io
from copy import deepcopy

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from PIL import Image
from torch.nn import functional as F

from mmconvmixer import get_model
from mmconvmixer.apis.inference import Predictor
from mmconvmixer.checkpoints.layouts import layout_named
from mmconvmixer.deploy.formats import savedmodel
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.keras_twin import family_of
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.sample_images import sample_images
from mmconvmixer.errors import BadConfig
from mmconvmixer.zoo.config import load_config

pytest.importorskip('tensorflow', reason='TensorFlow is not installed')

RESIZE_SHORT = [dict(type='ResizeEdge', scale=36, edge='short', backend='pillow',
                     interpolation='bicubic'), dict(type='CenterCrop', crop_size=32)]
CONVMIXER = dict(backbone=dict(arch='8/2-p4-k5'), head=dict(in_channels=8))
MIXER = dict(backbone=dict(img_size=32, arch=dict(
    embed_dims=8, num_layers=2, tokens_mlp_dims=6, channels_mlp_dims=16, _delete_=True)),
    head=dict(in_channels=8, num_classes=5))


def build(name, steps=None, **options):
    config = load_config(name)
    if steps:
        load, *_, pack = config.test_dataloader.dataset.pipeline
        config.test_dataloader.dataset.pipeline = [load, *steps, pack]
    model = get_model(config, **deepcopy(options))  # mmengine removes `_delete_`
    generator = torch.Generator().manual_seed(0)
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            low = 0.5 if 'running_var' in key else -0.5
            value.copy_(torch.rand(value.shape, generator=generator) + low)
    return model


def convmixer(steps=RESIZE_SHORT):
    return build('convmixer-128-4_cifar10', steps, **CONVMIXER)


def mixer():
    model = build('mlp-mixer-base-p16_3rdparty_64xb64_in1k', RESIZE_SHORT, **MIXER)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.
    return model


def digits():
    return build('convmixer-64-4_digits', backbone=dict(arch='8/2-p2-k3'),
                 head=dict(in_channels=8))


BUILDERS = dict(convmixer=convmixer, mixer=mixer, digits=digits)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """Write a network's SavedModel, once; return its job and its folder."""
    written = {}

    def save(name, features=False):
        if (name, features) not in written:
            model = BUILDERS[name]()
            job = Job(model, preprocessing_of(model), features=features)
            path = tmp_path_factory.mktemp('saved') / 'net'
            savedmodel.write(job, path)
            written[name, features] = job, path
        return written[name, features]
    return save


def load(path):
    import tensorflow as tf
    return tf.saved_model.load(str(path))


def asked(path, signature, **inputs):
    import tensorflow as tf
    outputs = load(path).signatures[signature](
        **{name: tf.constant(value) for name, value in inputs.items()})
    return {name: value.numpy() for name, value in outputs.items()}


def images(job, count, size=None):
    channels, height, width = job.input_shape
    return np.random.default_rng(0).standard_normal(
        (count, channels, *(size or (height, width)))).astype(np.float32)


def logits_of(job, image):
    """The logits of the package itself for (H, W, 3) uint8 RGB or encoded bytes."""
    if isinstance(image, np.ndarray):
        image = np.ascontiguousarray(image[..., ::-1])
    batch = job.model.data_preprocessor(
        default_collate([Predictor(job.model)._prepare(image)]), False)
    with torch.no_grad():
        return job.model(batch['inputs'], mode='tensor')[0].numpy()


def same(actual, expected, tolerance=1e-5):
    """Compare with a tolerance relative to the largest value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize('features', [False, True])
@pytest.mark.parametrize('name, key', [('convmixer', 'output'), ('mixer', 'output_0')])
def test_serving_default_takes_normalized_images(name, key, features, saved):
    job, path = saved(name, features)
    for count in (1, 3):
        x = images(job, count)
        with torch.no_grad():
            expected = job.network(torch.from_numpy(x)).numpy()
        same(savedmodel.reader(path)(x), expected)
        same(asked(path, 'serving_default', images=x.transpose(0, 2, 3, 1))[key], expected)


def test_convmixer_takes_images_of_any_size(saved):
    job, path = saved('convmixer')
    x = images(job, 2, (21, 44))
    with torch.no_grad():
        same(savedmodel.reader(path)(x), job.network(torch.from_numpy(x)).numpy())


@pytest.mark.parametrize('name', BUILDERS)
def test_height_and_width_are_not_swapped(name, saved):
    """A transposed image has other outputs."""
    job, path = saved(name)
    run, x = savedmodel.reader(path), images(job, 2)
    with torch.no_grad():
        expected = job.network(torch.from_numpy(x)).numpy()
    same(run(x), expected)
    assert np.abs(run(x.transpose(0, 1, 3, 2)) - expected).max() > 2e-4 * np.abs(expected).max()


@pytest.mark.parametrize('name', BUILDERS)
def test_serving_images_prepares_images_as_the_package_does(name, saved):
    job, path = saved(name)
    for image in sample_images(3):
        answer, = asked(path, 'serving_images',
                        images=image[None] / np.float32(255)).values()
        same(answer[0], logits_of(job, image), 1e-3)


@pytest.mark.parametrize('name', BUILDERS)
def test_serving_bytes_takes_files_of_several_sizes_and_kinds(name, saved):
    job, path = saved(name)
    files = []
    for image, kind in zip(sample_images(4), ('PNG', 'JPEG', 'PNG', 'JPEG'), strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, kind, quality=90)
        files.append(file.getvalue())
    answers, = asked(path, 'serving_bytes', image_bytes=files).values()
    for answer, file in zip(answers, files, strict=True):
        same(answer, logits_of(job, file), 5e-3)


def test_a_resizing_that_tensorflow_lacks_is_an_error(tmp_path):
    model = convmixer([dict(type='Resize', scale=(32, 32), interpolation='lanczos')])
    with pytest.raises(BadConfig, match="'lanczos' of cv2"):
        savedmodel.write(Job(model, preprocessing_of(model)), tmp_path / 'net')
    assert not (tmp_path / 'net').exists()


def test_images_of_another_size_than_the_networks_are_an_error(tmp_path):
    model = mixer()
    with pytest.raises(BadConfig, match='3 channels of 32 x 32 pixels'):
        savedmodel.write(Job(model, preprocessing_of(model, 64)), tmp_path / 'net')


def test_a_static_folder_takes_one_image(tmp_path):
    model = mixer()
    job = Job(model, preprocessing_of(model), dynamic_batch=False)
    savedmodel.write(job, tmp_path / 'net')
    specs = {name: list(function.structured_input_signature[1].values())[0].shape.as_list()
             for name, function in load(tmp_path / 'net').signatures.items()}
    assert specs == dict(serving_default=[1, 32, 32, 3], serving_images=[1, None, None, 3],
                         serving_bytes=[1])


@pytest.mark.parametrize('name', BUILDERS)
def test_the_interface_is_that_of_the_folder(name, saved):
    job, path = saved(name)
    signatures = load(path).signatures
    described = savedmodel.interface(job)['signatures']
    assert signatures.keys() == described.keys()
    for key, function in signatures.items():
        for kind, specs in (('inputs', function.structured_input_signature[1]),
                            ('outputs', function.structured_outputs)):
            for tensor, spec in specs.items():
                said = described[key][kind][tensor]
                assert spec.dtype.name == said['dtype']
                for real, wanted in zip(spec.shape, said['shape'], strict=True):
                    assert real in (None, wanted)


@pytest.mark.parametrize('name', ['convmixer', 'mixer'])
def test_a_folder_can_be_loaded_as_a_checkpoint(name, saved, same_weights):
    job, path = saved(name)
    again = get_model(job.model._config, pretrained=str(path))
    assert again is not job.model

    def weights(model):  # the counter is not a weight, and Keras has none
        return {key: value for key, value in model.state_dict().items() if 'num_batches' not in key}
    assert same_weights(weights(again), weights(job.model))


def torchs_gradients(name, features, x, labels, dtype):
    model = BUILDERS[name]().train().to(dtype)
    x = torch.from_numpy(x).to(dtype)
    outputs = model.extract_feat(x)[-1] if features else model(x)
    F.cross_entropy(outputs, labels).backward()
    return layout_named('keras', family_of(model)).from_mmpretrain(
        {key: value.grad for key, value in model.named_parameters() if value.grad is not None})


@pytest.mark.parametrize('name', ['convmixer', 'mixer'])
@pytest.mark.parametrize('features', [False, True])
def test_gradients_equal_those_of_torch(name, features, saved):
    """Within 1e-4 of the largest of each variable, plus the rounding error of torch's own."""
    import tensorflow as tf
    job, path = saved(name, features)
    x, labels = images(job, 8), torch.arange(8) % 5
    truth, rounded = (torchs_gradients(name, features, x, labels, dtype)
                      for dtype in (torch.float64, torch.float32))
    network = load(path)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels.numpy(), network(x.transpose(0, 2, 3, 1), training=True)))
    gradients = tape.gradient(loss, network.trainable_variables)
    found = {variable.name.removesuffix(':0'): torch.from_numpy(gradient.numpy())
             for variable, gradient in zip(network.trainable_variables, gradients, strict=True)}
    assert found.keys() == truth.keys()
    for key, gradient in found.items():
        # Some biases have no effect before a norm: their gradients are only rounding.
        rounding = (rounded[key] - truth[key]).abs().max()
        torch.testing.assert_close(gradient.double(), truth[key], rtol=0, atol=float(
            1e-4 * truth[key].abs().max() + 8 * rounding))


def test_training_mode_updates_the_moving_statistics(saved):
    job, path = saved('convmixer')
    network, x = load(path), images(job, 8)
    before = {each.name: each.numpy() for each in network.variables}
    network(x.transpose(0, 2, 3, 1))
    assert all(np.array_equal(each, before[each.name]) for each in network.variables)
    network(x.transpose(0, 2, 3, 1), training=True)
    moved = {each.name for each in network.variables if (each.numpy() != before[each.name]).any()}
    assert moved == {name for name in before if 'moving_' in name}

    model = convmixer().train()
    model(torch.from_numpy(x))
    after = {each.name: each.numpy() for each in network.variables}
    same(after['backbone.stem.2/moving_mean:0'], model.backbone.stem[2].running_mean)
