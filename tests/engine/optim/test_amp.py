import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmconvmixer.engine import AmpOptimWrapper
from mmconvmixer.errors import BadConfig

pytestmark = pytest.mark.skipif(torch.cuda.is_available(),
                                reason="on a GPU mmengine's own wrapper is used")


class Net(torch.nn.Module):

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x)


def wrapper(net, **options):
    return AmpOptimWrapper(optimizer=torch.optim.AdamW(net.parameters(), lr=0.1), **options)


def step(net, optim):
    with optim.optim_context(net):
        out = net(torch.arange(8.).reshape(2, 4))
        loss = torch.nn.functional.cross_entropy(out, torch.tensor([0, 2]))
    optim.update_params(loss)
    return out.dtype, loss.item()


@pytest.fixture(autouse=True)
def with_bfloat16(processor):
    processor('with VNNI and bfloat16')


def test_forward_is_bfloat16_weights_stay_float32_and_the_loss_falls():
    net = Net()
    optim = wrapper(net, dtype='bfloat16')
    steps = [step(net, optim) for _ in range(20)]
    assert {dtype for dtype, _ in steps} == {torch.bfloat16}
    assert net.layer.weight.dtype == torch.float32
    assert steps[-1][1] < steps[0][1] / 2


@pytest.mark.parametrize('dtype', ['bfloat16', torch.bfloat16])
def test_bfloat16_can_be_named(dtype):
    net = Net()
    assert step(net, wrapper(net, dtype=dtype))[0] == torch.bfloat16


@pytest.mark.parametrize('dtype', ['float16', torch.float16, 'float32', 'float61'])
def test_another_dtype_on_a_cpu_is_an_error_that_names_bfloat16(dtype):
    with pytest.raises(BadConfig, match='float.*bfloat16'):
        wrapper(Net(), dtype=dtype)


@pytest.mark.parametrize('loss_scale', ['dynamic', 512., dict(init_scale=2.**10)])
def test_the_loss_scale_of_a_gpu_config_changes_nothing(loss_scale):
    plain, scaled = Net(), Net()
    step(plain, wrapper(plain))
    step(scaled, wrapper(scaled, loss_scale=loss_scale))
    assert torch.equal(plain.layer.weight, scaled.layer.weight)


def test_a_saved_and_loaded_state_continues_exactly(tmp_path):
    net = Net()
    optim = wrapper(net)
    step(net, optim)
    torch.save((net.state_dict(), optim.state_dict()), tmp_path / 'state.pth')
    weights, state = torch.load(tmp_path / 'state.pth', weights_only=True)
    other = Net()
    other.load_state_dict(weights)
    resumed = wrapper(other)
    resumed.load_state_dict(state)
    for _ in range(3):
        assert step(net, optim) == step(other, resumed)
    assert torch.equal(net.layer.weight, other.layer.weight)


def test_gradients_accumulate_and_are_clipped():
    net = Net()
    optim = wrapper(net, accumulative_counts=2, clip_grad=dict(max_norm=1e-3))
    before = net.layer.weight.detach().clone()
    step(net, optim)
    assert torch.equal(net.layer.weight, before)
    with optim.optim_context(net):
        loss = net(torch.full((2, 4), 9.)).float().square().sum()
    optim.backward(optim.scale_loss(loss))
    optim._clip_grad()
    norm = torch.stack([p.grad.norm() for p in net.parameters()]).norm()
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_a_config_gets_this_wrapper_by_mmengines_name():
    from mmengine.registry import DefaultScope
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        built = build_optim_wrapper(Net(), dict(type='AmpOptimWrapper',
                                                optimizer=dict(type='SGD', lr=0.1)))
    assert type(built) is AmpOptimWrapper


@pytest.mark.parametrize('kind', ['with AVX2 alone', 'with VNNI and bfloat16'])
def test_a_run_with_amp_trains_and_its_checkpoint_resumes(train, processor, tmp_path, kind):
    processor(kind)
    train(tmp_path, amp=True, validate=False)
    model = train(tmp_path, {'train_cfg.max_epochs': 2}, amp=True, validate=False,
                  resume=True)
    assert (tmp_path / 'epoch_2.pth').is_file()
    assert all(torch.isfinite(p).all() and p.dtype == torch.float32
               for p in model.parameters())
