import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.models import ConvMixer
from mmconvmixer.ops import gradient_channels_last

SHAPE = (2, 5, 3, 7)


def is_channels_last(x):
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def features(**options):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(SHAPE, generator=generator, **options)
    return x.contiguous(memory_format=torch.channels_last)


def pooled_gradients(mark):
    """Gradients after and before the tensor that `mark` marks, with average pooling."""
    x = features().requires_grad_()
    seen = []
    between = mark(x * 2)
    between.register_hook(seen.append)
    weight = torch.arange(10.).reshape(2, 5)
    loss = (F.adaptive_avg_pool2d(between, 1).flatten(1) * weight).square().sum()
    loss.backward()
    return seen[0], x.grad


def test_gradients_keep_their_values_and_come_channels_last():
    usual, usual_leaf = pooled_gradients(lambda x: x)
    marked, marked_leaf = pooled_gradients(gradient_channels_last)
    assert_close(marked, usual, rtol=0, atol=0)
    assert_close(marked_leaf, usual_leaf, rtol=0, atol=0)
    assert not is_channels_last(usual)  # otherwise there would be nothing to correct
    assert is_channels_last(marked)


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_gradients_keep_their_dtype(dtype):
    x = features(dtype=dtype).requires_grad_()
    gradient, = torch.autograd.grad(gradient_channels_last(x).mean((2, 3)).sum(), x)
    assert gradient.dtype == dtype and is_channels_last(gradient)
    assert_close(gradient, torch.full(SHAPE, 1 / 21, dtype=dtype))


def test_a_gradient_that_is_channels_last_is_not_copied():
    x = features().requires_grad_()
    given = features()
    gradient, = torch.autograd.grad(gradient_channels_last(x), x, given)
    assert gradient.data_ptr() == given.data_ptr()


def test_the_same_tensor_is_returned():
    x = features().requires_grad_()
    assert gradient_channels_last(x) is x


def test_a_tensor_without_gradient_gets_no_hook():
    fixed = features()
    assert gradient_channels_last(fixed) is fixed and not fixed._backward_hooks
    parameter = features().requires_grad_()
    with torch.no_grad():
        free = gradient_channels_last(parameter * 2)
    assert not free.requires_grad and not free._backward_hooks
    hooked = gradient_channels_last(parameter * 2)
    assert len(hooked._backward_hooks) == 1


def test_second_derivatives_pass_through():
    x = features(dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(
        lambda x: (gradient_channels_last(x * 1) ** 3).mean((2, 3)), x,
        check_undefined_grad=False)


class Unused(torch.autograd.Function):
    """A function whose output does not depend on its input."""

    @staticmethod
    def forward(ctx, x):
        return torch.zeros(x.shape[:2])

    @staticmethod
    def backward(ctx, gradient):
        return None


def test_a_missing_gradient_stays_none():
    x = features().requires_grad_()
    Unused.apply(gradient_channels_last(x * 2)).sum().backward()
    assert x.grad is None


def test_the_backbones_gradients_are_the_same_without_it(monkeypatch):
    torch.manual_seed(0)
    model = ConvMixer(arch='8/2-p1-k3', out_indices=(0, 1)).double()
    images = torch.rand(4, 3, 8, 8).double()
    formats, gradients = [], []
    for mark in (gradient_channels_last, lambda x: x):
        monkeypatch.setattr('mmconvmixer.models.convmixer.gradient_channels_last', mark)
        model.zero_grad()
        outs = model(images)
        ahead = []
        outs[-1].register_hook(ahead.append)
        sum(F.adaptive_avg_pool2d(out, 1).square().sum() for out in outs).backward()
        formats.append(is_channels_last(ahead[0]))
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert formats == [True, False]
    for marked, usual in zip(*gradients, strict=True):
        # The same numbers, summed in another order: up to 1e3 times the eps of float64.
        assert_close(marked, usual, rtol=2e-13, atol=2e-13)
