// Activations and their slopes; the same formulas as `triton_kernels/activations.py`.
#pragma once

#include "vectors.h"

// The values of `act` in every kernel, as in `ACTS`.
enum Activation { IDENTITY, RELU, GELU, GELU_TANH };

template <Activation ACT>
using Act = std::integral_constant<Activation, ACT>;

// Call function(Act<...>) for the activation of this number.
template <class Function>
static inline void with_activation(int act, Function function) {
    switch (act) {
        case RELU: return function(Act<RELU>{});
        case GELU: return function(Act<GELU>{});
        case GELU_TANH: return function(Act<GELU_TANH>{});
        default: return function(Act<IDENTITY>{});
    }
}

static inline Vector positive_part(Vector x) { return x < 0.f ? Vector{} : x; }  // keeps NaN

// |x|, at most 8.5: beyond, the normal distribution's mass is less than half a rounding of x.
static inline Vector clipped_distance(Vector x) { return smaller(absolute(x), 8.5f); }

// The standard normal distribution's mass beyond a distance from 0 to 8.5.
static inline Vector normal_tail(Vector distance) {
    const Vector square = distance * distance, fourth = square * square;
    const Vector first = -1.151111364364624f * distance - 1.f;
    const Vector second = -5.272630974650383e-02f * distance - 4.591416120529175e-01f;
    const Vector third = -4.210742190480232e-04f * distance + 7.421301212161779e-03f;
    const Vector last = 1.4625699805037584e-05f * distance - 6.734936323482543e-05f;
    const Vector high = (-8.250402743215091e-07f * square + last) * square + third;
    return exp2(high * fourth + (second * square + first));
}

// GELU's tanh form is x * sigmoid(argument).
static inline Vector tanh_argument(Vector x) {
    return 1.5957691216057308f * (x + 0.044715f * x * x * x);
}

static inline Vector sigmoid(Vector x) {
    // Beyond 60, the result is 0 or 1 in float32.
    const Vector distance = smaller(absolute(x), 60.f);
    return 1.f / (1.f + exp2(-1.4426950408889634f * (x < 0.f ? -distance : distance)));
}

// An activation's result and its slope at x.
struct Activated {
    Vector value, slope;
};

template <Activation ACT>
static inline Vector activate(Vector x) {
    if constexpr (ACT == RELU) return positive_part(x);
    if constexpr (ACT == GELU) {
        const Vector distance = clipped_distance(x);
        return positive_part(x) - distance * normal_tail(distance);
    }
    if constexpr (ACT == GELU_TANH) return x * sigmoid(tanh_argument(x));
    return x;
}

template <Activation ACT>
static inline Activated activate_with_slope(Vector x) {
    if constexpr (ACT == RELU)
        return {positive_part(x), x <= 0.f ? Vector{} : all(1.f)};
    if constexpr (ACT == GELU) {
        const Vector distance = clipped_distance(x), tail = normal_tail(distance);
        const Vector product  // of the distance and the normal distribution's density there
            = 0.3989422804014327f * distance * exp2(-0.7213475204444817f * distance * distance);
        return {positive_part(x) - distance * tail,
                x < 0.f ? tail - product : 1.f - tail + product};
    }
    if constexpr (ACT == GELU_TANH) {
        const Vector gate = sigmoid(tanh_argument(x));
        const Vector argument_slope = 1.5957691216057308f * (1.f + 0.134145f * x * x);
        return {x * gate, gate + x * gate * (1.f - gate) * argument_slope};
    }
    return {x, all(1.f)};
}
