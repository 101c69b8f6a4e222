"""What only a GPU shows; tests/ops and tests/models run on it too where there is one."""
import copy

import pytest
import torch

from mmconvmixer.models import ARCHS, ConvMixer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')

VARIANTS = ['768/32', '1024/20', '1536/20', '256/8']


@pytest.fixture(autouse=True)
def exact_products():
    torch.manual_seed(0)
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def pair(arch):
    fused, plain = (ConvMixer(arch, impl=impl).cuda() for impl in ('fused', 'reference'))
    plain.load_state_dict(fused.state_dict())
    return fused, plain


def images(arch, batch=4):
    side = 32 if ARCHS[arch].patch_size < 7 else 224
    return torch.randn(batch, 3, side, side, device='cuda')


def error(got, expected):
    return float((got.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize('arch', VARIANTS)
def test_a_whole_variant_agrees_in_float32(arch):
    fused, plain = pair(arch)
    exact = copy.deepcopy(plain).double()
    x = images(arch)
    outs = [fused(x)[0], plain(x)[0], exact(x.double())[0]]
    weights = torch.randn_like(outs[0])
    for out in outs:
        out.backward(weights.to(out.dtype))
    # Plain PyTorch's own distance from float64 is the measure of what depth does to rounding.
    assert error(outs[0], outs[2]) <= max(1e-5, 2 * error(outs[1], outs[2]))
    for one, other, best in zip(*(model.parameters() for model in (fused, plain, exact)),
                                strict=True):
        assert error(one.grad, best.grad) <= max(1e-4, 2 * error(other.grad, best.grad))
    for model in (plain, exact):
        model.load_state_dict(fused.state_dict())  # the same running statistics
    with torch.no_grad():
        outs = [fused.eval()(x)[0], plain.eval()(x)[0], exact.eval()(x.double())[0]]
    assert error(outs[0], outs[2]) <= max(1e-5, 2 * error(outs[1], outs[2]))


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
            ours, theirs = fused(x)[0], plain(x)[0]
    # Rounding each layer's result, whoever does it, is felt at the end.
    assert error(ours, expected) <= max(1e-2, 1.5 * error(theirs, expected))


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
        assert error(compiled(x)[0].clone(), plain(x)[0]) <= 1e-4


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
