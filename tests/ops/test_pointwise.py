import copy

import pytest
import torch
from torch import nn

from benchmarks.accuracy import ROOM, largest_error
from mmconvmixer.ops import PointwiseConv2d

# (batch, in, out, height, width): ones, odd numbers, more than 128.
SHAPES = [(1, 1, 1, 1, 1), (2, 7, 5, 5, 3), (1, 129, 65, 11, 13), (3, 2, 257, 1, 31)]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def with_plain_twin(inputs, outputs, dtype=torch.float32):
    product, convolution = PointwiseConv2d(inputs, outputs), nn.Conv2d(inputs, outputs, 1)
    convolution.load_state_dict(product.state_dict(), strict=True)
    return product.to(dtype), convolution.to(dtype)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_the_product_errs_at_most_twice_as_much_as_the_convolution(shape, layout, dtype,
                                                                    training):
    batch, inputs, outputs, height, width = shape
    product, convolution = with_plain_twin(inputs, outputs, dtype)
    x = torch.randn(batch, inputs, height, width).to(dtype).to(memory_format=layout)
    truth = copy.deepcopy(convolution).double()(x.double())

    with torch.set_grad_enabled(training):
        out = product(x)
    assert out.shape == (batch, outputs, height, width)
    assert out.dtype == dtype
    allowed = ROOM * largest_error(convolution(x), truth) + torch.finfo(dtype).eps
    assert largest_error(out, truth) <= allowed


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_gradients_equal_the_convolutions(shape, layout):
    batch, inputs, outputs, height, width = shape
    gradients = []
    x = torch.randn(batch, inputs, height, width, dtype=torch.float64)
    weight = torch.randn(batch, outputs, height, width, dtype=torch.float64)
    for layer in with_plain_twin(inputs, outputs, torch.float64):
        leaf = x.clone(memory_format=layout).requires_grad_()
        (layer(leaf) * weight).sum().backward()
        gradients.append((leaf.grad, layer.weight.grad, layer.bias.grad))
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_the_result_is_channels_last(layout):
    x = torch.randn(2, 3, 5, 4).to(memory_format=layout)
    out = PointwiseConv2d(3, 6)(x)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_initial_weights_are_those_of_the_convolution():
    torch.manual_seed(3)
    product = PointwiseConv2d(5, 7)
    torch.manual_seed(3)
    convolution = nn.Conv2d(5, 7, 1)
    torch.testing.assert_close(product.state_dict(), convolution.state_dict(), rtol=0, atol=0)


def test_a_traced_graph_shows_a_convolution():
    x = torch.randn(1, 3, 4, 4)
    graph = str(torch.jit.trace(PointwiseConv2d(3, 6), x).inlined_graph)
    assert 'aten::_convolution' in graph
    assert 'aten::linear' not in graph
