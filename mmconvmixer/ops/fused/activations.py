"""Activations and their derivatives inside kernels, in float32."""
import triton
import triton.language as tl

# The values of `ACT` in every kernel.
IDENTITY, RELU, GELU, GELU_TANH = range(4)


@triton.jit
def activate(x, ACT: tl.constexpr):
    if ACT == 1:
        x = _positive_part(x)
    if ACT == 2:
        a = _distance(x)
        x = _positive_part(x) - a * _tail(a)
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
        tail = _tail(_distance(x))
        density = 0.3989422804014327 * tl.exp2(-0.7213475204444817 * x * x)
        slope = tl.where(x < 0., tail, 1. - tail) + x * density
    if ACT == 3:
        gate = tl.sigmoid(_twice_inner(x))
        inner_slope = 1.5957691216057308 * (1. + 0.134145 * x * x)
        slope = gate + x * gate * (1. - gate) * inner_slope
    return slope


@triton.jit
def _positive_part(x):
    return tl.where(x < 0., 0., x)  # NaN stays, which a maximum would drop


@triton.jit
def _distance(x):
    return tl.minimum(tl.abs(x), 30.)  # as far as anything is left of the tail


@triton.jit
def _tail(a):
    """Return the normal distribution's mass beyond a >= 0.

    With a = |x|, GELU is x's positive part - a * tail. The logarithm of the tail
    is close to a polynomial: this one, fitted to the least largest error of
    a * tail, leaves 7e-8 there, and falls steadily beyond the range of the fit
    (6.5). It takes a third of the instructions of erf, which would be the limit
    of every pass that has an activation.
    """
    log2 = -8.250402743215091e-07 * a + 1.4625699805037584e-05
    log2 = log2 * a - 6.734936323482543e-05
    log2 = log2 * a - 4.210742190480232e-04
    log2 = log2 * a + 7.421301212161779e-03
    log2 = log2 * a - 5.272630974650383e-02
    log2 = log2 * a - 4.591416120529175e-01
    log2 = log2 * a - 1.151111364364624
    return tl.exp2(log2 * a - 1.)


@triton.jit
def _twice_inner(x):
    # tanh(z) = 2 sigmoid(2 z) - 1, so that (1 + tanh(z)) / 2 = sigmoid(2 z).
    return 1.5957691216057308 * (x + 0.044715 * x * x * x)
