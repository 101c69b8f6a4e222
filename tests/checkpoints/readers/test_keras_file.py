"""Networks that were built in Keras, in its HDF5 files; `test_peers.py` runs Keras itself."""
import json
import zipfile

import h5py
import numpy as np
import pytest
import torch

from mmconvmixer.checkpoints import build_model, load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.architecture import read_architecture
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.checkpoints.layouts import layout_named
from mmconvmixer.errors import BadCheckpoint

DEPTH = 11  # so that a counter has two digits


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = build_model(dict(
        type='ImageClassifier', neck=dict(type='GlobalAveragePooling'),
        backbone=dict(type='ConvMixer', arch=dict(
            embed_dims=6, depth=DEPTH, patch_size=4, kernel_size=3)),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=6)))
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.1, 1)
    return model.eval()


def layers_of(model):
    """Return (class, variables) of each layer in the order of the network, as in Keras."""
    weights = layout_named('keras', 'ConvMixer').from_mmpretrain(model.state_dict())
    layers = {}
    for name, value in weights.items():
        layer, _, variable = name.rpartition('/')
        if variable != 'num_batches_tracked':
            layers.setdefault(layer, {})[variable] = value.numpy()

    def kind(variables):
        kernel = variables.get('kernel')
        return ('batch_normalization' if kernel is None else 'dense' if kernel.ndim == 2 else
                'depthwise_conv2d' if kernel.shape[3] == 1 else 'conv2d')
    return [(kind(variables), variables) for variables in layers.values()]


def counted(layers):
    """Yield the layers under the names that Keras gives them."""
    counts = {}
    for kind, variables in layers:
        number = counts[kind] = counts.get(kind, -1) + 1
        yield f'{kind}_{number}' if number else kind, variables


def keras2(file, layers, others=()):
    """Write a file as `save_weights('net.h5')` of Keras 2 does."""
    named = [*((name, {}) for name in others), *counted(layers)]
    file.attrs['layer_names'] = [name.encode() for name, _ in named]
    for layer, variables in named:
        group = file.create_group(layer)
        names = [f'{layer}/{"depthwise_" * (layer[:9] == "depthwise" and name == "kernel")}{name}:0'
                 for name in variables]
        group.attrs['weight_names'] = np.array([name.encode() for name in names], dtype='S')
        for name, value in zip(names, variables.values(), strict=True):
            group[name] = value


def keras3(file, layers, others=()):
    """Write a file as `save_weights('net.weights.h5')` of Keras 3 does."""
    for layer, variables in [*((name, {}) for name in others), *counted(layers)]:
        group = file.create_group(f'layers/{layer}/vars')
        group.attrs['name'] = layer
        for number, value in enumerate(variables.values()):
            group[str(number)] = value


@pytest.fixture(params=[keras2, keras3])
def write(request, tmp_path):
    def write(layers, others=()):
        path = tmp_path / 'net.h5'
        with h5py.File(path, 'w') as file:
            request.param(file, layers, others)
        return path
    return write


def with_eps(model, eps):
    """Return a model whose BatchNorms have another eps."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = eps
    return model


def answers(model):
    with torch.no_grad():
        return model(torch.linspace(-1, 1, 2 * 3 * 16 * 16).view(2, 3, 16, 16))


def test_a_network_built_by_hand_is_read_by_the_order_of_its_layers(write, model):
    weights = state_dict_of(read_checkpoint(write(layers_of(model))))
    assert str(read_architecture(weights)) == f'ConvMixer-6/{DEPTH}, patch 4, kernel 3, 3 classes'
    expected = answers(with_eps(model, 1e-3))  # Keras's default, which the weights now have
    load_weights(with_eps(model, 1e-5), weights, 'net')
    torch.testing.assert_close(answers(model), expected, rtol=1e-5, atol=1e-5)


def test_a_model_with_another_activation_is_warned_of(write, model, warned):
    load_weights(model, state_dict_of(read_checkpoint(write(layers_of(model)))), 'net.h5')
    assert warned == []
    model.backbone.act = torch.nn.ReLU()
    load_weights(model, state_dict_of(read_checkpoint(write(layers_of(model)))), 'net.h5')
    message, = warned
    assert 'net.h5 does not say its activation, but was likely trained with GELU' in message
    assert "backbone=dict(act_cfg=dict(type='GELU'))" in message


def test_without_a_head_it_is_a_backbone(write, model):
    weights = state_dict_of(read_checkpoint(write(layers_of(model)[:-1])))
    assert read_architecture(weights).num_classes is None


def test_a_layer_that_rescales_is_said_in_the_meta(write, model):
    plain, rescaling = (read_checkpoint(write(layers_of(model), others))
                        for others in ((), ('rescaling',)))
    assert 'normalization' not in plain['meta']
    assert rescaling['meta']['normalization'] == dict(mean=[0] * 3, std=[255] * 3, to_rgb=True)


def config(act='relu', **batch_norm):
    layers = [('Rescaling', dict(scale=1 / 127.5, offset=-1.)),
              ('Activation', dict(activation=act)),
              ('BatchNormalization', dict(epsilon=1e-5, **batch_norm))]
    return dict(class_name='Functional', config=dict(layers=[
        dict(class_name=name, config=each) for name, each in layers]))


def whole_keras2(path, layers, act='relu'):
    with h5py.File(path, 'w') as file:
        file.attrs['model_config'] = json.dumps(config(act))
        keras2(file.create_group('model_weights'), layers)


def whole_keras3(path, layers):
    with h5py.File(path.with_name('model.weights.h5'), 'w') as file:
        keras3(file, layers)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('metadata.json', '{}')
        archive.writestr('config.json', json.dumps(config()))
        archive.write(path.with_name('model.weights.h5'), 'model.weights.h5')


@pytest.mark.parametrize(('act', 'torchs'), [('relu', 'ReLU'), ('swish', 'SiLU')])
def test_an_activation_that_a_whole_model_names_is_warned_of(
        act, torchs, model, tmp_path, warned):
    whole_keras2(tmp_path / 'net.h5', layers_of(model), act)
    load_weights(model, state_dict_of(read_checkpoint(tmp_path / 'net.h5')), 'net.h5')
    message, = warned
    assert f'net.h5 was trained with {torchs}, and the model has GELU' in message


@pytest.mark.parametrize('write_whole', [whole_keras2, whole_keras3])
def test_a_whole_model_says_what_weights_do_not(write_whole, model, tmp_path):
    write_whole(tmp_path / 'net.keras', layers_of(model))
    checkpoint = read_checkpoint(tmp_path / 'net.keras')
    assert checkpoint['meta']['act'] == 'ReLU'
    said = checkpoint['meta']['normalization']
    assert (said['mean'], said['std']) == (pytest.approx([127.5] * 3), pytest.approx([127.5] * 3))
    for name, value in state_dict_of(checkpoint).items():  # eps is torch's, nothing is folded
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-6, atol=0)
    assert convert(tmp_path / 'net.keras', tmp_path / 'net.pth').act == 'ReLU'


def test_the_state_of_a_training_is_no_part_of_the_network(model, tmp_path):
    path = tmp_path / 'net.weights.h5'
    with h5py.File(path, 'w') as file:
        keras3(file, layers_of(model))
        for name in ('optimizer', 'metrics/mean'):
            for number in range(6):
                file[f'{name}/vars/{number}'] = np.ones(6, np.float32)
    assert read_architecture(state_dict_of(read_checkpoint(path))).depth == DEPTH


def test_a_model_in_a_model_says_its_eps_too(model, tmp_path):
    path = tmp_path / 'net.h5'
    outside = dict(class_name='Sequential', config=dict(layers=[config()]))
    with h5py.File(path, 'w') as file:
        file.attrs['model_config'] = json.dumps(outside)
        keras2(file.create_group('model_weights'), layers_of(model))
    checkpoint = read_checkpoint(path)
    assert checkpoint['meta']['act'] == 'ReLU'
    for name, value in state_dict_of(checkpoint).items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-6, atol=0)


def test_this_projects_layers_keep_their_names_and_their_numbers(model, tmp_path):
    path, weights = tmp_path / 'net.weights.h5', layout_named(
        'keras', 'ConvMixer').from_mmpretrain(model.state_dict())
    layers = [name.rpartition('/')[0] for name in weights if name.endswith(('kernel', 'gamma'))]
    with h5py.File(path, 'w') as file:
        for name, (kind, variables) in zip(layers, counted(layers_of(model)), strict=True):
            group = file.create_group(f'layers/{kind}/vars')
            group.attrs['name'] = name
            for number, value in enumerate(variables.values()):
                group[str(number)] = value
    for name, value in state_dict_of(read_checkpoint(path)).items():
        assert torch.equal(value, model.state_dict()[name])


def test_long_lists_of_layers_are_in_several_attributes(model, tmp_path):
    path = tmp_path / 'net.h5'
    with h5py.File(path, 'w') as file:
        keras2(file, layers_of(model))
        names = file.attrs['layer_names']
        del file.attrs['layer_names']
        file.attrs['layer_names0'], file.attrs['layer_names1'] = names[:7], names[7:]
    assert read_architecture(state_dict_of(read_checkpoint(path))).depth == DEPTH


def test_bfloat16_which_numpy_lacks(model, tmp_path):
    path = tmp_path / 'net.weights.h5'
    value = torch.tensor([1.5, -2]).bfloat16()
    with h5py.File(path, 'w') as file:
        group = file.create_group('layers/dense/vars')
        group['0'] = value.view(torch.int16).numpy()
        group['0'].attrs['dtype'] = 'bfloat16'
    assert torch.equal(read_checkpoint(path)['state_dict']['dense/gamma'], value)


@pytest.mark.parametrize('change', [
    lambda layers: layers[:-4], lambda layers: layers[1:], lambda layers: layers + layers[-1:],
    lambda layers: layers[:3] + layers[2:],
    lambda layers: [(kind, {**each, 'extra': np.ones(6)}) for kind, each in layers]],
    ids=['cut', 'no stem', 'two heads', 'a layer twice', 'other variables'])
def test_what_is_no_convmixer_keeps_its_names(write, model, change):
    state_dict = read_checkpoint(write(change(layers_of(model))))['state_dict']
    assert 'backbone.stem.0/kernel' not in state_dict


def test_a_file_of_keras_2_without_names_is_named(tmp_path):
    """tf-keras writes .weights.h5 so; parts of blocks (`fc1`) then have one name in each block."""
    path = tmp_path / 'net.weights.h5'
    with h5py.File(path, 'w') as file:
        for layer in ('layers/conv2d', 'layers/mixer_block/fc1', 'layers/mixer_block_1/fc1'):
            file[f'{layer}/vars/0'] = np.ones((2, 2), np.float32)
            file[f'{layer}/vars/1'] = np.ones(2, np.float32)
    weights = state_dict_of(read_checkpoint(path))
    assert [*weights] == ['conv2d/kernel', 'conv2d/bias', 'mixer_block/fc1/kernel',
                          'mixer_block/fc1/bias', 'mixer_block_1/fc1/kernel',
                          'mixer_block_1/fc1/bias']
    with pytest.raises(BadCheckpoint, match=r'layers have automatic names, .*, save it as \.h5'):
        read_architecture(weights)


def test_more_numbers_than_the_file_has_are_refused_before_they_take_memory(tmp_path):
    path = tmp_path / 'net.weights.h5'
    with h5py.File(path, 'w') as file:
        file.create_dataset('layers/dense/vars/0', shape=(1 << 20, 1 << 20), dtype='f4',
                            chunks=(1024, 1024))
    with pytest.raises(BadCheckpoint, match='claim to hold 4398046511104 bytes'):
        read_checkpoint(path)


def test_other_hdf5_files_are_named(tmp_path):
    path = tmp_path / 'data.h5'
    with h5py.File(path, 'w') as file:
        file['measurements'] = np.ones(3)
    with pytest.raises(BadCheckpoint, match='without weights of Keras'):
        read_checkpoint(path)


def test_a_damaged_file_is_named(write, model, tmp_path):
    path = write(layers_of(model))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(BadCheckpoint, match='damaged'):
        read_checkpoint(path)
