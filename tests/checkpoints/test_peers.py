"""Files written by other libraries give the outputs of those libraries here.

Each library's network has random weights, biases and statistics, and is run on eight
crops of real images (`conftest.py`). Libraries that need an environment of their own are in
`peers_far`.
"""
import argparse
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import nn

from mmconvmixer import get_model
from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.errors import BadCheckpoint

SIZE = 64  # of the crops


@torch.no_grad()
def randomized(network):
    """Give every weight, bias and statistic a random value that differs from its default."""
    torch.manual_seed(0)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            if value.dim() > 1:
                value.normal_(0, value[0].numel()**-0.5)
            elif name.endswith('running_var'):
                value.uniform_(0.2, 0.5)
            else:
                value.normal_(0.3, 0.3)
    return network.double().eval()


class Residual(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, x):
        return self.fn(x) + x


def official(dim, depth, kernel_size, patch_size, classes):
    """The paper's network, as in its appendix D."""
    def then_norm(convolution):
        return nn.Sequential(convolution, nn.GELU(), nn.BatchNorm2d(dim))
    blocks = [nn.Sequential(
        Residual(then_norm(nn.Conv2d(dim, dim, kernel_size, groups=dim, padding='same'))),
        *then_norm(nn.Conv2d(dim, dim, 1))) for _ in range(depth)]
    return nn.Sequential(
        *then_norm(nn.Conv2d(3, dim, patch_size, stride=patch_size)), *blocks,
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(dim, classes))


@torch.no_grad()
def same_outputs_back(path, tmp_path, to, suffix, network, load, crops):
    """Check that the library's network reads what `convert` writes, with the same outputs."""
    expected = network(crops)
    for parameter in network.parameters():
        parameter.zero_()
    load(convert(path, tmp_path / f'back{suffix}', to).path)
    torch.testing.assert_close(network(crops), expected, rtol=0, atol=0)


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('kernel_size', [5, 8])
def test_the_papers_sequential(crops, tmp_path, prefix, kernel_size, same_outputs):
    network = randomized(official(24, 3, kernel_size, 4, 7))
    path = tmp_path / 'net.pth.tar'
    torch.save({prefix + key: value for key, value in network.state_dict().items()}, path)
    same_outputs(path, crops, network(crops))
    same_outputs_back(path, tmp_path, 'official', '.pth.tar', network, lambda written:
                 network.load_state_dict(torch.load(written, weights_only=True)), crops)


def test_the_papers_training_checkpoint_gives_its_averaged_weights(crops, tmp_path, same_outputs):
    average = randomized(official(24, 3, 5, 4, 7))
    last = {key: value + 1 for key, value in average.state_dict().items()}
    path = tmp_path / 'model_best.pth.tar'
    torch.save(dict(epoch=3, arch='convmixer', state_dict=last, optimizer={}, version=2,
                    args=argparse.Namespace(model='convmixer', opt_betas=(0.9, 0.99)),
                    state_dict_ema=average.state_dict(), metric=80.1), path)
    same_outputs(path, crops, average(crops))
    assert state_dict_of(read_checkpoint(path)).averaged
    plain = state_dict_of(read_checkpoint(path), ema=False)
    torch.testing.assert_close(plain['head.fc.bias'], last['8.bias'])


@pytest.mark.parametrize('container', ['pth', 'safetensors', 'hub folder'])
@pytest.mark.parametrize('family', ['ConvMixer', 'MLP-Mixer'])
def test_timm(crops, tmp_path, family, container, same_outputs):
    timm = pytest.importorskip('timm', reason='timm is not installed')
    from safetensors.torch import save_file
    if family == 'ConvMixer':
        network = timm.models.convmixer.ConvMixer(
            dim=24, depth=3, kernel_size=5, patch_size=4, num_classes=7)
    else:
        network = timm.models.mlp_mixer.MlpMixer(
            num_classes=7, img_size=SIZE, patch_size=8, num_blocks=2, embed_dim=24)
    network = randomized(network)
    path = tmp_path / 'net'
    if container == 'pth':
        torch.save(network.state_dict(), path)
    elif container == 'safetensors':
        save_file(network.state_dict(), path)
    else:
        path.mkdir()
        path.joinpath('config.json').write_text('{"architecture": "a name of timm\'s"}')
        save_file(network.state_dict(), path / 'model.safetensors')
    same_outputs(path, crops, network(crops))
    for suffix in ('.pth', '.safetensors'):
        same_outputs_back(path, tmp_path, 'timm', suffix, network, lambda written:
                     timm.models.load_checkpoint(network, str(written)), crops)


def flax_mixer(depth, dims, tokens, channels, patch, classes, side):
    """Build the network of google-research/vision_transformer (vit_jax/models_mixer.py).

    Returns it, the shapes of its weights, and a function: weights, images (N, H, W, 3) -> logits,
    or features where there are no classes.
    """
    jax = pytest.importorskip('jax', reason='jax is not installed')
    pytest.importorskip('flax', reason='flax is not installed')
    from flax import linen
    from flax.traverse_util import flatten_dict, unflatten_dict

    class Mlp(linen.Module):
        hidden: int

        @linen.compact
        def __call__(self, x):
            hidden = linen.gelu(linen.Dense(self.hidden)(x))  # Dense_0: flax numbers them in order
            return linen.Dense(x.shape[-1])(hidden)

    class MixerBlock(linen.Module):
        @linen.compact
        def __call__(self, x):
            y = jax.numpy.swapaxes(linen.LayerNorm()(x), 1, 2)
            x = x + jax.numpy.swapaxes(Mlp(tokens, name='token_mixing')(y), 1, 2)
            return x + Mlp(channels, name='channel_mixing')(linen.LayerNorm()(x))

    class Mixer(linen.Module):
        @linen.compact
        def __call__(self, images):
            x = linen.Conv(dims, (patch, patch), strides=(patch, patch), name='stem')(images)
            x = x.reshape(x.shape[0], -1, dims)
            for _ in range(depth):
                x = MixerBlock()(x)
            x = linen.LayerNorm(name='pre_head_layer_norm')(x)
            features = x.mean(axis=1)
            return linen.Dense(classes, name='head')(features) if classes else features

    jax.config.update('jax_enable_x64', True)
    made = jax.eval_shape(Mixer().init, jax.random.PRNGKey(0), np.zeros((1, side, side, 3)))
    shapes = {key: value.shape for key, value in flatten_dict(made['params'], sep='/').items()}

    def answers(weights, images):
        weights = {key: value.astype(np.float64) for key, value in weights.items()}
        found = Mixer().apply({'params': unflatten_dict(weights, sep='/')}, images)
        return torch.from_numpy(np.array(found))
    return Mixer(), shapes, answers


def test_flax(crops, tmp_path, same_outputs):
    _, shapes, answers = flax_mixer(2, 24, 12, 40, 8, 7, SIZE)
    generator = np.random.default_rng(0)
    weights = {key: generator.normal(0.2, 0.3, shape) for key, shape in shapes.items()}
    assert {'stem/kernel', 'MixerBlock_1/token_mixing/Dense_1/bias', 'head/bias',
            'pre_head_layer_norm/scale'} <= weights.keys()
    path = tmp_path / 'Mixer-B_16.npz'
    np.savez(path, **weights)
    expected = answers(weights, crops.permute(0, 2, 3, 1).numpy())
    same_outputs(path, crops, expected)
    with np.load(convert(path, tmp_path / 'back.npz', 'flax').path) as back:
        assert back.files and all(np.array_equal(back[key], weights[key]) for key in weights)


@pytest.mark.parametrize(('name', 'patch'), [('sayakpaul/mixer_b16_i1k_classification/1', 16),
                                             ('mlp-mixer-base-p32_flax-sam_in1k', 32)])
@torch.no_grad()
def test_the_zoos_mixers_have_the_outputs_of_flax_at_full_size(tmp_path, name, patch):
    _, shapes, answers = flax_mixer(12, 768, 384, 3072, patch, 1000, 224)
    generator = np.random.default_rng(0)
    weights = {}
    for key, shape in shapes.items():
        spread = np.prod(shape[:-1])**-0.5 if len(shape) > 1 else 0.2
        weights[key] = generator.normal(key.endswith('scale'), spread, shape).astype(np.float32)
    np.savez(tmp_path / 'Mixer.npz', **weights)
    model = get_model(name, pretrained=str(tmp_path / 'Mixer.npz')).double()
    photographs = np.stack(load_sample_images().images)[:, 100:324, 200:424]
    images = model.data_preprocessor(dict(inputs=torch.from_numpy(
        np.ascontiguousarray(photographs[..., ::-1])).permute(0, 3, 1, 2)))['inputs'].double()
    expected = answers(weights, photographs / 127.5 - 1)
    assert expected.shape == (2, 1000) and (expected[0] - expected[1]).std() > 0.1
    assert (model(images) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize('classes', [7, None])
def test_a_mixer_that_was_converted_from_jax_to_tensorflow(classes, crops, tmp_path, same_outputs):
    """As in the collection on TF-Hub: a list of variables without names, in the order of flax's."""
    tf = pytest.importorskip('tensorflow', reason='TensorFlow is not installed')
    network, shapes, answers = flax_mixer(11, 24, 12, 40, 8, classes, SIZE)
    generator = np.random.default_rng(0)
    weights = {key: generator.normal(0.2, 0.3, shape).astype('float32')
               for key, shape in shapes.items()}
    from flax.traverse_util import unflatten_dict
    from jax.experimental import jax2tf
    variables = tf.nest.map_structure(
        lambda value: tf.Variable(value, trainable=classes is None),
        unflatten_dict(weights, sep='/'))
    convert = jax2tf.convert(lambda params, images: network.apply({'params': params}, images),
                             polymorphic_shapes=[None, f'(b, {SIZE}, {SIZE}, 3)'])
    saved = tf.train.Checkpoint()
    saved.variables = tf.nest.flatten(variables)
    saved.trainable_variables = [each for each in saved.variables if each.trainable]
    saved.__call__ = tf.function(lambda images: convert(variables, images), autograph=False)
    tf.saved_model.save(saved, tmp_path / 'saved', signatures=saved.__call__.get_concrete_function(
        tf.TensorSpec((None, SIZE, SIZE, 3))))
    expected = answers(weights, crops.permute(0, 2, 3, 1).numpy())
    same_outputs(tmp_path / 'saved', crops, expected)


def test_tensorflow(crops, tmp_path, same_outputs):
    """A SavedModel of a Keras network with the names of the torch modules."""
    pytest.importorskip('tensorflow', reason='TensorFlow is not installed')
    import keras
    from keras import layers

    def then_norm(name, norm, layer, x):
        x = keras.activations.gelu(layer(x), approximate=False)
        return layers.BatchNormalization(epsilon=1e-5, name=f'{name}.{norm}')(x)

    images = keras.Input((SIZE, SIZE, 3))
    x = then_norm('backbone.stem', 2, layers.Conv2D(
        24, 4, strides=4, name='backbone.stem.0'), images)
    for number in range(2):
        block = f'backbone.stages.{number}'
        x = x + then_norm(f'{block}.0.fn', 2, layers.DepthwiseConv2D(
            5, padding='same', name=f'{block}.0.fn.0'), x)
        x = then_norm(block, 3, layers.Conv2D(24, 1, name=f'{block}.1'), x)
    x = layers.GlobalAveragePooling2D()(x)
    network = keras.Model(images, layers.Dense(7, name='head.fc')(x))
    generator = np.random.default_rng(0)
    for variable in network.weights:
        low = 0.2 if 'variance' in variable.path else -0.3
        variable.assign(generator.uniform(low, 0.5, variable.shape))
    network.export(tmp_path / 'saved', verbose=False)
    expected = network(crops.permute(0, 2, 3, 1).numpy().astype('float32')).numpy()
    same_outputs(tmp_path / 'saved', crops, torch.from_numpy(expected))


@pytest.mark.parametrize('name', ['net.weights.h5', 'net.keras', 'net.h5', 'exported'])
@pytest.mark.parametrize('version', [3, 2])
def test_a_convmixer_built_in_keras_whose_layers_have_no_names(version, name, crops, tmp_path,
                                                               same_outputs):
    """With the eps of Keras; the order of the layers says which is which."""
    pytest.importorskip('tensorflow', reason='TensorFlow is not installed')
    keras = pytest.importorskip('keras' if version == 3 else 'tf_keras')
    layers = keras.layers

    def then_norm(layer, x):
        return layers.BatchNormalization()(layers.Activation('gelu')(layer(x)))

    images = keras.Input((SIZE, SIZE, 3))
    x = then_norm(layers.Conv2D(24, 4, strides=4), images)
    for _ in range(11):
        x = layers.Add()([x, then_norm(layers.DepthwiseConv2D(5, padding='same'), x)])
        x = then_norm(layers.Conv2D(24, 1), x)
    network = keras.Model(images, layers.Dense(7)(layers.GlobalAveragePooling2D()(x)))
    network.compile('adam', 'mse', metrics=['mae'])  # a file then has the optimizer's state, too
    network.fit(np.zeros((2, SIZE, SIZE, 3)), np.zeros((2, 7)), verbose=0)
    generator = np.random.default_rng(0)
    network.set_weights([
        generator.uniform(0.2 if 'variance' in variable.name else -0.3, 0.5, variable.shape)
        for variable in network.weights])
    if name == 'exported' and version == 2:
        network.save(tmp_path / name, save_format='tf')
    elif name == 'exported':
        network.export(tmp_path / name)
    elif name == 'net.weights.h5':
        network.save_weights(tmp_path / name)
    else:
        network.save(tmp_path / name)
    expected = network(crops.permute(0, 2, 3, 1).numpy().astype('float32')).numpy()
    same_outputs(tmp_path / name, crops, torch.from_numpy(expected))


def test_a_saved_model_without_tensorflow_is_an_error_that_says_what_to_install(
        tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorflow', None)
    tmp_path.joinpath('saved_model.pb').touch()
    with pytest.raises(BadCheckpoint, match=r"pip install 'mmconvmixer\[tf\]'"):
        read_checkpoint(tmp_path)
