"""Weights that flax's `msgpack_serialize` wrote."""
import sys

import msgpack
import numpy as np
import pytest
import torch
from flax.serialization import msgpack_serialize

from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
from mmconvmixer.errors import BadCheckpoint


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'net.msgpack'


@pytest.mark.parametrize('outside', [
    lambda tree: tree,
    lambda tree: dict(params=tree),
    lambda tree: dict(step=3, params=tree, opt_state={'0': dict(mu=tree, nu=tree)}),
    lambda tree: dict(opt=dict(target=dict(params=tree), state=dict(step=3))),
    lambda tree: dict(target=tree, state=dict(param_states=tree)),
], ids=['alone', 'params', 'TrainState', 'opt', 'target'])
def test_a_network_by_flax(path, mixer_weights, flax_tree, outside):
    path.write_bytes(msgpack_serialize(outside(flax_tree)))
    weights = state_dict_of(read_checkpoint(path))
    assert (weights.layout, weights.numerics) == ('flax', 'flax')
    for name, value in mixer_weights.items():
        assert torch.equal(weights[name], value)


def packed(shape, name, numbers, code=1):
    return msgpack.packb(dict(weight=msgpack.ExtType(
        code, msgpack.packb((shape, name, numbers), use_bin_type=True))))


def test_bfloat16_and_scalars(path):
    half = torch.tensor([[1.5], [-2]]).bfloat16()
    path.write_bytes(packed((2, 1), 'bfloat16', half.view(torch.int16).numpy().tobytes()))
    assert torch.equal(read_checkpoint(path)['state_dict']['weight'], half)
    path.write_bytes(packed((), 'float32', np.float32(2.5).tobytes(), code=3))
    assert read_checkpoint(path)['state_dict']['weight'] == 2.5


@pytest.mark.parametrize('content', [
    packed((1 << 40,), 'float32', b'1234'), packed((2,), 'object', b'12345678'),
    packed((1,), 'float32', b'1234')[:-1], packed((-1,), 'float32', b'1234')],
    ids=['size', 'dtype', 'cut short', 'negative'])
def test_a_damaged_file_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(BadCheckpoint, match='cut short or damaged'):
        read_checkpoint(path)


def test_a_file_without_arrays_is_named(path):
    path.write_bytes(msgpack.packb(dict(step=3)))
    with pytest.raises(BadCheckpoint, match='without arrays'):
        read_checkpoint(path)


def test_without_msgpack_the_error_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'msgpack', None)
    path.write_bytes(packed((1,), 'float32', b'1234'))
    with pytest.raises(BadCheckpoint, match=r"pip install 'mmconvmixer\[flax\]'"):
        read_checkpoint(path)
