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
def test_names_and_axes_are_converted_there_and_back(layout):
    """Also block numbers with two digits."""
    original = weights(layout.family)
    renamed = layout.from_mmpretrain(original)
    assert recognize(renamed) is layout
    back = layout.to_mmpretrain(renamed)
    if layout.name in ('keras', 'flaim', 'tfimm'):  # these do not count batches
        original = {key: value for key, value in original.items() if 'num_batches' not in key}
    assert back.keys() == original.keys()
    assert all(torch.equal(back[key], value) for key, value in original.items())


def test_other_names_belong_to_no_layout():
    assert recognize({'conv1.weight': torch.ones(1), 'stem.0.weight': torch.ones(1)}) is None
