"""On a CPU, parameters are updated in one pass unless the config says otherwise."""
import copy

import pytest
import torch
from mmengine import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from mmconvmixer.engine import Runner
from mmconvmixer.engine.optim.fused_step import fuse_steps

TORCHS = [torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD, torch.optim.Adagrad]


def wrapper(kind=torch.optim.AdamW, **options):
    torch.manual_seed(0)
    layer = nn.Linear(33, 5)
    return OptimWrapper(kind(layer.parameters(), lr=0.01, weight_decay=0.1, **options)), layer


def chosen(optim_wrapper):
    return [group['fused'] for group in optim_wrapper.optimizer.param_groups]


@pytest.mark.parametrize('kind', TORCHS)
def test_a_fused_update_is_the_plain_one(kind):
    (fused, layer), (plain, other) = wrapper(kind), wrapper(kind)
    fuse_steps(fused)
    assert chosen(fused) == [True] and chosen(plain) == [None]
    x = torch.randn(7, 33)
    for _ in range(5):
        fused.update_params(layer(x).square().mean())
        plain.update_params(other(x).square().mean())
    torch.testing.assert_close(layer.weight, other.weight)


@pytest.mark.parametrize('options', [dict(foreach=True), dict(foreach=False), dict(fused=False),
                                     dict(differentiable=True)])
def test_what_the_config_says_is_kept(options):
    optim_wrapper, _ = wrapper(**options)
    fuse_steps(optim_wrapper)
    assert chosen(optim_wrapper) == [options.get('fused')]


def test_other_optimizers_are_left_alone():
    class Mine(torch.optim.AdamW):
        pass
    for kind in (Mine, torch.optim.NAdam):
        optim_wrapper, _ = wrapper(kind)
        before = copy.deepcopy(optim_wrapper.state_dict())
        fuse_steps(optim_wrapper)
        assert optim_wrapper.state_dict() == before


def test_every_optimizer_of_several_is_fused():
    first, second = wrapper()[0], wrapper(torch.optim.SGD)[0]
    fuse_steps(OptimWrapperDict(a=first, b=second))
    assert chosen(first) == chosen(second) == [True]


def test_a_run_that_began_with_plain_updates_goes_on_with_them():
    before, _ = wrapper()
    resumed, _ = wrapper()
    fuse_steps(resumed)
    resumed.load_state_dict(before.state_dict())
    assert chosen(resumed) == [None]


@pytest.mark.skipif(torch.cuda.is_available(), reason='trains on a CPU')
def test_training_on_a_cpu_fuses_its_optimizer(toy_config, tmp_path):
    cfg = Config.fromfile(toy_config)
    cfg.work_dir = str(tmp_path)
    runner = Runner.from_cfg(cfg)
    assert set(chosen(runner.build_optim_wrapper(cfg.optim_wrapper))) == {True}
