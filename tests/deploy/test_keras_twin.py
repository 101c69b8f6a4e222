"""The Keras networks compute what the torch networks compute."""
import numpy as np
import pytest
import torch
from torch import nn

from mmconvmixer import get_model
from mmconvmixer.checkpoints.layouts import layout_named
from mmconvmixer.deploy.keras_twin import family_of, keras_twin
from mmconvmixer.deploy.network import Network
from mmconvmixer.errors import BadConfig, MissingPackage

pytest.importorskip('tensorflow', reason='TensorFlow is not installed')


def convmixer(arch='8/3-p4-k5', **backbone):
    return randomized(get_model('convmixer-128-4_cifar10', head=dict(in_channels=8),
                                backbone=dict(arch=arch, **backbone)))


def mixer(size=32, drop_rate=0., **backbone):
    arch = dict(embed_dims=8, num_layers=2, tokens_mlp_dims=6, channels_mlp_dims=16,
                _delete_=True)
    return randomized(get_model(
        'mlp-mixer-base-p16_3rdparty_64xb64_in1k', head=dict(in_channels=8, num_classes=5),
        backbone=dict(arch=arch, img_size=size, drop_rate=drop_rate, **backbone)))


def randomized(model):
    """Make all weights different, and no norm an identity."""
    generator = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            low = 0.5 if 'running_var' in name else -0.5
            value.copy_(torch.rand(value.shape, generator=generator) + low)
    return model


def with_activation(model, act):
    model.backbone.stem[1] = act
    for block in model.backbone.stages:
        block[0].fn[1] = block[2] = act
    return model


def images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def nhwc(tensor):
    return tensor.permute(0, 2, 3, 1).numpy()


def same(actual, expected, tolerance=1e-5):
    """Compare with a tolerance relative to the largest value."""
    expected = expected.detach().numpy()
    assert np.abs(np.asarray(actual) - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize('features', [False, True])
@pytest.mark.parametrize('arch', ['8/3-p4-k5', '8/2-p2-k4', '8/2-p1-k2', '8/1-p3-k8'])
def test_convmixer_computes_the_same(arch, features):
    """Kernels of even size have one more pixel of padding on the right and below."""
    model, x = convmixer(arch), images(3, 3, 17, 22)
    same(keras_twin(model, features)(nhwc(x)), Network(model, features)(x))


@pytest.mark.parametrize('act, other', [
    (nn.ReLU(), nn.GELU()), (nn.GELU(), nn.GELU('tanh')), (nn.GELU('tanh'), nn.GELU())], ids=str)
def test_the_activation_is_the_models(act, other):
    model, x = with_activation(convmixer(), act), images(3, 3, 16, 16)
    same(keras_twin(model)(nhwc(x)), Network(model)(x), 1e-6)
    with pytest.raises(AssertionError):  # the tolerance tells activations apart
        same(keras_twin(model)(nhwc(x)), Network(with_activation(model, other))(x), 1e-6)


@pytest.mark.parametrize('features', [False, True])
@pytest.mark.parametrize('size', [(32, 32), (32, 48)])
def test_mlp_mixer_computes_the_same(size, features):
    model, x = mixer(size), images(3, 3, *size)
    same(keras_twin(model, features)(nhwc(x)), Network(model, features)(x))


def test_mlp_mixer_with_the_numerics_of_flax_computes_the_same():
    """eps 1e-6 makes a difference where the images are almost one color."""
    model, x = mixer(), 1e-3 * images(3, 3, 32, 32)
    plain = keras_twin(model)(nhwc(x))
    for module in model.modules():
        if isinstance(module, nn.GELU):
            module.approximate = 'tanh'
        elif isinstance(module, nn.LayerNorm):
            module.eps = 1e-6
    twin = keras_twin(model)
    same(twin(nhwc(x)), Network(model)(x))
    assert {layer.epsilon for layer in twin.layers if hasattr(layer, 'epsilon')} == {1e-6}
    assert not np.allclose(plain, Network(model)(x).detach(), rtol=1e-5)


@pytest.mark.parametrize('build', [convmixer, mixer])
def test_the_last_of_several_feature_maps_is_used(build):
    """The blocks after it are left out."""
    model, x = build(out_indices=[-2]), images(2, 3, 32, 32)
    same(keras_twin(model)(nhwc(x)), Network(model)(x))


@pytest.mark.parametrize('build', [convmixer, mixer])
def test_variables_have_the_names_of_the_checkpoint_layout(build):
    model = build()
    expected = layout_named('keras', family_of(model)).from_mmpretrain(model.state_dict())
    found = {variable.path: variable.numpy() for variable in keras_twin(model).weights}
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_batch_norm_follows_the_batch_with_torchs_momentum():
    """Keras takes the biased variance of the batch, torch n / (n - 1) of it."""
    model, x = convmixer('8/1-p4-k5'), images(2, 3, 8, 8)
    twin, norm = keras_twin(model), model.backbone.stem[2]
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    with torch.no_grad():
        patches = model.backbone.stem[1](model.backbone.stem[0](x))
        model.train()(x)
    twin(nhwc(x), training=True)
    layer, n = twin.get_layer('backbone.stem.2'), 2 * 2 * 2
    same(layer.moving_mean, norm.running_mean)
    biased = patches.var((0, 2, 3), unbiased=False)
    same(layer.moving_variance, 0.9 * variance + 0.1 * biased)
    torch.testing.assert_close(norm.running_var, 0.9 * variance + 0.1 * biased * n / (n - 1))
    assert not torch.equal(norm.running_mean, mean)


def test_dropout_is_active_in_training_only():
    model, x = mixer(drop_rate=0.5), nhwc(images(2, 3, 32, 32))
    twin = keras_twin(model)
    same(twin(x), Network(model)(torch.from_numpy(x).permute(0, 3, 1, 2)))
    assert not np.array_equal(twin(x, training=True), twin(x, training=True))


def test_dropout_drops_as_much_as_in_torch():
    """Two hundred samples of each agree in mean and spread."""
    model, x = mixer(drop_rate=0.3), images(200, 3, 32, 32)[:1].expand(200, -1, -1, -1)
    torch.manual_seed(0)
    twin, expected = keras_twin(model), model.train()(x).detach()
    actual = twin(nhwc(x), training=True).numpy()
    spread = expected.std(0).numpy()
    assert (spread > 0).all()
    assert (np.abs(actual.mean(0) - expected.mean(0).numpy()) < 0.5 * spread).all()
    assert (np.abs(np.log(actual.std(0) / spread)) < 0.4).all()


def test_stochastic_depth_drops_whole_images():
    model = convmixer('8/2-p4-k5', drop_path_rate=0.5)
    x = images(1, 3, 16, 16).expand(64, -1, -1, -1)
    twin = keras_twin(model)
    layer, = (each for each in twin.layers if each.name.endswith('drop_path'))
    branch = layer(np.ones((64, 4, 4, 8), np.float32), training=True).numpy().reshape(64, -1)
    kept = branch[:, 0]
    assert (branch == kept[:, None]).all() and set(kept) == {0, 2}
    same(twin(nhwc(x)), Network(model)(x))


@pytest.mark.parametrize('change, said', [
    (dict(backbone=dict(norm_cfg=dict(type='GN', num_groups=2))), 'GroupNorm'),
    (dict(backbone=dict(act_cfg=dict(type='SiLU'))), 'ReLU and GELU'),
    (dict(neck=dict(type='GeneralizedMeanPooling')), 'GeneralizedMeanPooling'),
    (dict(backbone=dict(norm_cfg=dict(type='BN', momentum=None))), 'momentum')])
def test_a_layer_without_a_twin_is_named_in_the_error(change, said):
    options = dict(change, backbone=dict(dict(arch='8/1-p4-k5'), **change.get('backbone', {})))
    with pytest.raises(BadConfig, match=said):
        keras_twin(get_model('convmixer-128-4_cifar10', head=dict(in_channels=8), **options))


def test_the_error_for_another_keras_backend_says_what_to_set(monkeypatch):
    import keras
    monkeypatch.setattr(keras.backend, 'backend', lambda: 'jax')
    with pytest.raises(MissingPackage, match='KERAS_BACKEND=tensorflow'):
        keras_twin(convmixer())
