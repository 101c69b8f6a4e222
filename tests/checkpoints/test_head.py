import pytest
import torch

from mmconvmixer.checkpoints import build_model
from mmconvmixer.checkpoints.head import check_head
from mmconvmixer.errors import BadConfig

POOL = dict(type='GlobalAveragePooling')
CONVMIXER = dict(type='ConvMixer', arch='8/2-p2-k3', out_indices=(0, 1))
MIXER = dict(type='MlpMixer', img_size=8, patch_size=4, arch=dict(
    embed_dims=8, num_layers=1, tokens_mlp_dims=4, channels_mlp_dims=6))


def checked(model_cfg):
    model = build_model(model_cfg)
    check_head(model)
    return model


def classifier(backbone, neck, in_channels, **head):
    return dict(type='ImageClassifier', backbone=backbone, neck=neck, head=dict(
        dict(type='LinearClsHead', num_classes=3, in_channels=in_channels), **head))


FITTING = {
    'ConvMixer': (CONVMIXER, POOL, 8),
    'MLP-Mixer': (MIXER, dict(POOL, dim=1), 8),
    'MLP-Mixer with maps': (dict(MIXER, out_type='featmap'), POOL, 8),
    'two necks': (CONVMIXER, [POOL, dict(type='LinearNeck', in_channels=8, out_channels=5)], 5),
    'a layer in the neck': (CONVMIXER, dict(
        type='LinearNeck', in_channels=8, out_channels=5, gap_dim=2), 5),
}


@pytest.mark.parametrize(('backbone', 'neck', 'width'), FITTING.values(), ids=FITTING)
def test_a_head_fits_if_and_only_if_images_go_through(backbone, neck, width):
    if isinstance(neck, list):
        neck = neck[1] | dict(gap_dim=2)
    model = checked(classifier(backbone, neck, width))
    assert model.head(model.extract_feat(torch.rand(2, 3, 8, 8))).shape == (2, 3)
    with pytest.raises(BadConfig, match=rf'head.in_channels is 9, but the head gets {width} feat'):
        checked(classifier(backbone, neck, 9))


@pytest.mark.parametrize(('backbone', 'said'), [
    (CONVMIXER, r"gets 8 x 2 x 2 features; .*'GlobalAveragePooling'\)"),
    (MIXER, r"gets 8 x 4 features; .*'GlobalAveragePooling', dim=1\)")])
def test_a_head_for_vectors_needs_a_neck(backbone, said):
    with pytest.raises(BadConfig, match=said):
        checked(classifier(backbone, None, 8))


def test_pooling_over_the_wrong_dimensions_is_named():
    with pytest.raises(BadConfig, match="leaves 1 of 8 x 4 features; .*'GlobalAveragePooling', di"):
        checked(classifier(MIXER, POOL, 8))


def test_a_neck_for_another_width_is_named():
    neck = dict(type='LinearNeck', in_channels=9, out_channels=5, gap_dim=2)
    with pytest.raises(BadConfig, match='the neck LinearNeck does not take the 8 x 2 x 2 features'):
        checked(classifier(CONVMIXER, neck, 5))


def test_other_backbones_are_not_checked():
    model = checked(classifier(dict(type='ResNet', depth=18), POOL, 9))
    assert model.head.in_channels == 9


def test_the_check_changes_neither_numbers_nor_random_state():
    torch.manual_seed(0)
    first = checked(classifier(CONVMIXER, POOL, 8))
    state = torch.get_rng_state()
    torch.manual_seed(0)
    from mmpretrain.registry import MODELS
    plain = MODELS.build(classifier(CONVMIXER, POOL, 8))
    assert torch.equal(state, torch.get_rng_state())
    assert all(map(torch.equal, first.state_dict().values(), plain.state_dict().values()))
