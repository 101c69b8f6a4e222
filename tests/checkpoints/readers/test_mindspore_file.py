"""Weights in MindSpore's checkpoints, written here as its protobuf messages say."""
import zlib

import numpy as np
import pytest
import torch

from mmconvmixer.checkpoints import build_model, load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.layouts import layout_named
from mmconvmixer.errors import BadCheckpoint


def varint(number):
    encoded = b''
    while number > 0x7f:
        encoded, number = encoded + bytes([number & 0x7f | 0x80]), number >> 7
    return encoded + bytes([number])


def field(number, content):
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def value(tag, array, kind='Float32', dims=None, numbers=None):
    tensor = b''.join(field(1, size) for size in (array.shape if dims is None else dims))
    tensor += field(2, kind.encode()) + field(3, array.tobytes() if numbers is None else numbers)
    return field(1, field(1, tag.encode()) + field(2, tensor))


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'net.ckpt'


def test_a_network_by_mindcv(path):
    torch.manual_seed(0)
    model = build_model(dict(
        type='ImageClassifier', neck=dict(type='GlobalAveragePooling', dim=1),
        backbone=dict(type='MlpMixer', img_size=16, patch_size=4, out_type='featmap', arch=dict(
            embed_dims=6, num_layers=2, tokens_mlp_dims=5, channels_mlp_dims=7)),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=6)))
    names = layout_named('mindcv', 'MLP-Mixer').from_mmpretrain(model.state_dict())
    del names['to_patch_embedding.0.bias']  # mindcv's has none
    assert '0.token_mix.1.channel_mix.0.gamma' in names  # as MindSpore calls it
    path.write_bytes(b''.join(value(name, each.numpy()) for name, each in names.items()))
    weights = state_dict_of(read_checkpoint(path))
    assert (weights.layout, weights.numerics) == ('mindcv', 'mindcv')
    for name, each in model.state_dict().items():
        expected = torch.zeros(6) if name == 'backbone.patch_embed.projection.bias' else each
        assert torch.equal(weights[name], expected)
    load_weights(model, weights, 'net')
    assert model.backbone.ln1.eps == 1e-7


def test_types_and_a_single_number(path):
    half = torch.tensor([1.5, -2]).bfloat16()
    path.write_bytes(value('half', half.view(torch.int16).numpy(), 'BFloat16')
                     + value('steps', np.int32(7), 'Int32', dims=[0])
                     + value('none', np.ones((0, 3), np.float32)))
    got = read_checkpoint(path)['state_dict']
    assert torch.equal(got['half'], half)
    assert got['steps'].shape == () and got['steps'] == 7
    assert got['none'].shape == (0, 3)


def test_the_parts_of_a_large_array_are_joined(path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    parts = array.tobytes()[:10], array.tobytes()[10:]
    path.write_bytes(b''.join(value('weight', array, numbers=part) for part in parts))
    assert read_checkpoint(path)['state_dict']['weight'].tolist() == array.tolist()


def test_a_checksum_is_checked(path):
    content = bytearray(value('weight', np.ones(3, np.float32)))
    checksum = b'crc_num' + zlib.crc32(content).to_bytes(10, 'big')
    path.write_bytes(content + checksum)
    assert read_checkpoint(path)['state_dict']['weight'].tolist() == [1, 1, 1]
    content[-1] ^= 1
    path.write_bytes(content + checksum)
    with pytest.raises(BadCheckpoint, match='its checksum is wrong'):
        read_checkpoint(path)


def test_a_graph_of_tensorflow_is_none(path):
    """A node begins as an array of MindSpore does, but has the name of an operation."""
    path.write_bytes(field(1, field(1, b'images') + field(2, b'Placeholder')))
    with pytest.raises(BadCheckpoint, match='not a PyTorch checkpoint'):
        read_checkpoint(path)


@pytest.mark.parametrize('content', [
    value('weight', np.ones(3, np.float32))[:-1],
    value('weight', np.ones(3, np.float32), 'Object'),
    value('weight', np.ones(3, np.float32), dims=[1 << 40]),
    value('weight', np.ones(3, np.float32)) + value('weight', np.ones(3, np.float16), 'Float16'),
    value('weight', np.ones(3, np.float32)) + b'\xff' * 20,
    value('weight', np.ones(3, np.float32)) + field(1, field(1, 1 << 60) + field(2, b''))],
    ids=['cut short', 'type', 'size', 'two types', 'no end', 'number for a name'])
def test_a_damaged_file_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(BadCheckpoint, match='a checkpoint of MindSpore, but cut short or damaged'):
        read_checkpoint(path)
