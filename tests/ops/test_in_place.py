import copy

import pytest
import torch
from torch import nn

from benchmarks.accuracy import ROOM, largest_allowed, largest_error
from mmconvmixer.models.convmixer import Stem
from mmconvmixer.ops import act_norm_

SHAPES = [(1, 1, 1, 1), (2, 7, 5, 3), (1, 33, 31, 33)]
ACTS = [nn.ReLU(), nn.GELU(), nn.GELU(approximate='tanh'), nn.SiLU(), nn.PReLU()]


def act_norm(x, act, norm):
    """The definition."""
    return norm(act(x))


def some_norm(channels, eps=1e-5):
    norm = nn.BatchNorm2d(channels, eps=eps).eval().requires_grad_(False)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    return norm


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('shape', SHAPES, ids=str)
@pytest.mark.parametrize('act', ACTS, ids=str)
def test_in_place_errs_at_most_twice_as_much_as_the_definition(act, shape, dtype):
    norm = some_norm(shape[1]).to(dtype)
    x = (3 * torch.randn(shape)).to(dtype).to(memory_format=torch.channels_last)
    truth = act_norm(x.double(), copy.deepcopy(act).double(), copy.deepcopy(norm).double())

    act = copy.deepcopy(act).to(dtype)
    eager = act_norm(x, act, norm)
    assert largest_error(act_norm_(x.clone(), act, norm), truth) <= largest_allowed(eager, truth)


@torch.no_grad()
@pytest.mark.parametrize('mean', [100., 1000.])
def test_statistics_far_from_zero_cost_what_they_cost_the_definition(mean):
    norm = some_norm(9)
    norm.running_mean.fill_(mean)
    x = mean + torch.randn(2, 9, 7, 5)
    truth = act_norm(x.double(), nn.ReLU(), copy.deepcopy(norm).double())
    eager = largest_error(act_norm(x, nn.ReLU(), norm), truth)
    in_place = largest_error(act_norm_(x.clone(), nn.ReLU(), norm), truth)
    # x * scale is rounded once more than in a fused multiply-add.
    scale = norm.weight * norm.running_var.rsqrt()
    rounding = torch.finfo(x.dtype).eps / 2 * x.abs().max() * scale.abs().max()
    assert in_place <= ROOM * eager + rounding


@torch.no_grad()
def test_eps_is_that_of_the_norm():
    norm = some_norm(3, eps=0.5)
    x = torch.randn(2, 3, 4, 4)
    expected = act_norm(x, nn.GELU(), norm)
    torch.testing.assert_close(act_norm_(x.clone(), nn.GELU(), norm), expected)


@torch.no_grad()
@pytest.mark.parametrize('act', [nn.ReLU(), nn.GELU()], ids=str)
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_in_place_means_the_same_memory_and_the_same_layout(act, layout):
    x = torch.randn(2, 5, 4, 3).to(memory_format=layout)
    out = act_norm_(x, act, some_norm(5))
    assert out.data_ptr() == x.data_ptr()
    assert out.is_contiguous(memory_format=layout)


@torch.no_grad()
@pytest.mark.parametrize('act', [nn.SiLU(), nn.Identity()], ids=str)
def test_the_norm_is_not_changed(act):
    norm = some_norm(5)
    before = copy.deepcopy(norm.state_dict())
    act_norm_(torch.randn(2, 5, 4, 3), act, norm)
    torch.testing.assert_close(norm.state_dict(), before, rtol=0, atol=0)


def test_training_normalizes_by_the_batch_and_updates_running_statistics():
    norm = nn.BatchNorm2d(4)
    x = torch.randn(8, 4, 6, 6)
    out = Stem(nn.Identity(), nn.ReLU(), norm)(x)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(norm.running_mean, 0.1 * x.relu().mean((0, 2, 3)))
