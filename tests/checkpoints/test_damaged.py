"""500 damaged copies of each kind of file: a clear error, or exactly the right weights."""
import random

import pytest
import torch

from mmconvmixer.checkpoints import build_model, load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.errors import BadCheckpoint, CheckpointMismatch

MODEL = dict(type='ImageClassifier',
             backbone=dict(type='MlpMixer', img_size=16, patch_size=8, arch=dict(
                 embed_dims=8, num_layers=1, tokens_mlp_dims=4, channels_mlp_dims=6)),
             neck=dict(type='GlobalAveragePooling', dim=1),
             head=dict(type='LinearClsHead', num_classes=3, in_channels=8))
COPIES = 500


def flip_bits(content, chance):
    for _ in range(chance.choice((1, 1, 1, 8))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def cut_short(content, chance):
    del content[chance.randrange(len(content)):]


def shuffle(content, chance):
    start = chance.randrange(len(content))
    piece = content[start:start + chance.randrange(2, 200)]
    chance.shuffle(piece)
    content[start:start + len(piece)] = piece


def copy_over(content, chance):
    length = chance.randrange(1, 300)
    start, other = (chance.randrange(len(content)) for _ in range(2))
    piece = content[start:start + length]
    content[other:other + len(piece)] = piece


def insert(content, chance):
    content.insert(chance.randrange(len(content)), chance.randrange(256))


@pytest.fixture(scope='module')
def good():
    torch.manual_seed(0)
    return build_model(MODEL)


@pytest.mark.parametrize('to, suffix', [
    ('mmpretrain', '.pth'), ('timm', '.pth'), ('flax', '.npz'), ('safetensors', '.safetensors'),
    ('timm', '.safetensors')])
def test_damage_is_noticed_or_harmless(good, tmp_path, to, suffix):
    plain = tmp_path / 'good.pth'
    torch.save(good.state_dict(), plain)
    content = convert(plain, tmp_path / f'good{suffix}', to).path.read_bytes()
    model, expected = build_model(MODEL), good.state_dict()
    path, chance, refused, strange = tmp_path / 'damaged', random.Random(0), 0, []
    for number in range(COPIES):
        damaged = bytearray(content)
        damage = chance.choice((flip_bits, cut_short, shuffle, copy_over, insert))
        damage(damaged, chance)
        path.write_bytes(damaged)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        try:
            load_weights(model, state_dict_of(read_checkpoint(path), str(path)), str(path))
        except (BadCheckpoint, CheckpointMismatch) as error:
            assert str(path) in str(error)
            refused += 1
        except Exception as error:
            strange.append((number, damage.__name__, f'{type(error).__name__}: {error}'))
        else:
            wrong = [key for key, value in model.state_dict().items()
                     if not torch.equal(value, expected[key])]
            strange += [(number, damage.__name__, wrong)] * bool(wrong)
    assert strange == []
    assert refused > COPIES / 2
