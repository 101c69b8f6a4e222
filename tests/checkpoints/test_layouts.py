import pytest
import torch

from mmconvmixer.checkpoints import build_model
from mmconvmixer.checkpoints.layouts import LAYOUTS, recognize

CONVMIXER = dict(type='ConvMixer', arch=dict(
    embed_dims=6, depth=12, patch_size=2, kernel_size=4))
MIXER = dict(type='MlpMixer', img_size=16, patch_size=4, arch=dict(
    embed_dims=6, num_layers=11, tokens_mlp_dims=5, channels_mlp_dims=7))


def weights(family):
    torch.manual_seed(0)
    model = build_model(dict(
        type='ImageClassifier', backbone=CONVMIXER if family == 'ConvMixer' else MIXER,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=6)))
    return {key: torch.randn_like(value) if value.is_floating_point() else value
            for key, value in model.state_dict().items()}


@pytest.mark.parametrize('layout', LAYOUTS, ids=lambda layout: f'{layout.name} {layout.family}')
def test_names_and_order_of_dimensions_go_there_and_back(layout):
    """Also of blocks with two digits."""
    ours = weights(layout.family)
    theirs = layout.from_mmpretrain(ours)
    assert recognize(theirs) is layout
    back = layout.to_mmpretrain(theirs)
    if layout.name == 'keras':  # which counts no batches
        ours = {key: value for key, value in ours.items() if 'num_batches' not in key}
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[key], value) for key, value in ours.items())


def test_other_names_are_nobodys():
    assert recognize({'conv1.weight': torch.ones(1), 'stem.0.weight': torch.ones(1)}) is None
