import pytest
import torch

from mmconvmixer.checkpoints import build_model
from mmconvmixer.checkpoints.layouts import LAYOUTS, layout_named, recognize
from mmconvmixer.checkpoints.layouts.flax_in_order import named_in_flax_order

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


@pytest.mark.parametrize('without', [(), ('head/bias', 'head/kernel')], ids=['head', 'no head'])
def test_a_list_in_the_order_of_flaxs_keys_gets_their_names(without):
    flax = layout_named('flax', 'MLP-Mixer').from_mmpretrain(weights('MLP-Mixer'))
    in_order = [name for name in sorted(flax, key=lambda name: name.split('/'))
                if name not in without]
    assert in_order.index('MixerBlock_10/LayerNorm_0/bias') == 24  # after block 1
    listed = {f'variables/{number}': flax[name] for number, name in enumerate(in_order)}
    named = named_in_flax_order(listed)
    assert [*named] == in_order and all(named[name] is flax[name] for name in in_order)


@pytest.mark.parametrize('change', [
    lambda listed: listed[1:], lambda listed: listed[::-1], lambda listed: listed[:4],
    lambda listed: [torch.ones(1)] * len(listed)], ids=['cut', 'turned', 'no blocks', 'numbers'])
def test_other_lists_are_no_mixers(change):
    flax = layout_named('flax', 'MLP-Mixer').from_mmpretrain(weights('MLP-Mixer'))
    listed = change([flax[name] for name in sorted(flax, key=lambda name: name.split('/'))])
    assert named_in_flax_order({f'variables/{number}': each
                                for number, each in enumerate(listed)}) is None
