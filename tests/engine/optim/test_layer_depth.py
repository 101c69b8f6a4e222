import pytest
import torch
from mmpretrain.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.checkpoints import build_model
from mmconvmixer.engine import LearningRateDecayOptimWrapperConstructor
from mmconvmixer.engine.hooks.freeze_hook import freeze_parameters, frozen_parameters
from mmconvmixer.engine.optim.layer_depth import layer_depth
from mmconvmixer.errors import BadConfig

HEAD = dict(type='LinearClsHead', num_classes=3, in_channels=8)
CONVMIXER = dict(
    type='ImageClassifier', head=HEAD, neck=dict(type='GlobalAveragePooling'),
    backbone=dict(type='ConvMixer', arch='8/3-p2-k3'))
MIXER = dict(
    type='ImageClassifier', head=HEAD, neck=dict(type='GlobalAveragePooling', dim=1),
    backbone=dict(type='MlpMixer', img_size=16, patch_size=8, arch=dict(
        embed_dims=8, num_layers=3, tokens_mlp_dims=4, channels_mlp_dims=16)))
BOTH = pytest.mark.parametrize('cfg', [CONVMIXER, MIXER], ids=['ConvMixer', 'MlpMixer'])

LAYERS = {'stem': 0, 'patch_embed': 0, 'stages.0': 1, 'layers.0': 1, 'stages.2': 3, 'layers.2': 3,
          'ln1': 4, 'head': 4}


def layers(model):
    return {name: layer_depth(model, name) for name, _ in model.named_parameters()}


@BOTH
def test_layers_count_from_the_input_to_the_output(cfg):
    found = layers(build_model(cfg))
    assert {total for _, total in found.values()} == {5}
    for name, (layer, _) in found.items():
        part = name.removeprefix('backbone.')
        expected = [number for start, number in LAYERS.items() if part.startswith(f'{start}.')]
        assert expected in ([layer], []), name  # [] for block 1, which LAYERS leaves out
    assert {layer for layer, _ in found.values()} == {0, 1, 2, 3, 4}


def test_parameter_names_decide_if_the_backbone_has_no_get_layer_depth(monkeypatch):
    model = build_model(CONVMIXER)
    asked = layers(model)
    monkeypatch.delattr(type(model.backbone), 'get_layer_depth')
    assert layers(model) == asked


@BOTH
@pytest.mark.parametrize('freeze, first', [
    (None, 0), ('none', 0), ('last-3', 1), ('last-2', 2), ('last-1', 3)])
def test_the_last_blocks_and_what_follows_them_train(cfg, freeze, first):
    model = build_model(cfg)
    count = freeze_parameters(model, freeze)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (layer_depth(model, name)[0] >= first), name
    assert count == sum(p.numel() for p in model.parameters() if not p.requires_grad)


@BOTH
def test_head_trains_only_the_head(cfg):
    model = build_model(cfg)
    freeze_parameters(model, 'head')
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == [
        'head.fc.weight', 'head.fc.bias']


@BOTH
@pytest.mark.parametrize('freeze, said', [
    ('last-4', "3 blocks: 'last-1' to 'last-3'"), ('last-0', "expected 'head', 'last-N'"),
    ('last', 'expected'), ('Head', 'expected'), (2, 'freeze is 2'), (True, 'freeze is True')])
def test_another_value_is_named_with_the_possible_ones(cfg, freeze, said):
    with pytest.raises(BadConfig, match=said):
        frozen_parameters(build_model(cfg), freeze)


def test_a_network_without_blocks_or_head_is_named():
    lenet = build_model(dict(type='ImageClassifier', backbone=dict(type='LeNet5'), head=dict(
        type='LinearClsHead', num_classes=3, in_channels=84)))
    with pytest.raises(BadConfig, match='LeNet5 has no get_layer_depth'):
        frozen_parameters(lenet, 'last-1')
    with pytest.raises(BadConfig, match='has none'):
        frozen_parameters(build_model({**CONVMIXER, 'head': None}), 'head')


def rates(cfg, optimizer, **paramwise):
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(dict(
        type='LearningRateDecayOptimWrapperConstructor',
        optim_wrapper_cfg=dict(type='OptimWrapper', optimizer=optimizer),
        paramwise_cfg=dict(layer_decay_rate=0.5, **paramwise)))
    assert type(constructor) is LearningRateDecayOptimWrapperConstructor
    model = build_model(cfg)
    return model, constructor(model).optimizer.param_groups


@BOTH
def test_each_layer_learns_at_half_the_rate_of_the_next(cfg):
    model, groups = rates(cfg, dict(type='AdamW', lr=0.8, weight_decay=0.1), norm_decay_mult=0.)
    by_name = {group['param_name']: group for group in groups}
    assert by_name.keys() == dict(model.named_parameters()).keys()
    for name, group in by_name.items():
        assert group['lr'] == pytest.approx(0.8 * 0.5 ** (4 - layer_depth(model, name)[0])), name
    assert by_name['head.fc.weight']['weight_decay'] == 0.1
    norms = [name for name, module in model.named_modules()
             if isinstance(module, torch.nn.LayerNorm | torch.nn.BatchNorm2d)]
    assert norms and all(by_name[f'{name}.weight']['weight_decay'] == 0 for name in norms)


@pytest.mark.parametrize('optimizer, decay', [
    (dict(type='SGD', lr=0.8), 0.), (dict(type='AdamW', lr=0.8), 0.01),
    (dict(type='AdamW', lr=0.8, weight_decay=0.), 0.)])
def test_without_a_weight_decay_the_optimizers_default_applies(optimizer, decay):
    _, groups = rates(CONVMIXER, optimizer)
    assert {group['weight_decay'] for group in groups} == {decay}


def test_frozen_parameters_are_left_out_of_the_optimizer():
    constructor = LearningRateDecayOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.8)),
        dict(layer_decay_rate=0.5))
    model = build_model(MIXER)
    freeze_parameters(model, 'last-1')
    groups = constructor(model).optimizer.param_groups
    assert {group['lr'] for group in groups} == {0.8, 0.4}


def test_the_names_are_in_mmpretrains_registries():
    assert MODELS.get('ConvMixer').__module__.startswith('mmconvmixer')
    assert OPTIM_WRAPPER_CONSTRUCTORS.get('LearningRateDecayOptimWrapperConstructor') is (
        LearningRateDecayOptimWrapperConstructor)


def test_a_model_without_a_backbone_has_no_blocks_to_freeze():
    with pytest.raises(BadConfig, match='Linear has no backbone'):
        freeze_parameters(torch.nn.Linear(2, 2), 'last-1')
