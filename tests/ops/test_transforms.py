"""The backbones under torch.fx, torch.func and forward-mode AD give what they give without."""
import copy
from functools import partial

import pytest
import torch
from mmpretrain.models import ConvMixer as PlainConvMixer
from torch import fx
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from mmconvmixer.deploy import fuse
from mmconvmixer.models import ConvMixer, MlpMixer
from mmconvmixer.ops import is_transformed

SIZES = dict(embed_dims=8, depth=2, patch_size=4, kernel_size=3)
MIXER = dict(img_size=16, patch_size=4, arch=dict(
    embed_dims=8, num_layers=2, tokens_mlp_dims=4, channels_mlp_dims=6))
NETS = {
    'ConvMixer': partial(ConvMixer, SIZES),
    'reference': partial(ConvMixer, SIZES, impl='reference'),
    'several blocks': partial(ConvMixer, SIZES, out_indices=(0, 1)),
    'recomputed': partial(ConvMixer, SIZES, with_cp=True),
    'MlpMixer': partial(MlpMixer, **MIXER),
    'MlpMixer with maps': partial(MlpMixer, out_type='featmap', **MIXER),
    'MlpMixer with a norm': partial(MlpMixer, patch_cfg=dict(norm_cfg=dict(type='LN')), **MIXER),
}


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.randn(2, 3, 16, 16)


@pytest.fixture(params=NETS)
def make(request):
    torch.manual_seed(0)
    return NETS[request.param]


def close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('with_grad', [True, False])
def test_a_symbolic_trace_computes_the_same(make, x, with_grad):
    net = make().eval()
    with torch.set_grad_enabled(with_grad):
        traced = fx.symbolic_trace(net)
        close(traced(x), net(x))
        close(traced(x[:1].flip(3)), net(x[:1].flip(3)))


def test_a_trace_shows_the_convolutions_of_the_paper(x):
    names = [str(node.target) for node in fx.symbolic_trace(ConvMixer(SIZES).eval()).graph.nodes]
    assert sum('conv2d' in name for name in names) == 2  # the pointwise ones; others are modules
    assert not any('contiguous' in name for name in names)


def test_torchvisions_feature_extraction_finds_the_blocks(x):
    extraction = pytest.importorskip('torchvision.models.feature_extraction')
    net = ConvMixer(SIZES, out_indices=(0, 1)).eval()
    extract = extraction.create_feature_extractor(net, {'stages.0.3': 'a', 'stages.1.3': 'b'})
    close(tuple(extract(x).values()), net(x))


@pytest.mark.parametrize('with_grad', [True, False])
def test_an_ensemble_of_networks_computes_what_each_does(make, x, with_grad):
    nets = [make().eval() for _ in range(3)]
    parameters, buffers = stack_module_state(nets)
    base = copy.deepcopy(nets[0]).to('meta')
    with torch.set_grad_enabled(with_grad):
        got = vmap(lambda *weights: functional_call(base, weights, (x,)))(parameters, buffers)
        for level, features in enumerate(got):
            close(features, torch.stack([net(x)[level] for net in nets]))


def test_gradients_of_each_sample_are_those_of_its_own_loss(make, x):
    net = make().eval()
    buffers = dict(net.named_buffers())

    def loss(parameters, sample):
        return functional_call(net, (parameters, buffers), (sample[None],))[-1].square().sum()

    parameters = {name: value.detach() for name, value in net.named_parameters()}
    got = vmap(grad(loss), (None, 0))(parameters, x)
    for number, sample in enumerate(x):
        net.zero_grad()
        net(sample[None])[-1].square().sum().backward()
        close({name: value[number] for name, value in got.items()},
              {name: value.grad for name, value in net.named_parameters()})


@pytest.mark.parametrize('with_grad', [True, False])
def test_tangents_are_those_of_finite_differences(make, x, with_grad):
    net, direction = make().double().eval(), torch.ones(2, 3, 16, 16).double()
    x = x.double()
    slope = (net(x + 1e-6 * direction)[-1] - net(x - 1e-6 * direction)[-1]) / 2e-6
    with torch.set_grad_enabled(with_grad):
        _, tangent = jvp(lambda x: net(x)[-1], (x,), (direction,))
        torch.testing.assert_close(tangent, slope, rtol=1e-4, atol=1e-6)
        with forward_ad.dual_level():
            out = net(forward_ad.make_dual(x, direction))[-1]
            torch.testing.assert_close(forward_ad.unpack_dual(out).tangent, slope,
                                       rtol=1e-4, atol=1e-6)


def test_a_traced_graph_of_operators_computes_the_same(make, x):
    net = make().eval()
    with torch.no_grad():
        close(make_fx(net)(x)(x), net(x))


def test_a_compiled_ensemble_computes_the_same(x):
    net = ConvMixer(SIZES).eval()
    compiled = torch.compile(lambda x: vmap(lambda one: net(one[None])[-1][0])(x), backend='eager')
    close(compiled(x), net(x)[-1])


@pytest.mark.parametrize('with_grad', [True, False])
def test_a_fused_network_too(x, with_grad):
    net = ConvMixer(SIZES).eval()
    folded = fuse(copy.deepcopy(net))
    with torch.set_grad_enabled(with_grad):
        close(fx.symbolic_trace(folded)(x), net(x))
        close(vmap(lambda one: folded(one[None])[-1][0])(x), net(x)[-1])


def test_an_ensemble_is_as_with_mmpretrains_own(x):
    ours, theirs = ConvMixer(SIZES).eval(), PlainConvMixer(SIZES)
    theirs.eval()  # which returns None
    ours.load_state_dict(theirs.state_dict())
    got, expected = (vmap(lambda one, net=net: net(one[None])[-1])(x) for net in (ours, theirs))
    close(got, expected)


def test_usual_tensors_are_not_transformed(x):
    assert not is_transformed(x) and not is_transformed(x.to('meta'))
    assert vmap(lambda one: torch.tensor(is_transformed(one)), out_dims=None)(x)


def test_a_network_without_numbers_runs_without_gradients():
    """Autocast does not know the device meta."""
    net = ConvMixer(SIZES).eval().to('meta')
    with torch.no_grad():
        assert net(torch.empty(2, 3, 16, 16, device='meta'))[-1].shape == (2, 8, 4, 4)
