// Vectors of float32 in the language extension that GCC and Clang share.
//
// LANES is the number of floats that the processor computes at once. A block of channels is
// two vectors: with fewer independent sums, the arithmetic would wait for its own results.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#ifndef LANES
#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
#endif

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Integers __attribute__((vector_size(4 * LANES)));

constexpr long BLOCK = 2 * LANES;

// A number of floats that is known when the kernels are compiled.
using Whole = std::integral_constant<long, LANES>;

static inline Vector all(float value) { return value - Vector{}; }

static inline Vector load(const float* from, Whole = {}) {
    Vector vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}

static inline Vector load(const float* from, long count) {
    Vector vector{};
    std::memcpy(&vector, from, count * sizeof(float));
    return vector;
}

static inline void store(float* to, Vector vector, Whole = {}) {
    std::memcpy(to, &vector, sizeof vector);
}

static inline void store(float* to, Vector vector, long count) {
    std::memcpy(to, &vector, count * sizeof(float));
}

// Call function(c, count) for each vector of a row; only the last may be shorter than a vector.
template <class Function>
static inline void for_each_vector(long channels, Function function) {
    long c = 0;
    for (; c + LANES <= channels; c += LANES) function(c, Whole{});
    if (c < channels) function(c, channels - c);
}

static inline Vector bits_as_floats(Integers bits) {
    Vector vector;
    std::memcpy(&vector, &bits, sizeof vector);
    return vector;
}

static inline Integers floats_as_bits(Vector vector) {
    Integers bits;
    std::memcpy(&bits, &vector, sizeof bits);
    return bits;
}

// The smaller one of each pair of floats that are not negative; their bits are in that order.
static inline Vector smaller(Vector x, float bound) {
    const Integers bits = floats_as_bits(x), bounds = floats_as_bits(all(bound));
    return bits_as_floats(bits < bounds ? bits : bounds);
}

static inline Vector absolute(Vector x) {
    return bits_as_floats(floats_as_bits(x) & 0x7fffffff);
}

// 2 ** x for x from -126 to 127.
static inline Vector exp2(Vector x) {
    // Adding 1.5 * 2 ** 23 rounds to a whole number, which is then in the low bits.
    const Vector shifted = x + 12582912.f;
    const Integers whole = floats_as_bits(shifted) - floats_as_bits(all(12582912.f));
    const Vector part = x - (shifted - 12582912.f);  // from -0.5 to 0.5
    // Fitted to minimize the relative error; in float32 it is 1e-7 at most.
    const Vector square = part * part;
    const Vector low = 6.931472057375287e-1f * part + 1.f;
    const Vector middle = 5.550328776391812e-2f * part + 2.4022646890578353e-1f;
    const Vector high = 1.3399931453091027e-3f * part + 9.618488961039492e-3f;
    const Vector power = (1.5345811504445875e-4f * square + high) * (square * square)
        + (middle * square + low);
    return bits_as_floats(floats_as_bits(power) + (whole << 23));
}
