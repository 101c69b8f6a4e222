"""The backbone through the kernels and in plain PyTorch: same weights, same results."""
import copy

import pytest
import torch
from torch import nn

from mmconvmixer.errors import FusedKernelsUnavailable
from mmconvmixer.models import ConvMixer, fused_block
from mmconvmixer.models.convmixer import Residual

pytestmark = pytest.mark.usefixtures('written_in')

only_triton = pytest.mark.parametrize('written_in', ['triton'], indirect=True)

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
SIZES = dict(embed_dims=10, depth=3, patch_size=4, kernel_size=3)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def pair(**options):
    """The fused and the plain backbone with the same weights."""
    fused = ConvMixer(SIZES, impl='fused', **options).to(DEVICE)
    plain = ConvMixer(SIZES, impl='reference', **options).to(DEVICE)
    plain.load_state_dict(fused.state_dict())
    return fused, plain


def images(batch=3):
    return torch.randn(batch, 3, 24, 20, device=DEVICE)


def same(got, expected, tolerance=1e-5):
    error = (got.double() - expected.double()).abs().max()
    assert error <= tolerance * expected.abs().max(), float(error)


def step(model, x, amp=False):
    """Gradients of a loss whose gradient differs from value to value."""
    torch.manual_seed(1)
    model.zero_grad()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=amp):
        out, = model(x)
    out.backward(torch.randn_like(out))
    return out.detach()


@pytest.fixture
def kernels_called(monkeypatch):
    """A list of the parts that went through the kernels, one entry for each call."""
    called = []

    def counted(name, function):
        def call(*args):
            called.append(name)
            return function(*args)
        return call
    for name in ('train_block', 'infer_block', 'train_act_norm', 'infer_act_norm'):
        monkeypatch.setattr(fused_block, name, counted(name, getattr(fused_block, name)))
    return called


def test_a_block_keeps_two_of_its_large_tensors_for_the_backward_pass():
    """The results of its convolutions; plain PyTorch keeps six, or four with ReLU."""
    kept = set()

    def keep(tensor):
        if tensor.dim() == 4 and tensor.shape[:2] == (3, 10):
            kept.add(tensor.data_ptr())
        return tensor
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out, = pair()[0](images())
    of_the_stem = 2  # its convolution's result, and the first block's input
    assert out.requires_grad and len(kept) == 2 * SIZES['depth'] + of_the_stem


@pytest.mark.parametrize('options', [
    {}, dict(act_cfg=dict(type='ReLU')), dict(norm_cfg=dict(type='BN', momentum=None)),
    dict(norm_cfg=dict(type='SyncBN', eps=1e-3)), dict(with_cp=True),
], ids=str)
def test_outputs_gradients_and_statistics_agree(options, kernels_called):
    fused, plain = pair(**options)
    x = images()
    same(step(fused, x), step(plain, x) if 'SyncBN' not in str(options) or DEVICE == 'cuda'
         else step(batch_norms(plain), x))
    for one, other in zip(fused.parameters(), plain.parameters(), strict=True):
        same(one.grad, other.grad)
    for one, other in zip(fused.buffers(), plain.buffers(), strict=True):
        same(one, other)
    assert kernels_called.count('train_block') >= SIZES['depth']
    assert kernels_called.count('train_act_norm') == 1


def batch_norms(model):
    """nn.SyncBatchNorm does not train on a CPU; with one process it is BatchNorm."""
    for module in model.modules():
        if isinstance(module, nn.SyncBatchNorm):
            module.__class__ = nn.BatchNorm2d
    return model


def test_outputs_in_eval_mode_agree(kernels_called):
    fused, plain = pair(out_indices=(0, 2))
    for model in (fused, plain):
        for name, buffer in model.named_buffers():
            torch.manual_seed(len(name))
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 2)
        model.eval()
    x = images()
    with torch.inference_mode():
        for one, other in zip(fused(x), plain(x), strict=True):
            same(one, other)
            assert one.is_contiguous(memory_format=torch.channels_last)
    assert kernels_called.count('infer_block') == SIZES['depth']


def test_autocast_computes_in_bfloat16_and_gives_gradients_in_float32():
    fused, plain = pair()
    x = images()
    out = step(fused, x, amp=True)
    assert out.dtype == torch.bfloat16
    same(out, step(plain, x), 5e-2)
    assert all(parameter.grad.dtype == torch.float32 for parameter in fused.parameters())


def test_stochastic_depth_drops_the_same_samples():
    fused, plain = pair(drop_path_rate=0.5)
    x = images(8)
    same(step(fused, x), step(plain, x))
    for one, other in zip(fused.parameters(), plain.parameters(), strict=True):
        same(one.grad, other.grad)


def test_gradients_through_running_statistics_are_plain_pytorchs(kernels_called):
    fused, plain = pair(frozen_stages=2)
    x = images()
    same(step(fused, x), step(plain, x))
    assert kernels_called == ['train_block']  # the third
    same(fused.stages[2][1].weight.grad, plain.stages[2][1].weight.grad)
    assert fused.stages[0][1].weight.grad is None


def test_modules_with_hooks_are_called(kernels_called):
    fused, _ = pair()
    seen = []
    fused.stages[1][1].register_forward_hook(lambda *args: seen.append(args))
    fused(images())
    assert len(seen) == 1 and kernels_called.count('train_block') == 2


def test_backward_hooks_are_called(kernels_called):
    fused, _ = pair()
    seen = []
    fused.stages[1][1].register_full_backward_hook(lambda *args: seen.append(args))
    step(fused, images())
    assert len(seen) == 1 and kernels_called.count('train_block') == 2


def wrapped(module):
    forward = type(module).forward
    module.forward = lambda x: 2 * forward(module, x)


class Doubled(Residual):
    def forward(self, x):
        return 2 * super().forward(x)


# What is changed in the second block, and how many blocks still go through the kernels.
CHANGES = {
    'dilated': (lambda block: setattr(block[0].fn[0], 'dilation', (2, 2)), 2),
    'no bias': (lambda block: block[0].fn[0].register_parameter('bias', None), 2),
    'wrapped convolution': (lambda block: wrapped(block[0].fn[0]), 2),
    'wrapped branch': (lambda block: wrapped(block[0].fn), 2),
    'wrapped residual': (lambda block: wrapped(block[0]), 2),
    'wrapped block': (lambda block: wrapped(block), 3),  # the wrapper calls its forward
    'another activation in space': (lambda block: block[0].fn.__setitem__(1, nn.ReLU()), 2),
    'another activation in channels': (lambda block: block.__setitem__(2, nn.ReLU()), 2),
    'another activation in both': (lambda block: (block[0].fn.__setitem__(1, nn.ReLU()),
                                                  block.__setitem__(2, nn.ReLU())), 3),
    'subclass of the residual': (lambda block: block.__setitem__(0, Doubled(block[0].fn)), 2),
    'no residual': (lambda block: block.__setitem__(0, nn.Identity()), 2),
    'another module for drop path': (lambda block: setattr(block[0], 'drop_path', nn.Tanh()), 2),
    'wrapped drop path': (lambda block: wrapped(block[0].drop_path), 2),
    'longer branch': (lambda block: block[0].fn.append(nn.Tanh()), 2),
    'shorter branch': (lambda block: block[0].fn.__delitem__(2), 2),
    'no bias in channels': (lambda block: block[1].register_parameter('bias', None), 2),
}


@pytest.mark.parametrize('change', CHANGES)
def test_a_changed_block_is_computed_as_it_is(change, kernels_called):
    fused, plain = pair()
    make, by_kernels = CHANGES[change]
    for model in (fused, plain):
        make(model.stages[1])
    x = images()
    same(step(fused, x), step(plain, x))
    for one, other in zip(fused.parameters(), plain.parameters(), strict=True):
        if other.grad is not None:
            same(one.grad, other.grad, 1e-4)
    assert kernels_called.count('train_block') == by_kernels


@torch.no_grad()
@pytest.mark.parametrize('change', CHANGES)
def test_inference_in_place_computes_a_changed_block_as_it_is(change):
    _, plain = pair()
    CHANGES[change][0](plain.stages[1])
    plain.eval()
    x = images()
    with torch.enable_grad():
        expected, = plain(x)
    same(plain(x)[0], expected.detach())


@torch.no_grad()
@pytest.mark.parametrize('change', CHANGES)
def test_inference_through_the_kernels_computes_a_changed_block_as_it_is(change, kernels_called):
    fused, plain = pair()
    make, by_kernels = CHANGES[change]
    for model in (fused, plain):
        make(model.stages[1])
        model.eval()
    x = images()
    with torch.enable_grad():
        expected, = plain(x)
    same(fused(x)[0], expected.detach())
    assert kernels_called.count('infer_block') == by_kernels


@torch.no_grad()
@pytest.mark.parametrize('impl', ['fused', 'reference'])
def test_stochastic_depth_over_running_statistics_drops_samples(impl):
    """As in networks whose BatchNorms are kept in eval mode while the rest is in training."""
    chosen, plain = pair(drop_path_rate=0.5)
    chosen = chosen if impl == 'fused' else plain
    for model in (chosen, plain):
        model.eval()
        for block in model.stages:
            block[0].drop_path.train()
    x = images(8)
    torch.manual_seed(1)
    got, = chosen(x)
    torch.manual_seed(1)
    with torch.enable_grad():
        expected, = plain(x)
    same(got, expected.detach())


def test_mmengines_checkpointing_of_blocks_is_not_bypassed(monkeypatch):
    from mmengine.runner import activation_checkpointing
    fused, plain = pair()
    activation_checkpointing.turn_on_activation_checkpointing(fused, ['stages.0', 'stages.2'])
    calls, real = [], activation_checkpointing.checkpoint
    monkeypatch.setattr(activation_checkpointing, 'checkpoint',
                        lambda *args, **kwargs: calls.append(0) or real(*args, **kwargs))
    x = images()
    same(step(fused, x), step(plain, x))
    assert len(calls) == 2


def test_an_output_may_be_changed_in_place():
    fused, plain = pair()
    x = images()
    for model in (fused, plain):
        out = nn.functional.relu_(model(x)[0])
        out.sum().backward()
    for one, other in zip(fused.parameters(), plain.parameters(), strict=True):
        same(one.grad, other.grad, 1e-4)


@pytest.mark.parametrize('options', [{}, dict(drop_path_rate=0.3)], ids=str)
def test_compiled_without_a_break_it_agrees(options):
    fused, plain = pair(**options)
    compiled = torch.compile(fused, backend='aot_eager', fullgraph=True)
    if options:  # compiled, drop path draws other random numbers than in eager mode
        compiled.eval()
        plain.eval()
    x = images()
    with torch.set_grad_enabled(not options):
        same(compiled(x)[0], plain(x)[0])


def test_it_can_be_exported():
    fused, plain = pair()
    x = images()
    with torch.no_grad():
        exported = torch.export.export(fused.eval(), (x,))
        same(exported.module()(x)[0], plain.eval()(x)[0])
    names = {str(node.target) for node in exported.graph.nodes}
    assert {'mmconvmixer.depthwise_act_affine.default',
            'mmconvmixer.pointwise_act_affine.default'} <= names


def test_copies_and_files_do_not_contain_the_kernels():
    fused, plain = pair()
    assert fused.state_dict().keys() == plain.state_dict().keys()
    copied = copy.deepcopy(fused)
    x = images()
    same(copied(x)[0], fused(x)[0], 0)


@pytest.mark.parametrize('written_in', ['cpp'], indirect=True)
def test_auto_trains_through_the_kernels_on_a_cpu(kernels_called):
    model, x = ConvMixer(SIZES | dict(embed_dims=32)), torch.randn(2, 3, 64, 64)
    model(x)
    assert kernels_called == ['train_act_norm'] + ['train_block'] * SIZES['depth']


@pytest.mark.parametrize('written_in', ['cpp'], indirect=True)
def test_auto_is_plain_pytorch_on_a_cpu_where_that_is_faster(kernels_called):
    """In inference, in other dtypes, and for small feature maps, whatever the batch size."""
    model, x = ConvMixer(SIZES | dict(embed_dims=32)), torch.randn(2, 3, 64, 64)
    model(x[:, :, :60])
    with torch.autocast('cpu', torch.bfloat16):
        model(x)
    model.double()(x.double())
    model.float().eval()(x)
    with torch.no_grad():
        model(x)
    assert kernels_called == []


def test_a_trace_holds_no_kernels(kernels_called):
    fused, plain = pair()
    x = images()
    with torch.no_grad():
        traced = torch.jit.trace(fused.eval(), (x,), check_trace=False)
        same(traced(x)[0], plain.eval()(x)[0])
    assert kernels_called == []


def test_unsupported_modules_are_an_error_that_says_what_is_supported():
    with pytest.raises(ValueError, match="'fast'.*auto, reference, fused"):
        ConvMixer(SIZES, impl='fast')
    for options in (dict(act_cfg=dict(type='SiLU')), dict(norm_cfg=dict(type='GN', num_groups=2))):
        with pytest.raises(ValueError, match='ReLU or GELU with an affine BatchNorm'):
            ConvMixer(SIZES, impl='fused', **options)
        ConvMixer(SIZES, **options)


def test_fused_where_the_kernels_do_not_run_is_an_error(monkeypatch):
    monkeypatch.setattr(fused_block, 'missing', lambda device: 'a CUDA device')
    with pytest.raises(FusedKernelsUnavailable, match="a CUDA device.*impl='auto'"):
        ConvMixer(SIZES, impl='fused')(torch.randn(2, 3, 8, 8))


def losses(impl, seed, steps):
    """Train a model to tell which quarter of a noisy image is bright."""
    torch.manual_seed(seed)
    backbone = ConvMixer(dict(embed_dims=8, depth=2, patch_size=2, kernel_size=3), impl=impl)
    model = nn.Sequential(backbone, nn.Linear(8 * 4, 4)).to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    history = []
    for _ in range(steps):
        target = torch.randint(4, (16,), device=DEVICE)
        x = torch.randn(16, 3, 4, 4, device=DEVICE)
        for number, quarter in enumerate(target.tolist()):
            top, left = 2 * (quarter // 2), 2 * (quarter % 2)
            x[number, :, top:top + 2, left:left + 2] += 1
        loss = nn.functional.cross_entropy(model[1](backbone(x)[0].flatten(1)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss))
    return torch.tensor(history)


def test_training_with_either_gives_the_same_losses():
    fused, plain = (losses(impl, seed=0, steps=10) for impl in ('fused', 'reference'))
    assert plain[-5:].mean() < 0.8 * plain[:2].mean()
    torch.testing.assert_close(fused[:6], plain[:6], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(3))
def test_200_steps_with_either_end_at_the_same_loss(seed):
    fused, plain = (losses(impl, seed, steps=200) for impl in ('fused', 'reference'))
    torch.testing.assert_close(fused[-50:].mean(), plain[-50:].mean(), rtol=0.1, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize('arch', ['768/32', '1024/20', '1536/20'])
def test_a_published_variant_agrees_end_to_end(arch):
    """On images of 3 x 3 patches; tests/gpu uses whole images."""
    fused, plain = (ConvMixer(arch, impl=impl).to(DEVICE) for impl in ('fused', 'reference'))
    plain.load_state_dict(fused.state_dict())
    exact = copy.deepcopy(plain).double()
    side = 3 * fused.patch_size
    x = torch.randn(2, 3, side, side, device=DEVICE)
    # BatchNorm over 18 values per channel, dozens of times, amplifies every rounding
    # error; plain PyTorch's own error, against float64, shows by how much.
    outs = [step(model, x.to(model.stages[0][1].weight.dtype)) for model in (fused, plain, exact)]
    closer(*outs)
    for found in zip(*(model.parameters() for model in (fused, plain, exact)), strict=True):
        closer(*(parameter.grad for parameter in found), least=1e-4)
    for model in (plain, exact):
        model.load_state_dict(fused.state_dict())  # the same running statistics
    with torch.no_grad():
        closer(fused.eval()(x)[0], plain.eval()(x)[0], exact.eval()(x.double())[0])


def closer(fused, plain, exact, least=1e-5):
    """The first's error is at most three times the second's, or `least`."""
    error, allowed = ((found.double() - exact).norm() / exact.norm().clamp(min=1e-6)
                   for found in (fused, plain))
    assert error <= max(least, 3 * allowed), (float(error), float(allowed))


SYNCED = '''
import sys, torch
from torch import distributed as dist
from mmconvmixer.models import ConvMixer
folder, rank = sys.argv[1], int(sys.argv[2])
dist.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2)
model = ConvMixer(dict(embed_dims=6, depth=2, patch_size=2, kernel_size=3), impl='fused',
                  norm_cfg=dict(type='SyncBN'))
model.load_state_dict(torch.load(f'{folder}/weights.pt'))
x = torch.load(f'{folder}/images.pt')[:1] if rank == 0 else torch.load(f'{folder}/images.pt')[1:]
out, = model(x)
out.pow(3).sum().backward()
for parameter in model.parameters():
    dist.all_reduce(parameter.grad)
torch.save((out.detach(), [p.grad for p in model.parameters()], list(model.buffers())),
           f'{folder}/{rank}.pt')
dist.destroy_process_group()
'''


@pytest.mark.skipif(DEVICE == 'cuda', reason='for two processes on a CPU')
def test_processes_share_statistics_and_gradients(shell, tmp_path):
    """Batches of 1 and 2 in two processes are a batch of 3 in one."""
    sizes = dict(embed_dims=6, depth=2, patch_size=2, kernel_size=3)
    whole, x = ConvMixer(sizes, impl='reference'), torch.randn(3, 3, 8, 10)
    torch.save(whole.state_dict(), tmp_path / 'weights.pt')
    torch.save(x, tmp_path / 'images.pt')
    script = tmp_path / 'synced.py'
    script.write_text(SYNCED)
    both = shell(['sh', '-c', f'python {script} {tmp_path} 1 & python {script} {tmp_path} 0 && '
                  'wait $!'])
    assert both.returncode == 0, both.stderr
    out, = whole(x)
    out.pow(3).sum().backward()
    parts = [torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1)]
    same(torch.cat([part[0] for part in parts]), out.detach())
    for rank in (0, 1):
        for one, parameter in zip(parts[rank][1], whole.parameters(), strict=True):
            same(one, parameter.grad, 1e-4)
        for one, other in zip(parts[rank][2], whole.buffers(), strict=True):
            same(one, other)
