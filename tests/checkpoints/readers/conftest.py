import pytest
import torch

from mmconvmixer.checkpoints import build_model
from mmconvmixer.checkpoints.layouts import layout_named


@pytest.fixture(scope='session')
def mixer_weights():
    """The weights of a small MLP-Mixer, under mmpretrain's names."""
    torch.manual_seed(0)
    return build_model(dict(
        type='ImageClassifier', neck=dict(type='GlobalAveragePooling', dim=1),
        backbone=dict(type='MlpMixer', img_size=16, patch_size=4, arch=dict(
            embed_dims=6, num_layers=2, tokens_mlp_dims=5, channels_mlp_dims=7)),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=6))).state_dict()


@pytest.fixture(scope='session')
def flax_tree(mixer_weights):
    """The same weights as flax has them: arrays in nested dicts."""
    tree = {}
    for name, value in layout_named('flax', 'MLP-Mixer').from_mmpretrain(mixer_weights).items():
        *folders, last = name.split('/')
        inside = tree
        for folder in folders:
            inside = inside.setdefault(folder, {})
        inside[last] = value.numpy()
    return tree
