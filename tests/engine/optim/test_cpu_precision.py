"""Mixed precision on a CPU: in bfloat16 only where that is faster, and after a resume as before."""
import pytest
import torch

from mmconvmixer.engine import AmpOptimWrapper, AmpSAMOptimWrapper
from mmconvmixer.engine.optim import cpu_precision
from mmconvmixer.engine.optim.cpu_precision import ROUNDS

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU computes in float16')


@pytest.fixture
def said(monkeypatch):
    """The lines that were logged."""
    lines = []
    for module in ('engine.optim.cpu_precision', '_support.processor'):
        monkeypatch.setattr(f'mmconvmixer.{module}.print_log',
                            lambda line, *args: lines.append(line))
    return lines


class Net(torch.nn.Module):
    """Its iterations take as long, on a clock of its own, as `seconds` says for each dtype."""

    def __init__(self, monkeypatch, seconds):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.seconds, self.now, self.dtypes = torch.nn.Linear(4, 3), seconds, 0., []
        monkeypatch.setattr(cpu_precision.time, 'perf_counter', lambda: self.now)

    def forward(self, x):
        out = self.layer(x)
        self.dtypes.append(out.dtype)
        self.now += self.seconds[out.dtype]
        return out.float().square().mean()

    def train(self, optim, iterations):
        """Return the dtypes of these iterations."""
        self.dtypes.clear()
        for _ in range(iterations):
            with optim.optim_context(self):
                loss = self(torch.arange(8.).reshape(2, 4))
            optim.update_params(loss)
        return list(self.dtypes)


FASTER_FLOAT32 = {torch.float32: 0.46, torch.bfloat16: 0.70}
FASTER_BFLOAT16 = {torch.float32: 0.70, torch.bfloat16: 0.46}
IN_TURN = [torch.float32, torch.bfloat16] * ROUNDS


def wrapper(net, kind=AmpOptimWrapper, **options):
    return kind(optimizer=torch.optim.SGD(net.parameters(), lr=0.01), **options)


def test_a_processor_without_bfloat16_computes_in_float32_and_one_line_says_why(
        monkeypatch, processor, said):
    processor('with AVX2 alone')
    net = Net(monkeypatch, FASTER_BFLOAT16)
    for dtype in (None, 'bfloat16'):
        said.clear()
        assert set(net.train(wrapper(net, dtype=dtype), 3)) == {torch.float32}
        assert said == ['this processor has no bfloat16 instructions: computing in float32']


@pytest.mark.parametrize('seconds, faster', [(FASTER_FLOAT32, torch.float32),
                                             (FASTER_BFLOAT16, torch.bfloat16)])
def test_the_first_iterations_take_turns_and_the_faster_precision_computes_the_others(
        monkeypatch, processor, said, seconds, faster):
    processor('with VNNI and bfloat16')
    net = Net(monkeypatch, seconds)
    assert net.train(wrapper(net), 2 * ROUNDS + 3) == [*IN_TURN, faster, faster, faster]
    first, chosen = said
    assert f'first {2 * ROUNDS} iterations take turns' in first
    assert '460 ms' in chosen and '700 ms' in chosen
    assert chosen.endswith(f'continuing in {str(faster).removeprefix("torch.")}')


def test_both_passes_of_sam_are_one_iteration(monkeypatch, processor, said):
    processor('with VNNI and bfloat16')
    net = Net(monkeypatch, FASTER_FLOAT32)
    dtypes = net.train(wrapper(net, AmpSAMOptimWrapper), 2 * ROUNDS + 1)
    assert dtypes[::2] == dtypes[1::2] == [*IN_TURN, torch.float32]
    assert '920 ms in float32' in said[-1] and '1.4e+03 ms in bfloat16' in said[-1]


def test_bfloat16_that_is_asked_for_is_taken_without_measuring(monkeypatch, processor, said):
    processor('with VNNI and bfloat16')
    net = Net(monkeypatch, FASTER_FLOAT32)
    assert set(net.train(wrapper(net, dtype='bfloat16'), 2 * ROUNDS + 1)) == {torch.bfloat16}
    assert not said


def test_the_clock_does_not_decide_in_a_deterministic_run(monkeypatch, processor, said):
    processor('with VNNI and bfloat16')
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: True)
    net = Net(monkeypatch, FASTER_BFLOAT16)
    assert set(net.train(wrapper(net), 2 * ROUNDS + 1)) == {torch.float32}
    assert "dtype='bfloat16'" in said[0]


@pytest.mark.parametrize('done', [1, 5, 2 * ROUNDS, 2 * ROUNDS + 1])
def test_a_resumed_run_computes_every_iteration_as_an_uninterrupted_one(
        monkeypatch, processor, said, done):
    processor('with VNNI and bfloat16')
    net = Net(monkeypatch, FASTER_FLOAT32)
    first = wrapper(net)
    net.train(first, done)
    net.seconds = FASTER_FLOAT32 if done < 2 * ROUNDS else FASTER_BFLOAT16  # decided already
    resumed = wrapper(net)
    resumed.load_state_dict(first.state_dict())
    expected = [*IN_TURN, *[torch.float32] * 9][done:2 * ROUNDS + 4]
    assert net.train(resumed, len(expected)) == expected


@pytest.mark.parametrize('done, before', [(1, 'float32 and bfloat16'),
                                          (2 * ROUNDS, 'bfloat16')])
def test_a_run_that_continues_on_a_processor_without_bfloat16_says_that_it_changes(
        monkeypatch, processor, said, done, before):
    processor('with VNNI and bfloat16')
    net = Net(monkeypatch, FASTER_BFLOAT16)
    first = wrapper(net)
    net.train(first, done)
    processor('with AVX2 alone')
    resumed = wrapper(net)
    resumed.load_state_dict(first.state_dict())
    assert said[-1].startswith(f'mixed precision: the run computed in {before} so far and '
                               'continues in float32')
    assert set(net.train(resumed, 3)) == {torch.float32}


def test_a_run_that_stays_on_a_processor_without_bfloat16_has_nothing_to_say(
        monkeypatch, processor, said):
    processor('with AVX2 alone')
    net = Net(monkeypatch, FASTER_BFLOAT16)
    resumed = wrapper(net)
    resumed.load_state_dict(wrapper(net).state_dict())
    assert set(said) == {'this processor has no bfloat16 instructions: computing in float32'}


def test_a_checkpoint_of_an_earlier_version_continues_in_its_bfloat16(
        monkeypatch, processor, said):
    processor('with VNNI and bfloat16')
    net = Net(monkeypatch, FASTER_FLOAT32)
    state = wrapper(net).state_dict()
    del state['cpu_precision']
    resumed = wrapper(net)
    resumed.load_state_dict(state)
    assert set(net.train(resumed, 3)) == {torch.bfloat16}
    processor('with AVX2 alone')
    wrapper(net).load_state_dict(state)
    assert 'computed in bfloat16 so far and continues in float32' in said[-1]


@pytest.mark.parametrize('state', ['of a GPU', 'without mixed precision'])
def test_other_checkpoints_leave_the_choice_open(monkeypatch, processor, said, state):
    processor('with VNNI and bfloat16')
    net = Net(monkeypatch, FASTER_FLOAT32)
    saved = wrapper(net).state_dict()
    del saved['cpu_precision'], saved['loss_scaler']
    if state == 'of a GPU':
        saved['loss_scaler'] = torch.amp.GradScaler('cpu').state_dict()
    resumed = wrapper(net)
    resumed.load_state_dict(saved)
    assert net.train(resumed, 2 * ROUNDS + 1) == [*IN_TURN, torch.float32]
