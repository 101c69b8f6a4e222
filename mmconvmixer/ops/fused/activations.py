"""Activations and their derivatives inside kernels, in float32."""
import triton
import triton.language as tl

# The values of `ACT` in every kernel.
IDENTITY, RELU, GELU, GELU_TANH = range(4)


@triton.jit
def activate(x, ACT: tl.constexpr):
    if ACT == 1:
        x = tl.where(x < 0., 0., x)  # NaN stays, which a maximum would drop
    if ACT == 2:
        x = 0.5 * x * (1. + tl.erf(x * 0.7071067811865476))
    if ACT == 3:
        x = x * tl.sigmoid(_twice_inner(x))
    return x


@triton.jit
def derivative(x, ACT: tl.constexpr):
    """Return the slope of `activate` at x."""
    slope = tl.full(x.shape, 1., tl.float32)
    if ACT == 1:
        slope = tl.where(x <= 0., 0., 1.)
    if ACT == 2:
        density = 0.3989422804014327 * tl.exp(-0.5 * x * x)
        slope = 0.5 * (1. + tl.erf(x * 0.7071067811865476)) + x * density
    if ACT == 3:
        gate = tl.sigmoid(_twice_inner(x))
        inner_slope = 1.5957691216057308 * (1. + 0.134145 * x * x)
        slope = gate + x * gate * (1. - gate) * inner_slope
    return slope


@triton.jit
def _twice_inner(x):
    # tanh(z) = 2 sigmoid(2 z) - 1, so that (1 + tanh(z)) / 2 = sigmoid(2 z).
    return 1.5957691216057308 * (x + 0.044715 * x * x * x)
