import math

import pytest
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import nn
from torch.func import functional_call

from mmconvmixer.engine import AmpOptimWrapper, AmpSAMOptimWrapper, SAMOptimWrapper
from mmconvmixer.errors import BadConfig

LR, RHO = 0.1, 0.3
MIXER = dict(
    type='mmpretrain.MlpMixer', img_size=8, patch_size=4,
    arch=dict(embed_dims=8, num_layers=2, tokens_mlp_dims=6, channels_mlp_dims=12))
CONVMIXER = dict(type='ConvMixer', arch='8/2-p2-k3')


class Classifier(BaseModel):
    """A backbone of 8 channels, dropout and a linear layer over its mean."""

    def __init__(self, backbone, dropout=0.):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = MODELS.build(dict(backbone))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(8, 3)

    def forward(self, inputs, labels, mode='loss'):
        features = self.dropout(self.backbone(inputs)[-1].flatten(2).mean(-1))
        return dict(loss=F.cross_entropy(self.fc(features), labels))


class Quadratic(BaseModel):
    """1/2 sum(scale * w^2): its gradient is scale * w."""

    def __init__(self, weights, scale):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(weights, dtype=torch.float64))
        self.scale = torch.tensor(scale, dtype=torch.float64)

    def forward(self, mode='loss'):
        return dict(loss=(self.scale * self.w ** 2).sum() / 2)


def batch(seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return dict(inputs=torch.randn(4, 3, 8, 8, dtype=dtype, generator=generator),
                labels=torch.randint(3, (4,), generator=generator))


def sgd(model, wrapper=SAMOptimWrapper, lr=LR, **options):
    return wrapper(optimizer=torch.optim.SGD(model.parameters(), lr=lr), **options)


def values_of(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def plain_gradient(model, weights, data):
    """Return the gradient of the loss at `weights`, by name, without changing `model`."""
    leaves = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    loss = functional_call(model, {**leaves, **buffers}, kwargs=data)['loss']
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    return dict(zip(leaves, gradients, strict=True))


def norm(tensors):
    return math.sqrt(sum(float((tensor ** 2).sum()) for tensor in tensors.values()))


def sam_gradient(model, data, rho=RHO):
    weights = values_of(model)
    g = plain_gradient(model, weights, data)
    return plain_gradient(
        model, {name: weights[name] + rho * g[name] / norm(g) for name in g}, data)


def asam_gradient(model, data, rho, eta):
    weights = values_of(model)
    g = plain_gradient(model, weights, data)
    t = {name: weight.abs() + eta for name, weight in weights.items()}
    length = norm({name: t[name] * g[name] for name in g})
    return plain_gradient(
        model, {name: weights[name] + rho * t[name] ** 2 * g[name] / length for name in g}, data)


def mean(gradients):
    return {name: sum(g[name] for g in gradients) / len(gradients) for name in gradients[0]}


def stepped(model, gradient, lr=LR):
    return {name: weight - lr * gradient[name] for name, weight in values_of(model).items()}


def assert_weights(model, expected):
    torch.testing.assert_close(values_of(model), expected, rtol=1e-10, atol=1e-12)


def test_a_step_on_a_quadratic_by_hand():
    """g = (3, 4), so e = 5 (3, 4) / 5, w + e = (6, 6) and the gradient there (6, 12)."""
    model = Quadratic([3., 2.], [1., 2.])
    model.train_step({}, sgd(model, rho=5., lr=0.5))
    assert model.w.tolist() == [3. - 0.5 * 6, 2. - 0.5 * 12]


def test_an_adaptive_step_on_a_quadratic_by_hand():
    """g = (1, 1), T = (3, 4), so e = 5 (9, 16) / |(3, 4)| = (9, 16)."""
    model = Quadratic([2., 3.], [1 / 2, 1 / 3])
    model.train_step({}, sgd(model, rho=5., adaptive=True, eta=1., lr=1.))
    expected = [2 - (2 + 9) / 2, 3 - (3 + 16) / 3]
    torch.testing.assert_close(model.w.tolist(), expected)


@pytest.mark.parametrize('backbone', [MIXER, CONVMIXER], ids=['mixer', 'convmixer'])
def test_steps_equal_the_formula(backbone):
    model = Classifier(backbone).double()
    optim = sgd(model, rho=RHO)
    for seed in range(3):
        expected = stepped(model, sam_gradient(model, batch(seed)))
        without = stepped(model, plain_gradient(model, values_of(model), batch(seed)))
        model.train_step(batch(seed), optim)
        assert_weights(model, expected)
        with pytest.raises(AssertionError):  # shows that the comparison above can fail
            assert_weights(model, without)


@pytest.mark.parametrize('backbone', [MIXER, CONVMIXER], ids=['mixer', 'convmixer'])
def test_adaptive_steps_equal_the_formula(backbone):
    model = Classifier(backbone).double()
    optim = sgd(model, rho=0.5, adaptive=True, eta=0.02)
    for seed in range(2):
        expected = stepped(model, asam_gradient(model, batch(seed), 0.5, 0.02))
        model.train_step(batch(seed), optim)
        assert_weights(model, expected)


def test_batch_norm_statistics_change_only_in_the_first_pass():
    model, once = Classifier(CONVMIXER), Classifier(CONVMIXER)
    once(**batch(0, torch.float32))
    model.train_step(batch(0, torch.float32), sgd(model, rho=RHO))
    buffers, expected = dict(model.named_buffers()), dict(once.named_buffers())
    assert any(name.endswith('num_batches_tracked') for name in buffers)
    assert buffers.keys() == expected.keys()
    assert all(torch.equal(buffers[name], expected[name]) for name in buffers)


def test_rho_0_equals_the_plain_step_bit_for_bit_with_dropout_and_statistics(same_weights):
    plain, sam = (Classifier(CONVMIXER, dropout=0.5) for _ in range(2))
    states = []
    for model, optim in ((plain, sgd(plain, OptimWrapper)), (sam, sgd(sam, rho=0.))):
        torch.manual_seed(1)
        for seed in range(3):
            model.train_step(batch(seed, torch.float32), optim)
        states.append(torch.get_rng_state())
    assert same_weights(plain.state_dict(), sam.state_dict())
    assert torch.equal(*states)


def test_the_second_pass_has_the_dropout_mask_of_the_first():
    model = Classifier(MIXER, dropout=0.5)
    dropped = []
    model.dropout.register_forward_hook(lambda module, given, out: dropped.append(out == 0))
    optim = sgd(model, rho=RHO)
    for seed in (0, 1):
        model.train_step(batch(seed, torch.float32), optim)
    assert torch.equal(dropped[0], dropped[1]) and torch.equal(dropped[2], dropped[3])
    assert not torch.equal(dropped[0], dropped[2])


def test_numbers_drawn_between_the_passes_are_not_drawn_again():
    model, data = Classifier(MIXER, dropout=0.5), batch(0, torch.float32)
    optim = sgd(model, rho=RHO)
    with optim.optim_context(model):
        loss = model(**data)['loss']
    torch.rand(3)
    before = torch.get_rng_state()
    optim.update_params(loss)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_logged_loss_is_that_at_the_original_weights():
    model = Classifier(MIXER).double()
    expected = model(**batch(0))['loss'].item()
    assert model.train_step(batch(0), sgd(model, rho=RHO))['loss'].item() == expected


def test_the_second_gradient_is_clipped():
    model = Classifier(MIXER).double()
    gradient = sam_gradient(model, batch(0))
    limit = norm(gradient) / 3
    clipped = {name: g * limit / norm(gradient) for name, g in gradient.items()}
    expected = stepped(model, clipped)
    model.train_step(batch(0), sgd(model, rho=RHO, clip_grad=dict(max_norm=limit)))
    torch.testing.assert_close(values_of(model), expected, rtol=1e-5, atol=1e-6)


def test_each_accumulated_batch_perturbs_the_weights_by_its_own_gradient():
    model = Classifier(MIXER).double()
    before = values_of(model)
    expected = stepped(model, mean([sam_gradient(model, batch(seed)) for seed in (0, 1)]))
    optim = sgd(model, rho=RHO, accumulative_counts=2)
    optim.initialize_count_status(model, 0, 3)
    model.train_step(batch(0), optim)
    assert all(torch.equal(weight, before[name]) for name, weight in values_of(model).items())
    model.train_step(batch(1), optim)
    assert_weights(model, expected)
    # The third and last iteration is left over and makes a step of its own.
    expected = stepped(model, sam_gradient(model, batch(2)))
    model.train_step(batch(2), optim)
    assert_weights(model, expected)
    assert optim.inner_count == 3


def test_groups_frozen_weights_and_weights_without_a_gradient():
    model = Classifier(MIXER).double()
    model.spare = nn.Parameter(torch.ones(5, dtype=torch.float64))
    model.backbone.patch_embed.requires_grad_(False)
    optim = build_optim_wrapper(model, dict(
        type=SAMOptimWrapper, rho=RHO, optimizer=dict(type='SGD', lr=LR),
        paramwise_cfg=dict(custom_keys={'fc': dict(lr_mult=10.)})))
    assert len(optim.optimizer.param_groups) > 1
    frozen = {name for name, weight in model.named_parameters()
              if not weight.requires_grad or name == 'spare'}
    assert len(frozen) == 3
    weights = values_of(model)

    def gradient(moved):
        leaves = {name: moved[name].clone().requires_grad_() for name in weights}
        loss = functional_call(model, leaves, kwargs=batch(0))['loss']
        names = sorted(weights.keys() - frozen)
        return dict(zip(names, torch.autograd.grad(loss, [leaves[n] for n in names]), strict=True))

    g = gradient(weights)
    g = gradient({name: weights[name] + (RHO * g[name] / norm(g) if name in g else 0)
                  for name in weights})
    expected = {name: weight - (LR * (10 if 'fc' in name else 1) * g[name] if name in g else 0)
                for name, weight in weights.items()}
    model.train_step(batch(0), optim)
    assert_weights(model, expected)


def test_a_zero_gradient_changes_nothing():
    model = Quadratic([0., 0.], [1., 2.])
    model.train_step({}, sgd(model, rho=RHO))
    assert model.w.tolist() == [0., 0.]


@pytest.mark.parametrize('bad', [math.inf, math.nan])
@pytest.mark.parametrize('adaptive', [False, True])
def test_after_a_first_gradient_that_is_not_finite_the_step_is_plain(bad, adaptive):
    model = Quadratic([3., 2.], [1., 2.])
    factors = [torch.tensor([bad, 1.], dtype=torch.float64)]
    model.w.register_hook(lambda g: g * factors.pop() if factors else g)
    model.train_step({}, sgd(model, rho=5., adaptive=adaptive, lr=0.5))
    assert not factors
    assert model.w.tolist() == [3. - 0.5 * 3, 2. - 0.5 * 4]


def test_an_error_in_the_second_pass_restores_the_weights(same_weights):
    model = Classifier(CONVMIXER)
    once, reached = Classifier(CONVMIXER), []
    once(**batch(0, torch.float32))

    def break_down(module, given):
        reached.append(module.weight.detach().clone())
        if len(reached) == 2:
            raise MemoryError

    model.fc.register_forward_pre_hook(break_down)
    with pytest.raises(MemoryError):
        model.train_step(batch(0, torch.float32), sgd(model, rho=RHO))
    assert not torch.equal(*reached)
    assert same_weights(model.state_dict(), once.state_dict())


def bfloat16_reference(model, data, rho):
    weights = values_of(model)
    with torch.autocast('cpu', torch.bfloat16):
        g = plain_gradient(model, weights, data)
        return plain_gradient(
            model, {name: weights[name] + rho * g[name] / norm(g) for name in g}, data)


@pytest.mark.skipif(torch.cuda.is_available(), reason='mixed precision is bfloat16 only on a CPU')
@pytest.mark.parametrize('backbone', [MIXER, CONVMIXER], ids=['mixer', 'convmixer'])
def test_mixed_precision_on_a_cpu_runs_both_passes_in_bfloat16(backbone, processor):
    processor('with VNNI and bfloat16')
    model, data = Classifier(backbone), batch(0, torch.float32)
    dtypes = []
    model.fc.register_forward_hook(lambda module, given, out: dtypes.append(out.dtype))
    expected = stepped(model, bfloat16_reference(model, data, RHO))
    dtypes.clear()
    model.train_step(data, sgd(model, AmpSAMOptimWrapper, rho=RHO, dtype='bfloat16'))
    assert dtypes == [torch.bfloat16] * 2
    torch.testing.assert_close(values_of(model), expected, rtol=1e-5, atol=1e-6)


def amp_sam(model, scale):
    """Return an `AmpSAMOptimWrapper` with a gradient scaler, which it only has on a GPU."""
    optim = sgd(model, AmpSAMOptimWrapper, rho=RHO, clip_grad=dict(max_norm=1.))
    optim.loss_scaler = torch.amp.GradScaler('cpu', init_scale=scale)
    return optim


@pytest.mark.skipif(torch.cuda.is_available(), reason='replaces the scaler of a CPU')
def test_the_loss_scale_cancels(same_weights):
    models = [Classifier(MIXER) for _ in range(2)]
    for model, scale in zip(models, (1., 2. ** 16), strict=True):
        model.train_step(batch(0, torch.float32), amp_sam(model, scale))
    # The scale is a power of two, so that no bit is lost.
    assert same_weights(models[0].state_dict(), models[1].state_dict())


@pytest.mark.skipif(torch.cuda.is_available(), reason='replaces the scaler of a CPU')
def test_if_the_scaled_gradient_overflows_the_step_is_skipped_and_the_scale_lowered(
        same_weights):
    model = Classifier(MIXER)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    # float32's largest number is just below 2^128.
    optim = amp_sam(model, 2. ** 127)
    data = batch(0, torch.float32)
    data['inputs'] *= 1e3
    model.train_step(data, optim)
    assert same_weights(model.state_dict(), before)
    assert optim.loss_scaler.get_scale() == 2. ** 126


@pytest.mark.parametrize('wrapper', [SAMOptimWrapper, AmpSAMOptimWrapper])
@pytest.mark.parametrize('options', [
    dict(rho=-0.1), dict(rho='auto'), dict(rho=None), dict(rho=math.nan), dict(rho=math.inf),
    dict(rho=True), dict(rho=0.1, eta=-1)], ids=str)
def test_an_invalid_radius_is_an_error_that_says_what_is_expected(wrapper, options):
    with pytest.raises(BadConfig, match='optim_wrapper.(rho|eta) is .*finite number from 0'):
        sgd(Quadratic([1.], [1.]), wrapper, **options)


def test_a_misspelt_option_is_an_error():
    with pytest.raises(TypeError, match='roh'):
        sgd(Quadratic([1.], [1.]), roh=0.1)


@pytest.mark.parametrize('calls', [0, 2])
def test_other_than_one_call_of_the_model_is_an_error(calls):
    model = Quadratic([1.], [1.])
    optim = sgd(model, rho=RHO)
    loss = model()['loss']
    with optim.optim_context(model):
        for _ in range(calls):
            loss = model()['loss']
    with pytest.raises(RuntimeError, match=f'found {calls} of them'):
        optim.update_params(loss)


def test_a_model_of_plain_torch_returns_its_loss():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor([3., 2.]))

        def forward(self, scale):
            return (scale * self.w ** 2).sum() / 2

    model = Plain()
    optim = sgd(model, rho=5., lr=0.5)
    with optim.optim_context(model):
        loss = model(torch.tensor([1., 2.]))
    optim.update_params(loss)
    assert model.w.tolist() == [0., -4.]


def test_a_model_that_returns_no_loss_is_an_error():
    model = nn.Linear(2, 2)
    optim = sgd(model)
    with optim.optim_context(model):
        out = model(torch.ones(1, 2))
    with pytest.raises(BadConfig, match='Linear neither has parse_losses .* nor returns a scalar'):
        optim.update_params(out.sum())


@pytest.mark.parametrize('kind', [SAMOptimWrapper, AmpSAMOptimWrapper])
def test_it_is_built_by_name_and_its_state_fits_the_plain_wrapper(kind):
    plain = dict(SAMOptimWrapper=OptimWrapper, AmpSAMOptimWrapper=AmpOptimWrapper)[kind.__name__]
    model = Classifier(MIXER)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        built = build_optim_wrapper(model, dict(
            type=kind.__name__, rho=0.15, optimizer=dict(type='AdamW', lr=0.1)))
    assert type(built) is kind and built.rho == 0.15
    model.train_step(batch(0, torch.float32), built)
    other = plain(optimizer=torch.optim.AdamW(model.parameters()))
    other.load_state_dict(built.state_dict())
    assert other.optimizer.state_dict()['state'].keys() == built.state_dict()['state'].keys()


def _rank(rank, port, backbone, ddp_options, accumulate, folder):
    torch.distributed.init_process_group(
        'gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    model = Classifier(backbone).double()
    parallel = MMDistributedDataParallel(model, broadcast_buffers=False, **ddp_options)
    optim = sgd(model, rho=RHO, accumulative_counts=accumulate)
    for iteration in range(2):
        parallel.train_step(batch(2 * iteration + rank), optim)
    torch.save((model.state_dict(), optim.optimizer.state_dict()), f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('backbone, ddp_options, accumulate', [
    (MIXER, {}, 1),
    (CONVMIXER, {}, 1),
    (MIXER, dict(find_unused_parameters=True), 1),
    (MIXER, dict(gradient_as_bucket_view=True), 1),
    (MIXER, {}, 2),
    (MIXER, dict(gradient_as_bucket_view=True), 2),
], ids=['mixer', 'convmixer', 'unused', 'views', 'accumulation', 'accumulation in views'])
def test_each_of_two_processes_perturbs_the_weights_by_its_own_gradient(
        tmp_path, free_port, backbone, ddp_options, accumulate):
    mp.start_processes(_rank, (free_port, backbone, ddp_options, accumulate, str(tmp_path)),
                       nprocs=2, start_method='fork')
    models = [Classifier(backbone).double() for _ in range(2)]
    batches = [[batch(2 * iteration + rank) for rank in range(2)] for iteration in range(2)]
    for pairs in ([batches[0] + batches[1]] if accumulate == 2 else batches):
        expected = stepped(models[0], mean([sam_gradient(models[0], data) for data in pairs]))
        for rank, model in enumerate(models):
            for data in pairs[rank::2]:
                model(**data)  # updates this rank's statistics
            model.load_state_dict(expected, strict=False)
    for rank, model in enumerate(models):
        state, _ = torch.load(tmp_path / f'{rank}.pth')
        torch.testing.assert_close(state, model.state_dict(), rtol=1e-10, atol=1e-12)


def test_a_static_graph_is_an_error_that_names_the_option():
    model = Classifier(MIXER)
    model.static_graph = True  # as in DistributedDataParallel
    with pytest.raises(BadConfig, match='model_wrapper_cfg.static_graph'):
        model.train_step(batch(0, torch.float32), sgd(model))


SAM = '''
_base_ = ['{toy}']
optim_wrapper = dict(type='SAMOptimWrapper', rho=0.15)
train_dataloader = dict(sampler=dict(type='InfiniteSampler', _delete_=True))
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=4, val_interval=9)
param_scheduler = dict(_delete_=True, type='ConstantLR', factor=1., by_epoch=False)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=2, max_keep_ckpts=9))
'''


@pytest.fixture(scope='module')
def sam_config(toy_config, tmp_path_factory):
    """The toy config with SAM, for 4 iterations, saved after the second and the last."""
    path = tmp_path_factory.mktemp('configs') / 'sam.py'
    path.write_text(SAM.format(toy=toy_config))
    return path


@pytest.fixture
def resumed(tmp_path):
    """Run 4 iterations, then resume after 2; return the last checkpoints of both runs."""
    def run(train_in):
        train_in(tmp_path / 'whole', resume=False)
        (tmp_path / 'cut').mkdir()
        (tmp_path / 'whole/iter_2.pth').rename(tmp_path / 'cut/iter_2.pth')
        train_in(tmp_path / 'cut', resume=True)
        return tmp_path / 'whole/iter_4.pth', tmp_path / 'cut/iter_4.pth'
    return run


@pytest.mark.parametrize('overrides, options', [
    ({}, {}),
    ({'optim_wrapper.adaptive': True, 'optim_wrapper.accumulative_counts': 2}, {}),
    ({}, dict(amp=True)),
], ids=['sam', 'adaptive, accumulated', 'amp'])
def test_a_run_resumed_after_2_steps_ends_with_the_weights_of_an_uninterrupted_one(
        train, sam_config, weights_of, same_weights, resumed, overrides, options):
    whole, cut = resumed(lambda folder, resume: train(
        folder, overrides, config=sam_config, validate=False, resume=resume, **options))
    assert same_weights(weights_of(whole), weights_of(cut))


def test_two_resumed_processes_end_with_the_weights_of_an_uninterrupted_run(
        train, sam_config, in_two_processes, weights_of, same_weights, resumed):
    whole, cut = resumed(lambda folder, resume: in_two_processes(
        train, folder, config=sam_config, validate=False, resume=resume, launcher='pytorch'))
    assert same_weights(weights_of(whole), weights_of(cut))


@pytest.mark.parametrize('amp, dtype', [(False, torch.float32), (True, torch.bfloat16)])
def test_a_run_computes_every_batch_twice_with_and_without_amp(
        train, sam_config, tmp_path, monkeypatch, processor, amp, dtype):
    processor('with VNNI and bfloat16')
    seen = []
    forward = nn.Linear.forward

    def watched(self, given):
        out = forward(self, given)
        seen.append((self.weight.detach().clone(), out.dtype))
        return out

    monkeypatch.setattr(nn.Linear, 'forward', watched)
    train(tmp_path, {'optim_wrapper.dtype': 'bfloat16'} if amp else {}, config=sam_config,
          validate=False, amp=amp)
    assert [kind for _, kind in seen] == [dtype] * 8  # 4 iterations
    assert not any(torch.equal(first, second)
                   for (first, _), (second, _) in zip(seen[::2], seen[1::2], strict=True))


def test_a_negative_rho_is_a_one_line_error_before_anything_is_written(bad_input, sam_config):
    said = bad_input('train', sam_config, '--cfg-options', 'optim_wrapper.rho=-1')
    assert 'optim_wrapper.rho is -1' in said
