"""Networks that are called ConvMixer or MLP-Mixer and are none are refused by name."""
import pytest
import torch

from mmconvmixer.checkpoints import build_model, load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.architecture import read_architecture
from mmconvmixer.errors import BadCheckpoint, CheckpointMismatch

JAX_MODELS = {'ConvMixerLayer_0/Conv_0/kernel': (9, 9, 4, 4), 'Conv_0/kernel': (7, 7, 3, 4)}
LUCIDRAINS = {'1.weight': (8, 48), '2.0.fn.0.weight': (32, 16, 1), '2.1.fn.0.weight': (4, 8)}


@pytest.mark.parametrize('shapes, said', [
    (JAX_MODELS, "jax-models' ConvMixer, which is none: its pointwise convolution is 9 x 9"),
    ({f'params/{name}': shape for name, shape in JAX_MODELS.items()}, "jax-models' ConvMixer"),
    (LUCIDRAINS, "lucidrains' mlp-mixer-pytorch, .* 32 hidden tokens and 4 hidden channels")],
    ids=['jax-models', 'under params', 'lucidrains'])
def test_they_are_refused_by_name(shapes, said, tmp_path):
    torch.save({name: torch.ones(shape) for name, shape in shapes.items()}, tmp_path / 'net.pth')
    weights = state_dict_of(read_checkpoint(tmp_path / 'net.pth'))
    with pytest.raises(BadCheckpoint, match=f'net.pth is {said}'):
        read_architecture(weights, 'net.pth')
    model = build_model(dict(type='ImageClassifier', backbone=dict(
        type='ConvMixer', arch='4/1-p2-k3')))
    with pytest.raises(CheckpointMismatch, match=f'net.pth is {said}'):
        load_weights(model, weights, 'net.pth')


def test_other_networks_are_unknown():
    weights = state_dict_of({'ConvMixerLayer_0/Conv_0/kernel': torch.ones(1, 1, 4, 4)})
    with pytest.raises(BadCheckpoint, match='with the names of a known library'):
        read_architecture(weights)
