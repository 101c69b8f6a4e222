"""Muon updates the matrices of both networks, AdamW everything else."""
import copy
import json
import math

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmconvmixer.engine.optim.muon import MuonAdamW, orthogonalized
from mmconvmixer.errors import BadConfig
from mmconvmixer.models import ConvMixer, MlpMixer

SIZES = dict(embed_dims=12, depth=2, patch_size=2, kernel_size=3)
CONVMIXER_MATRICES = ['stages.0.1.weight', 'stages.1.1.weight']


def mlp_mixer():
    return MlpMixer(dict(embed_dims=8, num_layers=1, tokens_mlp_dims=6, channels_mlp_dims=10),
                    img_size=8, patch_size=4)


def wrapped(model, **options):
    return build_optim_wrapper(model, dict(
        constructor='mmpretrain.MuonOptimWrapperConstructor',
        optimizer=dict(type='mmpretrain.MuonAdamW', lr=0.01, weight_decay=0.1), **options))


def by_muon(model, optim_wrapper):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for group in optim_wrapper.optimizer.param_groups
            if group['muon'] for parameter in group['params']]


def test_a_convmixers_pointwise_convolutions_are_muons():
    model = ConvMixer(SIZES)
    assert by_muon(model, wrapped(model)) == CONVMIXER_MATRICES


def test_an_mlp_mixers_dense_layers_are_muons():
    model = mlp_mixer()
    assert sorted(by_muon(model, wrapped(model))) == [
        f'layers.0.{mix}_mix.layers.{layer}.weight' for mix in ('channel', 'token')
        for layer in ('0.0', '1')]


def test_head_and_stem_are_not_muons():
    model = nn.Sequential(ConvMixer(SIZES | dict(patch_size=1)), nn.Linear(12, 3))
    assert by_muon(model, wrapped(model)) == ['0.' + name for name in CONVMIXER_MATRICES]


def test_options_for_single_parameters_still_hold():
    model = ConvMixer(SIZES)
    optim_wrapper = wrapped(model, paramwise_cfg=dict(norm_decay_mult=0.))
    assert {group['weight_decay'] for group in optim_wrapper.optimizer.param_groups} == {0., 0.1}
    assert by_muon(model, optim_wrapper) == CONVMIXER_MATRICES


@pytest.mark.parametrize('shape', [(7, 5), (5, 9), (6, 6, 1, 1)])
def test_a_step_is_that_of_the_formulas_in_float64(shape):
    """Orthogonalization by the iteration, written out for the singular values."""
    torch.manual_seed(0)
    weight, gradients = torch.randn(shape, requires_grad=True), torch.randn(2, *shape)
    optimizer = MuonAdamW([dict(params=[weight], muon=True)], lr=0.1, weight_decay=0.5)
    expected, average = weight.detach().double().flatten(1), 0.
    for gradient in gradients:
        weight.grad = gradient
        optimizer.step()
        exact = gradient.double().flatten(1)
        average = 0.95 * average + 0.05 * exact
        u, values, v = torch.linalg.svd(0.05 * exact + 0.95 * average, full_matrices=False)
        values = values / values.norm()
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        expected = (1 - 0.1 * 0.5) * expected \
            - 0.1 * 0.2 * max(exact.shape)**0.5 * u @ values.diag() @ v
    torch.testing.assert_close(weight.detach().double().flatten(1), expected, rtol=0, atol=1e-5)


def test_singular_values_come_near_1_and_vectors_stay():
    torch.manual_seed(0)
    matrix = torch.randn(40, 20).double()
    result = orthogonalized(matrix)
    assert torch.linalg.svdvals(result).sub(1).abs().max() < 0.4
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.t() @ result @ v.t()
    assert (inner - inner.diag().diag()).abs().max() < 1e-6


def test_all_other_parameters_get_adamws_step():
    model, plain = ConvMixer(SIZES), ConvMixer(SIZES)
    plain.load_state_dict(model.state_dict())
    optimizer = wrapped(model).optimizer
    adamw = torch.optim.AdamW(plain.parameters(), lr=0.01, weight_decay=0.1)
    for parameter, other in zip(model.parameters(), plain.parameters(), strict=True):
        parameter.grad = torch.randn_like(parameter)
        other.grad = parameter.grad.clone()
    optimizer.step()
    adamw.step()
    differ = [name for (name, parameter), other in zip(
        model.named_parameters(), plain.parameters(), strict=True)
        if not torch.equal(parameter, other)]
    assert differ == CONVMIXER_MATRICES


@pytest.mark.parametrize('make', [lambda: ConvMixer(SIZES), mlp_mixer])
def test_a_run_resumed_after_2_steps_ends_with_the_weights_of_an_uninterrupted_one(make):
    def steps(model, optim_wrapper, numbers):
        for number in numbers:
            torch.manual_seed(number)
            out, = model(torch.randn(3, 3, 8, 8))
            optim_wrapper.update_params(out.square().mean() + out.sum())
    whole = make()
    half = copy.deepcopy(whole)
    steps(whole, wrapped(whole), range(4))
    before = wrapped(half)
    steps(half, before, range(2))
    resumed = copy.deepcopy(half)
    after = wrapped(resumed)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    steps(resumed, after, range(2, 4))
    assert all(map(torch.equal, whole.state_dict().values(), resumed.state_dict().values()))


def test_schedules_reach_both():
    model = ConvMixer(SIZES)
    optimizer = wrapped(model).optimizer
    before = copy.deepcopy(model.state_dict())
    for group in optimizer.param_groups:
        group['lr'] = 0.
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert all(map(torch.equal, before.values(), model.state_dict().values()))


def test_what_muon_cannot_update_is_one_line():
    with pytest.raises(BadConfig, match=r'not a parameter of shape \(4, 1, 3, 3\)'):
        MuonAdamW([dict(params=[nn.Parameter(torch.zeros(4, 1, 3, 3))], muon=True)])
    with pytest.raises(BadConfig, match='no block of theirs'):
        wrapped(nn.Linear(3, 3))


def test_a_run_with_it_learns(train, tmp_path):
    train(tmp_path, dict(optim_wrapper=dict(
        constructor='MuonOptimWrapperConstructor', _delete_=True,
        optimizer=dict(type='MuonAdamW', lr=0.02, weight_decay=0.01))))
    epoch, = json.loads((tmp_path / 'run.json').read_text())['history']
    assert epoch['loss'] < math.log(10) - 0.02  # that of guessing among ten classes
