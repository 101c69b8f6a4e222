// Depthwise convolution with stride 1 and 'same' padding, and its gradient by the weight.
//
// Tensors are (batch, height, width, channels) in float32, contiguous. A task goes down the rows
// of one image in one group of channels. It keeps as many rows as the kernel has in a small
// buffer, with zeros beside them, so that the arithmetic needs no borders and every pixel comes
// from memory once.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "vectors.h"

namespace {

constexpr long GROUP = 64;  // channels

struct Shape {
    long height, width, channels;
};

struct Floats {
    explicit Floats(long count)
        // Whole cache lines: a vector across two lines is read twice.
        : values(static_cast<float*>(std::aligned_alloc(64, (count + 15) / 16 * 64)), &std::free) {
        if (!values) throw std::bad_alloc();
    }
    float* get() const { return values.get(); }

    std::unique_ptr<float, decltype(&std::free)> values;
};

// The last `count` rows of an image that were read, (columns, GROUP) each.
struct Rows {
    Rows(long count, long columns)
        : count(count), columns(columns), values(count * columns * GROUP) {}

    // Row y of the image, which may be outside of it.
    float* at(long y) const { return values.get() + (y + count) % count * columns * GROUP; }

    // Read row y of a group of channels, beginning `before` columns left of the image. A row
    // outside of the image is not read, as no sum needs it.
    void read(const float* image, const Shape& shape, long y, long before, long c) {
        float* to = at(y);
        const long inside = std::min(GROUP, shape.channels - c);
        if (y < 0 || y >= shape.height) return;
        std::fill_n(to, before * GROUP, 0.f);
        to += before * GROUP;
        const float* from = image + y * shape.width * shape.channels + c;
        for (long x = 0; x < shape.width; x++, to += GROUP, from += shape.channels) {
            if (inside == GROUP) {
                std::memcpy(to, from, GROUP * sizeof(float));
            } else {
                std::memcpy(to, from, inside * sizeof(float));
                std::fill(to + inside, to + GROUP, 0.f);
            }
        }
        std::fill_n(to, (columns - before - shape.width) * GROUP, 0.f);
    }

    long count, columns;
    Floats values;
};

// The first row of a kernel that lies in the image, and the one after the last, if its upper row
// is on row `top` of the image.
struct Inside {
    long begin, end;
};

Inside rows_inside(long top, long height, long kernel) {
    return {std::max(0L, -top), std::min(kernel, height - top)};
}

// The convolution's sums for COLUMNS neighboring output pixels and one vector of channels.
//
// `window` has the rows of x under the kernel's rows from `begin` to `end`, `at` is the place of
// the first pixel in each.
template <long KERNEL, long COLUMNS>
struct Sums {
    // The weights of a kernel's row stay in registers, and each pixel is read once.
    static void of(const float* const* window, const float* taps, long at, long, long begin,
                   long end, Vector* sums) {
        taps += begin * KERNEL * GROUP;
        for (long i = begin; i < end; i++, taps += KERNEL * GROUP) {
            Vector weights[KERNEL];
#pragma GCC unroll 16
            for (long j = 0; j < KERNEL; j++) weights[j] = load(taps + j * GROUP);
#pragma GCC unroll 32
            for (long column = 0; column < COLUMNS + KERNEL - 1; column++) {
                const Vector value = load(window[i] + at + column * GROUP);
#pragma GCC unroll 16
                for (long j = 0; j < KERNEL; j++)
                    if (column - j >= 0 && column - j < COLUMNS)
                        sums[column - j] += weights[j] * value;
            }
        }
    }
};

// A kernel of any size.
template <long COLUMNS>
struct Sums<0, COLUMNS> {
    static void of(const float* const* window, const float* taps, long at, long kernel,
                   long begin, long end, Vector* sums) {
        taps += begin * kernel * GROUP;
        for (long i = begin; i < end; i++) {
            for (long j = 0; j < kernel; j++, taps += GROUP) {
                const Vector weight = load(taps);
                for (long n = 0; n < COLUMNS; n++)
                    sums[n] += weight * load(window[i] + at + (n + j) * GROUP);
            }
        }
    }
};

template <long KERNEL, long COLUMNS>
void convolve(const float* x, const float* weight, const float* bias, const float* added,
              float* out, long batch, Shape shape, long kernel, long before, int threads) {
    const auto [height, width, channels] = shape;
    const long groups = (channels + GROUP - 1) / GROUP;
    const long steps = (width + COLUMNS - 1) / COLUMNS;
    // A few images are divided into strips, for all threads to have work.
    const long strips
        = std::max(1L, std::min(height / (2 * kernel), 4 * threads / (batch * groups)));
    const long strip = (height + strips - 1) / strips;
#pragma omp parallel num_threads(threads)
    {
        Rows rows(kernel, steps * COLUMNS + kernel - 1);
        std::vector<const float*> window(kernel);
#pragma omp for schedule(static)
        for (long task = 0; task < batch * strips * groups; task++) {
            const long group = task % groups, top = task / groups % strips * strip;
            const long image = task / groups / strips * height * width * channels;
            const float* taps = weight + group * kernel * kernel * GROUP;
            const long first = group * GROUP, last = std::min(channels, first + GROUP);
            for (long y = top - before; y < top - before + kernel - 1; y++)
                rows.read(x + image, shape, y, before, first);
            for (long y = top; y < std::min(top + strip, height); y++) {
                rows.read(x + image, shape, y - before + kernel - 1, before, first);
                const auto [begin, end] = rows_inside(y - before, height, kernel);
                for (long i = begin; i < end; i++) window[i] = rows.at(y - before + i);
                for (long left = 0; left < width; left += COLUMNS) {
                    const long inside = std::min(COLUMNS, width - left);
                    for (long c = first; c < last; c += LANES) {
                        Vector sums[COLUMNS] = {};
                        Sums<KERNEL, COLUMNS>::of(
                            window.data(), taps + c - first, left * GROUP + c - first, kernel,
                            begin, end, sums);
                        const auto finish = [&](auto count) {
                            const Vector start = bias ? load(bias + c, count) : Vector{};
                            long place = image + (y * width + left) * channels + c;
                            for (long n = 0; n < inside; n++, place += channels) {
                                const Vector sum = sums[n] + start;
                                store(out + place,
                                      added ? sum + load(added + place, count) : sum, count);
                            }
                        };
                        if (c + LANES <= last) finish(Whole{});
                        else finish(last - c);
                    }
                }
            }
        }
    }
}

}  // namespace

extern "C" long group_channels() { return GROUP; }

// out = added + conv(x) + bias.
//
// weight is (groups, kernel, kernel, GROUP) with zeros beyond the channels; bias and added may
// be null. `before` is the padding above and on the left.
extern "C" void depthwise(const float* x, const float* weight, const float* bias,
                          const float* added, float* out, long batch, long height, long width,
                          long channels, long kernel, long before, int threads) {
    const Shape shape{height, width, channels};
    const auto call = [&](auto function) {
        function(x, weight, bias, added, out, batch, shape, kernel, before, threads);
    };
    // As many columns as there are registers for their sums beside the weights.
    switch (kernel) {
        case 3: return call(convolve<3, 8>);
        case 5: return call(convolve<5, 8>);
        case 7: return call(convolve<7, 8>);
        case 9: return call(convolve<9, 6>);
        default: return call(convolve<0, 8>);
    }
}

namespace {

// Add to sums (TAPS, GROUP) the products of a row of grad with a row of x, for TAPS neighboring
// columns of a kernel and one block of channels.
template <long TAPS>
void add_products(const float* x, const float* grad, long width, float* sums) {
    Vector totals[TAPS][2];
    for (long j = 0; j < TAPS; j++) {
        totals[j][0] = load(sums + j * GROUP);
        totals[j][1] = load(sums + j * GROUP + LANES);
    }
    for (long column = 0; column < width; column++, x += GROUP, grad += GROUP) {
        const Vector a = load(grad), b = load(grad + LANES);
        for (long j = 0; j < TAPS; j++) {
            totals[j][0] += a * load(x + j * GROUP);
            totals[j][1] += b * load(x + j * GROUP + LANES);
        }
    }
    for (long j = 0; j < TAPS; j++) {
        store(sums + j * GROUP, totals[j][0]);
        store(sums + j * GROUP + LANES, totals[j][1]);
    }
}

// The same for a whole row of a kernel. As many sums as registers hold are computed at once.
void add_row_of_products(const float* x, const float* grad, long width, long kernel, float* sums) {
    for (long j = 0; j < kernel;) {
        const float* from = x + j * GROUP;
        float* to = sums + j * GROUP;
        const long left = kernel - j;
        if (left == 5 || left >= 10) { add_products<5>(from, grad, width, to); j += 5; }
        else if (left >= 7 || left == 4) { add_products<4>(from, grad, width, to); j += 4; }
        else if (left >= 6 || left == 3) { add_products<3>(from, grad, width, to); j += 3; }
        else if (left == 2) { add_products<2>(from, grad, width, to); j += 2; }
        else { add_products<1>(from, grad, width, to); j += 1; }
    }
}

}  // namespace

// grad_weight, (groups, kernel, kernel, GROUP), and grad_bias, (groups, GROUP), unless it is null.
//
// Sums are taken over parts of `images_each` images, which do not depend on the number of
// threads, then over the parts in their order. `part_sums` is memory for them, (parts, groups,
// kernel * kernel + 1, GROUP).
extern "C" void depthwise_weight_gradient(
        const float* x, const float* grad, float* part_sums, float* grad_weight, float* grad_bias,
        long batch, long height, long width, long channels, long kernel, long images_each,
        int threads) {
    const Shape shape{height, width, channels};
    const long before = (kernel - 1) / 2, groups = (channels + GROUP - 1) / GROUP;
    const long parts = (batch + images_each - 1) / images_each, taps = kernel * kernel * GROUP;
    const long each = taps + GROUP;  // sums for the weight, then for the bias
#pragma omp parallel num_threads(threads)
    {
        Rows rows(kernel, width + kernel - 1), gradient(1, width);
        Floats sums(each);  // of one image, which keeps rounding errors small
        float* const bias_sum = sums.get() + taps;
#pragma omp for schedule(static)
        for (long task = 0; task < parts * groups; task++) {
            const long group = task % groups, part = task / groups, c = group * GROUP;
            const long blocks = (std::min(GROUP, channels - c) + BLOCK - 1) / BLOCK;
            float* const totals = part_sums + task * each;
            std::fill_n(totals, each, 0.f);
            const long end = std::min(batch, (part + 1) * images_each);
            for (long image = part * images_each; image < end; image++) {
                const long start = image * height * width * channels;
                std::fill_n(sums.get(), each, 0.f);
                for (long y = -before; y < kernel - 1 - before; y++)
                    rows.read(x + start, shape, y, before, c);
                for (long y = 0; y < height; y++) {
                    rows.read(x + start, shape, y - before + kernel - 1, before, c);
                    gradient.read(grad + start, shape, y, 0, c);
                    const auto [begin, end] = rows_inside(y - before, height, kernel);
                    for (long i = begin; i < end; i++)
                        for (long block = 0; block < blocks; block++)
                            add_row_of_products(rows.at(y - before + i) + block * BLOCK,
                                                gradient.at(y) + block * BLOCK, width, kernel,
                                                sums.get() + i * kernel * GROUP + block * BLOCK);
                    for (long column = 0; grad_bias && column < width; column++)
                        for (long n = 0; n < GROUP; n++)
                            bias_sum[n] += gradient.at(y)[column * GROUP + n];
                }
                for (long n = 0; n < each; n++) totals[n] += sums.get()[n];
            }
        }
#pragma omp for schedule(static)
        for (long group = 0; group < groups; group++) {
            const auto join = [&](float* to, long first, long count) {
                std::fill_n(to, count, 0.f);
                for (long part = 0; part < parts; part++) {
                    const float* from = part_sums + (part * groups + group) * each + first;
                    for (long n = 0; n < count; n++) to[n] += from[n];
                }
            };
            join(grad_weight + group * taps, 0, taps);
            if (grad_bias) join(grad_bias + group * GROUP, taps, GROUP);
        }
    }
}
