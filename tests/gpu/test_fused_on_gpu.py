"""What only a GPU can show. With a GPU, tests/ops and tests/models run on it too."""
import copy

import pytest
import torch

from benchmarks.accuracy import (
    largest_allowed,
    largest_error,
    unwritten_memory_is_nan,
    without_tf32,
)
from mmconvmixer.models import ARCHS, ConvMixer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')

VARIANTS = ['768/32', '1024/20', '1536/20', '256/8']


@pytest.fixture(autouse=True)
def seeded_and_strict():
    torch.manual_seed(0)
    with unwritten_memory_is_nan(), without_tf32():
        yield


def pair(arch):
    fused, plain = (ConvMixer(arch, impl=impl).cuda() for impl in ('fused', 'reference'))
    plain.load_state_dict(fused.state_dict())
    return fused, plain


def images(arch, batch=4):
    side = 32 if ARCHS[arch].patch_size < 7 else 224
    return torch.randn(batch, 3, side, side, device='cuda')


# Float32's eps is 1.2e-7, so these are 1e-5 and 1e-4 of the largest value.
IN_OUTPUTS, IN_GRADIENTS = 80, 800


def close(got, eager, exact, roundings):
    assert largest_error(got, exact) <= largest_allowed(eager, exact, roundings)


@pytest.mark.parametrize('arch', VARIANTS)
def test_a_whole_variant_agrees_in_float32(arch):
    fused, plain = pair(arch)
    exact = copy.deepcopy(plain).double()
    x = images(arch)
    outs = [fused(x)[0], plain(x)[0], exact(x.double())[0]]
    weights = torch.randn_like(outs[0])
    for out in outs:
        out.backward(weights.to(out.dtype))
    # Depth amplifies rounding; eager's own error shows by how much.
    close(*outs, IN_OUTPUTS)
    for compared in zip(*(model.parameters() for model in (fused, plain, exact)), strict=True):
        close(*(parameter.grad for parameter in compared), IN_GRADIENTS)
    for model in (plain, exact):
        model.load_state_dict(fused.state_dict())  # the same running statistics
    with torch.no_grad():
        outs = [fused.eval()(x)[0], plain.eval()(x)[0], exact.eval()(x.double())[0]]
    close(*outs, IN_OUTPUTS)


@pytest.mark.parametrize('arch', VARIANTS)
def test_a_whole_variant_agrees_in_bfloat16(arch):
    fused, plain = pair(arch)
    x = images(arch)
    for model in (fused, plain):
        model(x)  # running statistics
        model.eval()
    with torch.no_grad():
        expected = plain(x)[0]
        with torch.autocast('cuda', torch.bfloat16):
            got, eager = fused(x)[0], plain(x)[0]
    # Both round the result of every layer, which adds up.
    assert largest_error(got, expected) <= largest_allowed(eager.bfloat16(), expected, room=1.5)


def test_auto_is_fused_on_a_gpu():
    model = ConvMixer('256/8').cuda()
    with torch.no_grad(), torch.profiler.profile() as profile:
        model.eval()(images('256/8'))
    assert any('mmconvmixer::' in event.key for event in profile.key_averages())


@pytest.mark.parametrize('mode', ['default', 'reduce-overhead'])
def test_torch_compile_and_cuda_graphs_go_through_it(mode):
    fused, plain = pair('256/8')
    compiled = torch.compile(fused, fullgraph=True, mode=mode)
    x = images('256/8')
    for _ in range(3):
        expected = plain(x)[0]
        assert largest_error(compiled(x)[0].clone(), expected) <= 1e-4 * expected.abs().max()


def test_a_float16_training_step_with_a_gradient_scaler():
    fused, _ = pair('256/8')
    scaler = torch.amp.GradScaler('cuda')
    optimizer = torch.optim.AdamW(fused.parameters(), lr=1e-3)
    before = fused.stages[0][1].weight.clone()
    with torch.autocast('cuda', torch.float16):
        loss = fused(images('256/8'))[0].float().square().mean()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert fused.stages[0][1].weight.isfinite().all()
    assert not torch.equal(before, fused.stages[0][1].weight)


def test_training_keeps_less_than_plain_pytorch():
    taken = []
    for model in pair('256/8'):
        x = images('256/8', 256)
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        with torch.autocast('cuda', torch.bfloat16):
            out = model(x)[0]
        taken.append(torch.cuda.memory_allocated() - before)
        del out
    assert taken[0] <= 0.6 * taken[1]


def test_more_than_2_to_the_31_values():
    from benchmarks.checks import beyond_int32
    free, _ = torch.cuda.mem_get_info()
    if free < 20 << 30:
        pytest.skip('needs 20 GiB of free memory on the GPU')
    assert beyond_int32()['ok']
