import copy
import pickle
from pathlib import Path

import mmpretrain
import pytest
import torch
from mmcv.cnn.bricks import DropPath
from mmengine.config import Config
from mmpretrain.models.backbones.convmixer import ConvMixer as MMPretrainConvMixer
from mmpretrain.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.errors import UnknownArch
from mmconvmixer.models import ARCHS, ConvMixer
from mmconvmixer.models.convmixer import resolve_arch
from mmconvmixer.ops import PointwiseConv2d

TINY = dict(embed_dims=8, depth=3, patch_size=4, kernel_size=3)
DEPTH = TINY['depth']


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def lively(model):
    """Give the model random parameters and statistics, so that no mistake cancels out."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
            if module.track_running_stats:
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return model


def pair(arch=TINY, act='GELU', **options):
    """This plugin's backbone and mmpretrain's, the host's, with the same weights."""
    host = lively(MMPretrainConvMixer(arch, act_cfg=dict(type=act), **options))
    plugin = ConvMixer(arch, act_cfg=dict(type=act), **options)
    plugin.load_state_dict(host.state_dict(), strict=True)
    return plugin, host


def on_meta(*args, **options):
    """A network of published size that takes no memory."""
    with torch.device('meta'):
        return ConvMixer(*args, **options)


def is_channels_last(x):
    return x.is_contiguous(memory_format=torch.channels_last)


def step(model, x):
    """The gradients of a loss that normalization does not make constant."""
    torch.manual_seed(1)
    outs = model(x)
    # randn_like would follow the memory format, which differs from mmpretrain's.
    sum((out * torch.randn(out.shape, dtype=out.dtype)).sum() for out in outs).backward()
    return {name: p.grad for name, p in model.named_parameters()}


# Bad arguments

@pytest.mark.parametrize('arch', [
    'unknown', '768/32 ', '786/32', '768-32', '', '8/2-p4', '0/2-p4-k3', '8/0-p4-k3',
    dict(channels=[2, 3, 4, 5]), {}, None, 768, ['768/32'],
    {key: value for key, value in TINY.items() if key != 'patch_size'},
    {**TINY, 'depth': 0}, {**TINY, 'depth': 2.0}, {**TINY, 'kernel_size': (3, 3)},
    {**TINY, 'embed_dims': -8}, {**TINY, 'patch_size': '4'}])
def test_an_unknown_arch_is_a_value_error_of_one_line(arch):
    with pytest.raises(ValueError) as caught:
        ConvMixer(arch)
    assert isinstance(caught.value, UnknownArch)
    assert 'arch' in str(caught.value)
    assert '\n' not in str(caught.value)


def test_a_misspelled_arch_is_an_error_that_names_the_nearest_and_all_known():
    with pytest.raises(UnknownArch, match="'786/32'.* nearest: 768/32") as caught:
        ConvMixer('786/32')
    assert all(name in str(caught.value) for name in ARCHS)


@pytest.mark.parametrize('indices', [
    -100, DEPTH, -DEPTH - 1, [0, DEPTH], (-DEPTH - 1,), 1.0, [0.5], '01', None, [None]])
def test_out_indices_that_name_no_block_are_a_value_error(indices):
    with pytest.raises(ValueError, match='out_indices'):
        ConvMixer(TINY, out_indices=indices)


@pytest.mark.parametrize('stages', [-2, DEPTH + 1, 100])
def test_frozen_stages_outside_the_depth_are_a_value_error(stages):
    with pytest.raises(ValueError, match=f'frozen_stages is {stages}.*0..{DEPTH}'):
        ConvMixer(TINY, frozen_stages=stages)


@pytest.mark.parametrize('stages', [1.5, '1', None])
def test_frozen_stages_that_are_not_a_whole_number_are_a_value_error(stages):
    with pytest.raises(ValueError, match='frozen_stages'):
        ConvMixer(TINY, frozen_stages=stages)


@pytest.mark.parametrize('rate', [-0.1, 1, 1.5])
def test_a_drop_path_rate_out_of_range_is_a_value_error(rate):
    with pytest.raises(ValueError, match=f'drop_path_rate is {rate}'):
        ConvMixer(TINY, drop_path_rate=rate)


def test_a_misspelled_option_is_a_type_error():
    with pytest.raises(TypeError, match='frozen_stage'):
        ConvMixer(TINY, frozen_stage=1)


# Variants

# Numbers of parameters, all with a linear head.
@pytest.mark.parametrize('arch, classes, parameters', [
    ('768/32', 1000, 21_110_248),
    ('1024/20', 1000, 24_383_464),
    ('1536/20', 1000, 51_625_960),
    ('256/8', 10, 594_186)])
def test_published_archs_have_their_published_number_of_parameters(
        arch, classes, parameters):
    model = on_meta(arch)
    head = classes * (model.embed_dims + 1)
    assert sum(p.numel() for p in model.parameters()) + head == parameters


@pytest.mark.parametrize('arch', ['768/32', '1024/20', '1536/20'])
def test_mmpretrains_archs_are_the_same_networks_here(arch):
    with torch.device('meta'):
        host = MMPretrainConvMixer(arch).state_dict()
    plugin = on_meta(arch).state_dict()
    assert {key: value.shape for key, value in plugin.items()} == {
        key: value.shape for key, value in host.items()}


@pytest.mark.parametrize('arch', ARCHS)
def test_every_arch_gives_one_feature_for_each_patch(arch):
    model = on_meta(arch)
    size = 32 * model.patch_size
    feature, = model(torch.empty(1, 3, size, size, device='meta'))
    assert feature.shape == (1, ARCHS[arch].embed_dims, 32, 32)
    assert len(model.stages) == int(arch.split('/')[1].split('-')[0])


def test_the_released_network_can_return_all_32_feature_maps():
    features = on_meta('768/32', out_indices=range(32))(
        torch.empty(1, 3, 224, 224, device='meta'))
    assert [feature.shape for feature in features] == 32 * [(1, 768, 32, 32)]


@pytest.mark.parametrize('arch, act', [
    ('768/32', nn.ReLU), ('1536/20', nn.GELU), ('1024/20', nn.GELU), ('256/8', nn.GELU),
    (TINY, nn.GELU)])
def test_the_arch_determines_the_activation(arch, act):
    model = on_meta(arch)
    acts = {type(module) for module in model.modules()} & {nn.ReLU, nn.GELU}
    assert acts == {act}


def test_act_cfg_overrides_the_activation_of_the_arch():
    model = on_meta('768/32', act_cfg=dict(type='SiLU'))
    acts = {type(module) for module in model.modules()} & {nn.ReLU, nn.GELU, nn.SiLU}
    assert acts == {nn.SiLU}


def test_a_name_can_give_patch_and_kernel_size():
    model = ConvMixer('8/2-p4-k6')
    assert len(model.stages) == 2
    assert model.stem[0].weight.shape == (8, 3, 4, 4)
    assert model.stages[1][0].fn[0].weight.shape == (8, 1, 6, 6)


@pytest.mark.parametrize('name', [name for name in ARCHS if '-' not in name])
def test_a_name_spelled_out_means_the_network_of_the_short_name(name):
    arch = ARCHS[name]
    assert resolve_arch(f'{name}-p{arch.patch_size}-k{arch.kernel_size}') == arch


def test_arch_may_come_from_a_config():
    cfg = Config(dict(type='ConvMixer', arch=dict(TINY), out_indices=[-1, 0]))
    model = MODELS.build(cfg._cfg_dict)
    assert type(model) is ConvMixer
    assert len(model(torch.rand(2, 3, 8, 8))) == 2
    assert cfg.out_indices == [-1, 0]


def test_mmpretrains_own_config_gets_this_implementation():
    root = Path(mmpretrain.__file__).parent / '.mim/configs/convmixer'
    cfg = Config.fromfile(root / 'convmixer-1024-20_10xb64_in1k.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert type(model.backbone) is ConvMixer
    images = torch.empty(2, 3, 224, 224, device='meta')
    assert model.backbone(images)[-1].shape == (2, 1024, 16, 16)
    assert model(images).shape == (2, 1000)


# The same network as mmpretrain's

SAME = pytest.mark.parametrize('arch, act, channels, size', [
    pytest.param(TINY, 'GELU', 3, (16, 16), id='plain'),
    pytest.param(TINY, 'ReLU', 3, (16, 16), id='ReLU'),
    pytest.param(TINY, 'PReLU', 3, (16, 16), id='parameters in the activation'),
    pytest.param(TINY, 'GELU', 3, (23, 17), id='odd size'),
    pytest.param(TINY, 'GELU', 3, (4, 41), id='one patch high'),
    pytest.param(TINY, 'GELU', 1, (16, 12), id='gray'),
    pytest.param(TINY, 'GELU', 7, (16, 12), id='7 channels'),
    pytest.param({**TINY, 'kernel_size': 8}, 'GELU', 3, (24, 20), id='even kernel'),
    pytest.param({**TINY, 'kernel_size': 2}, 'GELU', 3, (12, 20), id='kernel 2'),
    pytest.param({**TINY, 'patch_size': 1}, 'GELU', 3, (7, 5), id='patch 1'),
    pytest.param({**TINY, 'depth': 1, 'embed_dims': 1}, 'GELU', 3, (16, 16), id='width 1'),
])


@SAME
def test_state_dicts_fit_both_ways(arch, act, channels, size):
    plugin, host = pair(arch, act, in_channels=channels)
    assert list(plugin.state_dict()) == list(host.state_dict())
    host.load_state_dict(lively(plugin).state_dict(), strict=True)


def test_options_without_weights_do_not_change_the_keys():
    plain = ConvMixer(TINY)
    other = ConvMixer(TINY, drop_path_rate=0.5, with_cp=True, frozen_stages=2)
    assert list(other.state_dict()) == list(plain.state_dict())


@SAME
@pytest.mark.parametrize('mode', ['training', 'evaluation', 'inference'])
def test_features_equal_mmpretrains(arch, act, channels, size, mode):
    # In float64, so that a difference is not one of rounding.
    plugin, host = (model.double() for model in pair(
        arch, act, in_channels=channels, out_indices=range(arch['depth'])))
    for model in (plugin, host):
        model.train(mode == 'training')
    x = torch.rand(2, channels, *size, dtype=torch.float64)
    with torch.set_grad_enabled(mode != 'inference'):
        torch.testing.assert_close(plugin(x), host(x))
    torch.testing.assert_close(plugin.state_dict(), host.state_dict())


@SAME
def test_gradients_equal_mmpretrains(arch, act, channels, size):
    plugin, host = (model.double() for model in pair(arch, act, in_channels=channels))
    x = torch.rand(3, channels, *size, dtype=torch.float64)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    torch.testing.assert_close(step(plugin, inputs[0]), step(host, inputs[1]))
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)


def test_initial_weights_are_mmpretrains():
    torch.manual_seed(7)
    plugin = ConvMixer(TINY)
    plugin.init_weights()
    torch.manual_seed(7)
    host = MMPretrainConvMixer(TINY)
    host.init_weights()
    torch.testing.assert_close(plugin.state_dict(), host.state_dict(), rtol=0, atol=0)


def test_init_cfg_is_followed():
    model = ConvMixer(TINY, init_cfg=dict(type='Constant', layer='Conv2d', val=0.25))
    model.init_weights()
    assert (model.stem[0].weight == 0.25).all()
    assert (model.stages[0][0].fn[0].weight == 0.25).all()


# Which features are returned

@pytest.mark.parametrize('indices, picked', [
    (-1, [2]), (0, [0]), (-3, [0]), ([1], [1]), ([-1], [2]), ((-1,), [2]), ((0, 2), [0, 2]),
    ([0, -1], [0, 2]), (range(3), [0, 1, 2]), (range(-2, 0), [1, 2]), ((2, 0), [0, 2]),
    ([1, 1, -2], [1]), ([], [])])
def test_out_indices_pick_those_blocks_in_order(indices, picked):
    given = copy.copy(indices)
    model = lively(ConvMixer(TINY, out_indices=indices)).eval()
    every = ConvMixer(TINY, out_indices=range(3)).eval()
    every.load_state_dict(model.state_dict())
    x = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(model(x), tuple(every(x)[i] for i in picked))
    assert indices == given and type(indices) is type(given)


def test_one_list_of_out_indices_works_for_networks_of_any_depth():
    indices = [-1]
    for depth in (3, 2, 1):
        ConvMixer({**TINY, 'depth': depth}, out_indices=indices)
    assert indices == [-1]


# Modes

def test_train_and_eval_return_the_model():
    model = ConvMixer(TINY)
    assert model.eval() is model and not model.training
    assert model.train() is model and model.training
    assert model.train(False) is model and not model.training


@pytest.mark.parametrize('stages', range(DEPTH + 1))
def test_frozen_stages_freeze_the_stem_and_that_many_blocks(stages):
    model = ConvMixer(TINY, frozen_stages=stages)
    model.init_weights()
    model.eval().train()
    parts = [model.stem, *model.stages]
    frozen = stages + 1 if stages else 0
    assert [not part.training for part in parts] == [i < frozen for i in range(DEPTH + 1)]
    for number, part in enumerate(parts):
        assert {p.requires_grad for p in part.parameters()} == {number >= frozen}


def test_training_changes_what_is_not_frozen_and_nothing_else():
    model = lively(ConvMixer(TINY, frozen_stages=2, drop_path_rate=0.5)).train()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        model.train()
        step(model, torch.rand(4, 3, 16, 16))
        optimizer.step()
    moved = {key for key, value in model.state_dict().items()
             if not torch.equal(value, before[key])}
    assert moved == {key for key in before if key.startswith('stages.2.')}


def test_ten_frozen_blocks_of_the_released_network_stay_in_eval_mode():
    model = on_meta('768/32', frozen_stages=10).eval().train()
    assert [stage.training for stage in model.stages] == 10 * [False] + 22 * [True]


# Activation checkpointing

@pytest.mark.parametrize('options', [
    {}, dict(frozen_stages=1), dict(drop_path_rate=0.5), dict(out_indices=range(DEPTH)),
    dict(norm_cfg=dict(type='BN', momentum=None)),
    dict(norm_cfg=dict(type='BN', track_running_stats=False))],
    ids=lambda options: ', '.join(options) or 'plain')
@pytest.mark.parametrize('training', [True, False], ids=['train', 'eval'])
def test_checkpointing_changes_no_feature_gradient_or_statistic(options, training):
    plain = ConvMixer(TINY, **options).train(training)
    frugal = ConvMixer(TINY, with_cp=True, **options).train(training)
    frugal.load_state_dict(plain.state_dict())
    for _ in range(2):
        x = torch.rand(4, 3, 16, 16)
        states = []
        for model in (plain, frugal):
            torch.manual_seed(2)
            features = model(x)
            model.zero_grad()
            sum(f.square().sum() for f in features).backward()
            states.append((features, {n: p.grad for n, p in model.named_parameters()},
                           model.state_dict()))
        torch.testing.assert_close(*states, rtol=0, atol=0)


def test_checkpointing_recomputes_each_block_in_the_backward_pass():
    model = ConvMixer(TINY, with_cp=True)
    calls = []
    for block in model.stages:
        block[0].fn[0].register_forward_hook(lambda *_: calls.append(1))
    out, = model(torch.rand(2, 3, 16, 16))
    assert len(calls) == DEPTH
    out.square().sum().backward()
    assert len(calls) == 2 * DEPTH


def test_after_checkpointing_statistics_are_tracked_further():
    model = ConvMixer(TINY, with_cp=True)
    for count in (1, 2):
        step(model, torch.rand(2, 3, 16, 16))
        assert {int(m.num_batches_tracked) for m in model.modules()
                if isinstance(m, nn.BatchNorm2d)} == {count}


# Stochastic depth

def test_drop_path_rises_linearly_from_the_first_block_to_the_last():
    model = ConvMixer(TINY, drop_path_rate=0.4)
    paths = [block[0].drop_path for block in model.stages]
    assert [path.drop_prob if isinstance(path, DropPath) else 0 for path in paths] == [
        0, pytest.approx(0.2), pytest.approx(0.4)]


def test_a_dropped_path_leaves_the_input_and_a_kept_one_is_scaled_up():
    residual = ConvMixer(TINY, drop_path_rate=0.5).stages[-1][0]
    residual.fn.eval()
    x = torch.rand(64, 8, 4, 4)
    added, branch = residual(x) - x, residual.fn(x)
    dropped = added.abs().amax((1, 2, 3)) == 0
    assert 16 < dropped.sum() < 48
    torch.testing.assert_close(added[~dropped], branch[~dropped] / 0.5)


def test_drop_path_does_nothing_in_evaluation():
    plain = lively(ConvMixer(TINY)).eval()
    dropping = ConvMixer(TINY, drop_path_rate=0.9).eval()
    dropping.load_state_dict(plain.state_dict())
    x = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(dropping(x), plain(x))


# Inference in place

NETS = [dict(), dict(act_cfg=dict(type='ReLU')), dict(act_cfg=dict(type='SiLU')),
        dict(act_cfg=dict(type='GELU', approximate='tanh')),
        dict(norm_cfg=dict(type='BN', affine=False)),
        dict(norm_cfg=dict(type='BN', track_running_stats=False)),
        dict(norm_cfg=dict(type='BN', eps=0.1)),
        dict(norm_cfg=dict(type='GN', num_groups=2)), dict(drop_path_rate=0.5)]


@pytest.mark.parametrize('options', NETS, ids=str)
@pytest.mark.parametrize('mode', [torch.no_grad, torch.inference_mode])
def test_inference_gives_the_same_features_as_with_gradients(options, mode):
    model = lively(ConvMixer(TINY, out_indices=range(DEPTH), **options)).eval()
    x = torch.rand(2, 3, 17, 19)
    expected = model(x)
    with mode():
        torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize('arch', [TINY, {**TINY, 'patch_size': 1}])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_inference_changes_neither_input_nor_weights(arch, layout):
    model = lively(ConvMixer(arch)).eval()
    x = torch.randn(2, 3, 16, 16).to(memory_format=layout)
    before = x.clone(), copy.deepcopy(model.state_dict())
    with torch.no_grad():
        model(x)
    torch.testing.assert_close((x, model.state_dict()), before, rtol=0, atol=0)


@torch.no_grad()
def test_a_block_called_by_itself_does_not_change_its_input():
    block = lively(ConvMixer(TINY)).eval().stages[0]
    x = torch.randn(2, 8, 5, 5)
    before = x.clone()
    block(x)
    assert torch.equal(x, before)


@torch.no_grad()
@pytest.mark.parametrize('name', [
    'stem', 'stem.0', '', 'stages.0', 'stages.0.0', 'stages.0.0.fn',
    'stages.0.0.fn.0', 'stages.0.0.fn.1', 'stages.0.0.fn.2', 'stages.0.1', 'stages.0.3',
    'stages.2'])
def test_what_a_hook_sees_and_keeps_is_never_overwritten(name):
    model = lively(ConvMixer(TINY)).eval()
    kept = []

    def keep(module, inputs, output=None):
        output = output if isinstance(output, tuple) else (output,)
        for value in (*inputs, *output):
            if isinstance(value, torch.Tensor):
                kept.append((value, value.clone()))

    model.get_submodule(name).register_forward_hook(keep)
    model.get_submodule(name).register_forward_pre_hook(keep)
    model(torch.rand(1, 3, 16, 16))
    assert kept
    assert all(torch.equal(value, then) for value, then in kept)


@torch.no_grad()
def test_what_a_hook_on_all_modules_sees_is_never_overwritten():
    model = lively(ConvMixer(TINY)).eval()
    kept = []

    def keep(module, inputs, output):
        if isinstance(output, torch.Tensor):
            kept.append((type(module).__name__, output, output.clone()))

    handle = nn.modules.module.register_module_forward_hook(keep)
    try:
        model(torch.rand(1, 3, 16, 16))
    finally:
        handle.remove()
    assert [name for name, value, then in kept if not torch.equal(value, then)] == []


@torch.no_grad()
def test_features_of_early_blocks_are_not_overwritten_by_later_ones():
    model = lively(ConvMixer(TINY, out_indices=range(DEPTH))).eval()
    x = torch.rand(1, 3, 16, 16)
    features = model(x)
    shorter = lively(ConvMixer({**TINY, 'depth': 1})).eval()
    shorter.load_state_dict(model.state_dict(), strict=False)
    torch.testing.assert_close(features[0], shorter(x)[0])


# Memory format and dtypes

@pytest.mark.parametrize('channels', [1, 3, 7])
@pytest.mark.parametrize('training', [True, False], ids=['train', 'eval'])
@pytest.mark.parametrize('batch', [1, 2])
def test_features_are_channels_last_from_the_stem_on(channels, training, batch):
    model = ConvMixer(TINY, in_channels=channels, out_indices=range(DEPTH)).train(training)
    seen = []
    model.stem.register_forward_hook(lambda module, inputs, out: seen.append(out))
    with torch.set_grad_enabled(training):
        features = model(torch.rand(batch, channels, 16, 24))
    assert all(is_channels_last(feature) for feature in features)
    assert is_channels_last(seen[0])


@pytest.mark.parametrize('training', [True, False], ids=['train', 'eval'])
def test_bfloat16_autocast_is_float32_to_bfloat16_accuracy(training):
    model = lively(ConvMixer(TINY)).train(training)
    twin = copy.deepcopy(model)
    x = torch.rand(2, 3, 16, 16)
    with torch.set_grad_enabled(training):
        expected, = model(x)
        with torch.autocast('cpu', torch.bfloat16):
            features, = twin(x)
    error = (features.float() - expected).norm() / expected.norm()
    # A network of 3 blocks rounds 7 products to 8 bits each; 7 * 2**-8 is 0.027.
    assert 0 < error < 0.03
    if training:
        features.float().square().sum().backward()
        assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32
                   for p in twin.parameters())


def test_checkpointing_and_autocast_go_together():
    models = [ConvMixer(TINY, with_cp=with_cp) for with_cp in (False, True)]
    models[1].load_state_dict(models[0].state_dict())
    x = torch.rand(2, 3, 16, 16)
    gradients = []
    for model in models:
        with torch.autocast('cpu', torch.bfloat16):
            features, = model(x)
        features.float().square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_a_network_in_another_dtype_returns_that_dtype(dtype):
    model = lively(ConvMixer(TINY)).eval()
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        expected, = model(x)
        features, = model.to(dtype)(x.to(dtype))
    assert features.dtype == dtype
    assert (features.float() - expected).norm() / expected.norm() < 0.03


# Tracing, export and pickling

@torch.no_grad()
def test_a_traced_network_equals_the_eager_one():
    model = lively(ConvMixer(TINY, out_indices=(0, -1))).eval()
    traced = torch.jit.trace(model, torch.rand(1, 3, 16, 16))
    x = torch.rand(3, 3, 20, 12)
    torch.testing.assert_close(traced(x), model(x))


@torch.no_grad()
def test_an_exported_network_equals_the_eager_one_and_shows_its_convolutions():
    model = lively(ConvMixer(TINY, out_indices=(0, -1))).eval()
    x = torch.rand(1, 3, 16, 16)
    exported = torch.export.export(model, (x,))
    torch.testing.assert_close(exported.module()(x), model(x))
    convolutions = [node for node in exported.graph.nodes if 'conv2d' in str(node.target)]
    assert len(convolutions) == 1 + 2 * DEPTH


def test_a_pickled_network_is_the_same_network():
    model = lively(ConvMixer(TINY, frozen_stages=1)).eval()
    twin = pickle.loads(pickle.dumps(model))
    x = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(twin(x), model(x), rtol=0, atol=0)
    assert not twin.train().stem.training


def test_pointwise_convolutions_are_instances_of_conv2d():
    model = ConvMixer(TINY)
    pointwise = [block[1] for block in model.stages]
    assert all(isinstance(m, nn.Conv2d) and isinstance(m, PointwiseConv2d)
               for m in pointwise)


# Layer-wise learning-rate decay

@pytest.mark.parametrize('name, layer', [
    ('backbone.stem.0.weight', 0), ('backbone.stem.2.bias', 0),
    ('backbone.stages.0.0.fn.0.weight', 1), ('backbone.stages.2.3.bias', 3),
    ('backbone.norm.weight', 4), ('head.fc.weight', 4)])
def test_layers_are_the_stem_the_blocks_and_the_rest(name, layer):
    assert ConvMixer(TINY).get_layer_depth(name, 'backbone.') == (layer, DEPTH + 2)


def test_layer_wise_decay_slows_each_layer_once_more_than_the_next():
    model = MODELS.build(dict(
        type='ImageClassifier', backbone=dict(type='ConvMixer', arch=TINY),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=2, in_channels=8)))
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(dict(
        type='LearningRateDecayOptimWrapperConstructor',
        optim_wrapper_cfg=dict(optimizer=dict(type='SGD', lr=1., weight_decay=0.1)),
        paramwise_cfg=dict(layer_decay_rate=0.5)))
    groups = constructor(model).optimizer.param_groups
    rates = {group['param_name']: group['lr'] for group in groups}
    assert len(rates) == len(list(model.parameters()))
    expected = {'backbone.stem.': 1 / 16, 'backbone.stages.0.': 1 / 8,
                'backbone.stages.1.': 1 / 4, 'backbone.stages.2.': 1 / 2, 'head.': 1}
    for prefix, rate in expected.items():
        assert {r for name, r in rates.items() if name.startswith(prefix)} == {rate}
