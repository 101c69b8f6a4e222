"""The kernels against the references in float64; on a CPU, Triton interprets its ones."""
import pytest
import torch

from benchmarks.accuracy import largest_allowed, largest_error
from mmconvmixer.ops import fused, reference

pytestmark = pytest.mark.usefixtures('written_in')

only_triton = pytest.mark.parametrize('written_in', ['triton'], indirect=True)

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
ACTS = sorted(reference.ACTS)
# (B, C, H, W): several programs in each direction, none of them full; then the smallest.
SHAPES = [(2, 70, 5, 9), (1, 3, 6, 18), (3, 5, 1, 1), (1, 1, 4, 2)]


def random(*shape, dtype=torch.float32):
    return torch.randn(shape, device=DEVICE).to(dtype).requires_grad_()


def doubled(tensors):
    return [tensor.detach().double().requires_grad_() for tensor in tensors]


def close(got, eager, exact):
    assert got.shape == exact.shape and got.dtype == eager.dtype
    # Sums in float32 differ by a few roundings with their order: 8 are 1e-6.
    roundings = 8 if eager.dtype is torch.float32 else 1
    error, allowed = largest_error(got, exact), largest_allowed(eager, exact, roundings)
    assert error <= allowed, f'{error:.3g}, at most {allowed:.3g} is allowed'


def agree(call, tensors, dtype=torch.float32, gradients=True):
    """Compare results, and the gradients of the first one for all tensors.

    Args:
        call: takes `fused` or `reference`, and tensors.
        dtype: in which eager PyTorch computes.
    """
    def results(module, tensors, autocast=False):
        with torch.autocast(DEVICE, dtype, enabled=autocast), torch.set_grad_enabled(gradients):
            outs = call(module, *tensors)
        outs = outs if isinstance(outs, tuple) else (outs,)
        generator = torch.Generator(DEVICE).manual_seed(1)
        grad = torch.randn(outs[0].shape, generator=generator, device=DEVICE).to(dtype)
        found = (torch.autograd.grad(outs[0], tensors, grad.to(outs[0].dtype))
                 if gradients else ())
        return [*outs, *found]

    exact = results(reference, doubled(tensors))
    eager = results(reference, tensors, autocast=dtype is not torch.float32)
    for compared in zip(results(fused, tensors), eager, exact, strict=True):
        close(*compared)


def call_block(act, origin=None):
    def call(module, x, *weights):
        return module.block(x, reference.BlockWeights(*weights),
                            reference.BlockOptions(1e-5, 1e-3, act), origin)
    return call


def block_weights(channels, kernel_size):
    return [random(channels, 1, kernel_size, kernel_size), random(channels), random(channels),
            random(channels), random(channels, channels, 1, 1), random(channels),
            random(channels), random(channels)]


def depthwise_conv(module, *tensors):
    return module.depthwise_conv(*tensors)


@pytest.mark.parametrize('kernel_size', [2, 3, 4, 5, 7, 8, 9, 15])
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_depthwise_convolution_and_its_gradients(shape, kernel_size):
    tensors = [random(*shape), random(shape[1], 1, kernel_size, kernel_size), random(shape[1])]
    agree(depthwise_conv, tensors)


def test_depthwise_convolution_without_bias():
    agree(depthwise_conv, [random(2, 6, 5, 5), random(6, 1, 3, 3)])


@only_triton
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_depthwise_convolution_in_half_precision_sums_in_float32(dtype):
    tensors = [random(1, 8, 9, 17, dtype=dtype), random(8, 1, 7, 7), random(8)]
    agree(depthwise_conv, tensors, dtype)


@pytest.mark.parametrize('act', ACTS)
@pytest.mark.parametrize('shape', [(2, 70, 5, 9), (2, 3, 1, 4)], ids=str)
@pytest.mark.parametrize('residual', [False, True])
def test_act_norm_and_its_gradients(act, shape, residual):
    def call(module, x, weight, bias, *added):
        return module.act_norm(x, weight, bias, 1e-5, act, *added)
    tensors = [random(*shape), random(shape[1]), random(shape[1])]
    agree(call, [*tensors, random(*shape)] if residual else tensors)


def test_statistics_survive_a_mean_far_from_zero():
    """A sum of squares in float32 would lose all digits of this variance."""
    x = (torch.randn(4, 3, 8, 8, device=DEVICE) + 3000).requires_grad_()
    weight, bias = random(3), random(3)
    _, mean, variance, _ = fused.act_norm(x, weight, bias, 1e-5, 'relu')
    # Eager's error is no measure here: on a CPU it computes variances in float64.
    exact = x.detach().double()
    torch.testing.assert_close(mean, exact.mean((0, 2, 3)).float())
    torch.testing.assert_close(variance.double(), exact.var((0, 2, 3), correction=0),
                               rtol=1e-4, atol=0)


@pytest.mark.parametrize('act', ACTS)
@pytest.mark.parametrize('shape, kernel_size', [((2, 70, 5, 9), 3), ((3, 20, 6, 5), 4)], ids=str)
def test_a_block_in_training_and_its_gradients(act, shape, kernel_size):
    agree(call_block(act), [random(*shape), *block_weights(shape[1], kernel_size)])


@pytest.mark.parametrize('act', ACTS)
def test_a_block_computes_its_input_again_from_the_origin(act):
    """With an origin, the backward pass does without x, and gradients are equal to the last bit."""
    z, weight, bias = random(2, 6, 5, 9).detach(), random(6), random(6)
    x, mean, variance, _ = fused.act_norm(z, weight, bias, 1e-5, act)
    x = x.detach().requires_grad_()
    tensors = [x, *block_weights(6, 3)]
    seed = torch.randn_like(x)

    def results(origin):
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(
                lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
            out = call_block(act, origin)(fused, *tensors).out
        assert any(tensor is x for tensor in kept) == (origin is None)
        return out, *torch.autograd.grad(out, tensors, seed)

    again = results(reference.Origin(z, mean, variance, weight, bias, 1e-5, act))
    assert all(map(torch.equal, again, results(None)))


@only_triton
@torch.no_grad()
def test_the_pointwise_product_in_float16():
    """The only half precision that Triton's interpreter can multiply."""
    tensors = [random(2, 40, 5, 9, dtype=torch.float16), random(70, 40, 1, 1),
               *(random(70) for _ in range(3))]
    agree(lambda module, *tensors: module.pointwise_act_affine(*tensors, 'gelu'), tensors,
          torch.float16, gradients=False)


@pytest.mark.parametrize('act', ACTS)
@pytest.mark.parametrize('name', ['depthwise_act_affine', 'pointwise_act_affine'])
@pytest.mark.parametrize('shape', SHAPES, ids=str)
@torch.no_grad()
def test_the_halves_of_a_block_in_inference(act, name, shape):
    channels = shape[1]
    weight = (random(channels, 1, 7, 7) if name.startswith('depthwise')
              else random(channels + 4, channels, 1, 1))
    tensors = [random(*shape), weight, *(random(len(weight)) for _ in range(3))]
    agree(lambda module, *tensors: getattr(module, name)(*tensors, act), tensors, gradients=False)


@pytest.mark.parametrize('act', ACTS)
@pytest.mark.parametrize('residual', [False, True])
@torch.no_grad()
def test_act_affine(act, residual):
    def call(module, x, scale, shift, *added):
        return module.act_affine(x, scale, shift, act, *added)
    tensors = [random(2, 70, 5, 9), random(70), random(70)]
    agree(call, [*tensors, random(2, 70, 5, 9)] if residual else tensors, gradients=False)


@pytest.mark.parametrize('batch, height', [(0, 4), (2, 0)])
def test_an_empty_input_gives_an_empty_output(batch, height):
    x, weight, bias = random(batch, 6, height, 5), random(6, 1, 3, 3), random(6)
    out = fused.depthwise_conv(x, weight, bias)
    assert out.shape == x.shape
    grad_input, grad_weight, grad_bias = torch.autograd.grad(out.sum(), (x, weight, bias))
    assert grad_input.shape == x.shape and not grad_weight.any() and not grad_bias.any()
    with torch.no_grad():
        assert fused.act_affine(x, bias, bias, 'gelu').shape == x.shape
        assert fused.pointwise_act_affine(
            x, random(6, 6, 1, 1), bias, bias, bias, 'gelu').shape == x.shape


@pytest.mark.parametrize('layout', ['channels first', 'channels last', 'every second row'])
def test_any_memory_format_goes_in_and_channels_last_comes_out(layout):
    x = torch.randn(2, 6, 8, 5, device=DEVICE).requires_grad_()
    if layout == 'channels last':
        x = x.contiguous(memory_format=torch.channels_last)
    if layout == 'every second row':
        x = x[:, :, ::2]
    tensors = [x, random(6, 1, 3, 3), random(6)]
    agree(depthwise_conv, tensors)
    out = fused.depthwise_conv(*tensors)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('height, width', [(9, 17), (4, 8), (1, 1), (13, 5)])
def test_memory_around_a_tensor_is_not_read(height, width):
    """The memory around it may hold NaN, and 0 * NaN is NaN."""
    around = torch.full((3, height, width, 9), torch.nan, device=DEVICE)
    around[1] = torch.randn_like(around[1])
    x = around.permute(0, 3, 1, 2)[1:2]
    parameters = block_weights(9, 7)
    out = call_block('gelu')(fused, x.requires_grad_(), *parameters).out
    weights = torch.full_like(around, torch.nan)
    weights[1] = 1
    found = torch.autograd.grad(out, (x, *parameters), weights.permute(0, 3, 1, 2)[1:2])
    assert out.isfinite().all() and all(gradient.isfinite().all() for gradient in found)


@pytest.mark.parametrize('act', ACTS)
def test_nan_stays_nan(act):
    x = torch.ones(1, 2, 3, 4, device=DEVICE)
    x[0, 0, 0, 0] = torch.nan
    one = torch.ones(2, device=DEVICE)
    assert fused.act_affine(x, one, one, act).isnan().sum() == 1


def test_vectors_need_not_be_contiguous():
    x, weight = random(2, 6, 4, 4), random(6, 1, 3, 3)
    bias, scale = random(12)[::2], random(1).expand(6)
    agree(lambda module, *tensors: module.depthwise_act_affine(*tensors, 'gelu'),
          [x, weight, bias, scale, bias], gradients=False)


@pytest.mark.parametrize('weight', [(6, 1, 3, 5), (4, 1, 3, 3), (6, 2, 3, 3)])
def test_a_weight_of_another_shape_is_an_error(weight):
    with pytest.raises(ValueError, match=r'6 channels need a weight \(6, 1, K, K\)'):
        fused.depthwise_conv(random(1, 6, 5, 5), random(*weight))


def test_a_vector_of_another_length_is_an_error():
    with pytest.raises(ValueError, match='each of 6 channels'):
        fused.act_affine(random(1, 6, 5, 5), random(2), random(6), 'relu')


def test_normalization_keeps_its_digits_where_the_mean_is_large():
    x = (torch.randn(4, 3, 8, 8, device=DEVICE) + 100).requires_grad_()
    agree(lambda module, *tensors: module.act_norm(*tensors, 1e-5, 'relu')[0],
          [x, random(3), random(3)], gradients=False)


def test_the_weight_gradient_is_equal_to_the_last_bit_every_time():
    x, weight = random(3, 9, 11, 13), random(9, 1, 5, 5)
    first, second = (torch.autograd.grad(fused.depthwise_conv(x, weight).sum(), weight)[0]
                     for _ in range(2))
    assert torch.equal(first, second)


def test_frozen_parameters_get_no_gradient():
    x, weight, bias = random(1, 4, 5, 5), random(4, 1, 3, 3), random(4)
    weight.requires_grad_(False)
    fused.depthwise_conv(x, weight, bias).sum().backward()
    assert weight.grad is None and x.grad is not None and bias.grad is not None


@pytest.mark.parametrize('name, arguments', [
    ('depthwise_conv', lambda: (random(1, 4, 3, 5), random(4, 1, 3, 3), random(4))),
    ('act_norm', lambda: (random(2, 4, 3, 5), None, random(4), random(4), 1e-5, 'gelu', '')),
    ('block', lambda: (random(2, 4, 3, 5), *block_weights(4, 3), *(None,) * 5, 0.,
                       1e-5, 1e-5, 'gelu', '')),
])
def test_torch_library_finds_schema_fake_and_autograd_right(name, arguments):
    operator = getattr(torch.ops.mmconvmixer, name).default
    torch.library.opcheck(operator, arguments(), test_utils=(
        'test_schema', 'test_autograd_registration', 'test_faketensor',
        'test_aot_dispatch_dynamic'))


@pytest.mark.parametrize('name, arguments', [
    ('depthwise_act_affine', lambda: (random(1, 4, 3, 5), random(4, 1, 3, 3), *(
        random(4) for _ in range(3)), 'gelu')),
    ('pointwise_act_affine', lambda: (random(1, 4, 3, 5), random(6, 4, 1, 1), *(
        random(6) for _ in range(3)), 'gelu')),
    ('act_affine', lambda: (random(1, 4, 3, 5), random(4), random(4), 'relu', None)),
])
@torch.no_grad()
def test_torch_library_finds_schema_and_fake_of_inference_right(name, arguments):
    operator = getattr(torch.ops.mmconvmixer, name).default
    torch.library.opcheck(operator, [
        argument.detach() if isinstance(argument, torch.Tensor) else argument
        for argument in arguments()], test_utils=('test_schema', 'test_faketensor'))
