"""Pickles of arrays that Paddle and JAX write are read as safely as files of torch.save."""
import os
import pickle
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from mmconvmixer.checkpoints import build_model, load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.layouts import layout_named
from mmconvmixer.errors import BadCheckpoint, UnsafeCheckpoint

NETWORKS = {
    'ConvMixer': dict(type='ConvMixer', arch=dict(
        embed_dims=6, depth=2, patch_size=4, kernel_size=3)),
    'MLP-Mixer': dict(type='MlpMixer', img_size=16, patch_size=4, arch=dict(
        embed_dims=6, num_layers=2, tokens_mlp_dims=5, channels_mlp_dims=7)),
}


def network(family):
    torch.manual_seed(0)
    model = build_model(dict(
        type='ImageClassifier', backbone=NETWORKS[family], neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=6)))
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.1, 1)
    return model.eval()


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'net.pickle'


def as_paddle(weights):
    """Return torch's weights as Paddle has them, with the table that it saves beside them."""
    arrays = {}
    for name, value in weights.items():
        name = name.replace('running_mean', '_mean').replace('running_var', '_variance')
        if not name.endswith('num_batches_tracked'):
            arrays[name] = (value.t() if value.dim() == 2 else value).numpy()
    return {**arrays, 'StructuredToParameterName@@': {name: f'parameter_{number}'
                                                      for number, name in enumerate(arrays)}}


@pytest.mark.parametrize('library, family', [
    ('official', 'ConvMixer'), ('PaddleViT', 'MLP-Mixer'), ('PASSL', 'MLP-Mixer'),
    ('timm', 'MLP-Mixer')])
@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_a_network_by_paddle(path, library, family, protocol):
    model = network(family)
    names = layout_named(library, family).from_mmpretrain(model.state_dict())
    path.write_bytes(pickle.dumps(as_paddle(names), protocol))
    weights = state_dict_of(read_checkpoint(path))
    assert (weights.layout, weights.family) == (library, family)
    assert weights.numerics == ('timm' if family == 'MLP-Mixer' else None)
    for name, value in weights.items():
        assert torch.equal(value, model.state_dict()[name])
    load_weights(network(family), weights, 'net')


class Array:
    """Pickles as an array of JAX does."""

    def __init__(self, array, module='jax._src.array', name='_reconstruct_array'):
        self.array, self.place = array, (module, name)

    def __reduce__(self):
        module, name = self.place
        reconstruct, arguments, state = self.array.__reduce__()
        return (getattr(sys.modules[module], name),
                (reconstruct, arguments, state, dict(weak_type=False)))


@pytest.fixture(params=[('jax._src.array', '_reconstruct_array'),
                        ('jax._src.device_array', 'reconstruct_device_array')])
def jax_array(request, monkeypatch):
    """Return a function that makes an array pickle like JAX's; no JAX is needed."""
    place, frozen = request.param, ('flax.core.frozen_dict', 'FrozenDict')
    for module, name in (place, frozen):
        def function(*_):
            raise AssertionError('nothing in a file is called')
        function.__module__, function.__qualname__, function.__name__ = module, name, name
        fake = ModuleType(module)
        setattr(fake, name, function)
        for parent in ('jax', 'jax._src', 'flax', 'flax.core'):
            monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
        monkeypatch.setitem(sys.modules, module, fake)
    return lambda array: Array(array, *place)


class Frozen:
    """Pickles as a FrozenDict of flax does."""

    def __init__(self, content):
        self.content = content

    def __reduce__(self):
        return sys.modules['flax.core.frozen_dict'].FrozenDict, (self.content,)


def nested(weights, leaf):
    tree = {}
    for name, value in weights.items():
        *folders, last = name.split('/')
        collection = 'batch_stats' if last in ('mean', 'var') else 'params'
        inside = tree.setdefault(collection, {})
        for folder in folders:
            inside = inside.setdefault(folder, {})
        inside[last] = leaf(value.numpy())
    return tree


@pytest.mark.parametrize('outside', [dict, Frozen])
def test_a_network_by_flaim(path, jax_array, outside):
    model = network('ConvMixer')
    names = layout_named('flaim', 'ConvMixer').from_mmpretrain(model.state_dict())
    path.write_bytes(pickle.dumps(outside(nested(names, jax_array)), 4))
    weights = state_dict_of(read_checkpoint(path))
    assert weights.layout == 'flaim'
    for name, value in weights.items():
        assert torch.equal(value, model.state_dict()[name])


def test_arrays_of_any_order_and_size_keep_their_numbers(path):
    arrays = dict(fortran=np.asfortranarray(np.arange(6.).reshape(2, 3)),
                  big=np.arange(3, dtype='>f4'), half=np.ones(2, np.float16), one=np.array(2.5),
                  none=np.ones((0, 3)), flag=np.array([True]))
    path.write_bytes(pickle.dumps(arrays))
    got = read_checkpoint(path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name].numpy(), array)
        assert got[name].is_contiguous()


def test_an_array_may_be_called_like_flaxs_collection(path):
    path.write_bytes(pickle.dumps(dict(params=np.ones(2))))
    assert read_checkpoint(path)['params'].tolist() == [1, 1]


def test_other_calls_are_named_and_not_run(path, tmp_path):
    class Call:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'it ran'),)
    path.write_bytes(pickle.dumps(dict(weight=np.ones(2), more=Call())))
    with pytest.raises(UnsafeCheckpoint, match='mkdir'):
        read_checkpoint(path)
    assert not (tmp_path / 'it ran').exists()


def test_the_same_numbers_under_many_names_are_refused_before_they_take_memory(path):
    path.write_bytes(pickle.dumps({str(number): ROW for number in range(1000)}))
    with pytest.raises(BadCheckpoint, match='repeat the same numbers'):
        read_checkpoint(path)


ROW = np.ones(1000)


def test_a_dict_in_itself_is_refused(path):
    endless = dict(weight=np.ones(2))
    endless['again'] = endless
    path.write_bytes(pickle.dumps(endless))
    with pytest.raises(BadCheckpoint, match='without an end'):
        read_checkpoint(path)


def test_a_pickle_without_arrays_holds_no_weights(path):
    path.write_bytes(pickle.dumps(dict(names=['a'])))
    with pytest.raises(BadCheckpoint, match='holds no weights'):
        state_dict_of(read_checkpoint(path))
