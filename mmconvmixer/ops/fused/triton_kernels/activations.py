"""Activations and their derivatives inside kernels, in float32."""
# ruff: noqa: ANN001, ANN201, ANN202 (Triton takes a kernel's annotations for argument types)
import triton
import triton.language as tl

# The values of `ACT` in every kernel.
IDENTITY, RELU, GELU, GELU_TANH = map(tl.constexpr, range(4))

# The same by the names that the operators take.
ACTS = dict(identity=IDENTITY.value, relu=RELU.value, gelu=GELU.value, gelu_tanh=GELU_TANH.value)


@triton.jit
def activate(x, ACT: tl.constexpr):
    """Return the activation of x."""
    if ACT == RELU:
        x = _positive_part(x)
    if ACT == GELU:
        distance = _clipped_distance(x)
        x = _positive_part(x) - distance * _normal_tail(distance)
    if ACT == GELU_TANH:
        x = x * tl.sigmoid(_sigmoid_argument(x))
    return x


@triton.jit
def derivative(x, ACT: tl.constexpr):
    """Return the slope of `activate` at x."""
    slope = tl.full(x.shape, 1., tl.float32)
    if ACT == RELU:
        slope = tl.where(x <= 0., 0., 1.)
    if ACT == GELU:
        tail = _normal_tail(_clipped_distance(x))
        density = 0.3989422804014327 * tl.exp2(-0.7213475204444817 * x * x)
        slope = tl.where(x < 0., tail, 1. - tail) + x * density
    if ACT == GELU_TANH:
        gate = tl.sigmoid(_sigmoid_argument(x))
        argument_slope = 1.5957691216057308 * (1. + 0.134145 * x * x)
        slope = gate + x * gate * (1. - gate) * argument_slope
    return slope


@triton.jit
def _positive_part(x):
    return tl.where(x < 0., 0., x)  # keeps NaN, which tl.maximum would drop


@triton.jit
def _clipped_distance(x):
    return tl.minimum(tl.abs(x), 30.)  # the tail beyond 30 is 0 in float32


@triton.jit
def _normal_tail(distance):
    """Return the standard normal distribution's mass beyond `distance` >= 0.

    With a = |x|, GELU(x) is max(x, 0) - a * tail(a). The base-2 logarithm of the
    tail is close to a polynomial. This one was fitted to minimize the largest
    error of a * tail(a) on 0..6.5, which is 7e-8; beyond that range it keeps
    falling. It takes a third of the instructions of erf, whose instructions
    would limit the speed of every kernel with an activation.
    """
    log2 = -8.250402743215091e-07 * distance + 1.4625699805037584e-05
    log2 = log2 * distance - 6.734936323482543e-05
    log2 = log2 * distance - 4.210742190480232e-04
    log2 = log2 * distance + 7.421301212161779e-03
    log2 = log2 * distance - 5.272630974650383e-02
    log2 = log2 * distance - 4.591416120529175e-01
    log2 = log2 * distance - 1.151111364364624
    return tl.exp2(log2 * distance - 1.)


@triton.jit
def _sigmoid_argument(x):
    """Return 2 z, where GELU's tanh form is x * (1 + tanh(z)) / 2 = x * sigmoid(2 z)."""
    return 1.5957691216057308 * (x + 0.044715 * x * x * x)
