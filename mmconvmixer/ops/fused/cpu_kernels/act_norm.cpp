// Activation, then BatchNorm: statistics, result and gradients.
//
// Tensors are (rows, channels) in float32, contiguous; a row is one position of one image.
// Sums are taken over parts of `rows_each` rows, which do not depend on the number of threads:
// neither do the results, to the last bit. Each part is added up in pieces, which keeps rounding
// errors small. Within a piece, rows are read one after another, because a processor fetches
// memory in advance only along its order; the sums of all channels stay in the cache.
#include <algorithm>
#include <memory>
#include <vector>

#include "activations.h"

namespace {

constexpr long PIECE = 16;  // rows

// Call function(part, first row, last row) for each part, in parallel.
template <class Function>
void for_each_part(long rows, long rows_each, int threads, Function function) {
    const long parts = (rows + rows_each - 1) / rows_each;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long part = 0; part < parts; part++)
        function(part, part * rows_each, std::min(rows, (part + 1) * rows_each));
}

void add(const float* values, float* to, long count) {
    for (long n = 0; n < count; n++) to[n] += values[n];
}

// Sums over parts, (parts, channels).
struct Partial {
    Partial(long rows, long rows_each, long channels)
        : parts((rows + rows_each - 1) / rows_each), channels(channels),
          values(new float[parts * channels]) {}

    float* of(long part) const { return values.get() + part * channels; }

    float* cleared(long part) const {
        std::fill_n(of(part), channels, 0.f);
        return of(part);
    }

    void add_up(float* total) const {
        std::fill_n(total, channels, 0.f);
        for (long part = 0; part < parts; part++)
            for (long c = 0; c < channels; c++) total[c] += of(part)[c];
    }

    long parts, channels;
    std::unique_ptr<float[]> values;
};

}  // namespace

// The mean of act(x) and the sum of squared distances to it, (channels). A sum of squares would
// lose the variance where the mean is large. `activated`, where act(x) is written, may be null.
extern "C" void moments(const float* x, float* activated, float* mean, float* squared_distances,
                        long rows, long rows_each, long channels, int act, int threads) {
    const Partial means(rows, rows_each, channels), squares(rows, rows_each, channels);
    with_activation(act, [&](auto activation) {
        for_each_part(rows, rows_each, threads, [&](long part, long first, long last) {
            float* const part_mean = means.cleared(part);
            float* const part_squares = squares.cleared(part);
            std::vector<float> values(activated ? 0 : PIECE * channels), sums(2 * channels);
            float *const center = sums.data(), *const spread = center + channels;
            for (long start = first; start < last; start += PIECE) {
                const long count = std::min(PIECE, last - start);
                const float before = float(start - first), total = before + float(count);
                float* const kept = activated ? activated + start * channels : values.data();
                std::fill(sums.begin(), sums.end(), 0.f);
                for (long r = 0; r < count; r++)
                    for_each_vector(channels, [=](long c, auto n) {
                        const Vector value
                            = activate<activation()>(load(x + (start + r) * channels + c, n));
                        store(kept + r * channels + c, value, n);
                        store(center + c, load(center + c, n) + value, n);
                    });
                for_each_vector(channels, [=](long c, auto n) {
                    store(center + c, load(center + c, n) / float(count), n);
                });
                for (long r = 0; r < count; r++)
                    for_each_vector(channels, [=](long c, auto n) {
                        const Vector away = load(kept + r * channels + c, n) - load(center + c, n);
                        store(spread + c, load(spread + c, n) + away * away, n);
                    });
                for_each_vector(channels, [=](long c, auto n) {
                    // Join the piece's moments to those before it (Chan et al., 1979).
                    const Vector away = load(center + c, n) - load(part_mean + c, n);
                    store(part_mean + c,
                          load(part_mean + c, n) + away * (float(count) / total), n);
                    store(part_squares + c,
                          load(part_squares + c, n) + load(spread + c, n)
                              + away * away * (before * float(count) / total), n);
                });
            }
        });
    });
    const auto share = [=](long part) {
        return float(std::min(rows_each, rows - part * rows_each)) / float(rows);
    };
    std::fill_n(mean, channels, 0.f);
    for (long part = 0; part < means.parts; part++)
        for (long c = 0; c < channels; c++) mean[c] += means.of(part)[c] * share(part);
    squares.add_up(squared_distances);
    for (long part = 0; part < means.parts; part++)
        for (long c = 0; c < channels; c++) {
            const float away = means.of(part)[c] - mean[c];
            squared_distances[c] += away * away * share(part) * float(rows);
        }
}

// out = added + scale * (act(x) - mean) + shift. added, mean and `activated`, where act(x) is
// written, may be null; out may be x.
extern "C" void act_affine(const float* x, const float* mean, const float* scale,
                           const float* shift, const float* added, float* activated, float* out,
                           long rows, long channels, int act, int threads) {
    with_activation(act, [&](auto activation) {
        for_each_part(rows, 4 * PIECE, threads, [=](long, long first, long last) {
            for (long r = first; r < last; r++) {
                for_each_vector(channels, [=](long c, auto n) {
                    const long at = r * channels + c;
                    Vector value = activate<activation()>(load(x + at, n));
                    if (activated) store(activated + at, value, n);
                    if (mean) value -= load(mean + c, n);
                    value = value * load(scale + c, n) + load(shift + c, n);
                    if (added) value += load(added + at, n);
                    store(out + at, value, n);
                });
            }
        });
    });
}

// The sums of grad and of grad * (act(x) - mean) * rstd, (channels).
extern "C" void gradient_sums(const float* x, const float* grad, const float* mean,
                              const float* rstd, float* grad_sums, float* product_sums,
                              long rows, long rows_each, long channels, int act, int threads) {
    const Partial grads(rows, rows_each, channels), products(rows, rows_each, channels);
    with_activation(act, [&](auto activation) {
        for_each_part(rows, rows_each, threads, [&](long part, long first, long last) {
            float* const part_grads = grads.cleared(part);
            float* const part_products = products.cleared(part);
            std::vector<float> sums(2 * channels);
            float *const sum = sums.data(), *const product = sum + channels;
            for (long start = first; start < last; start += PIECE) {
                const long end = std::min(start + PIECE, last);
                std::fill(sums.begin(), sums.end(), 0.f);
                for (long r = start; r < end; r++)
                    for_each_vector(channels, [=](long c, auto n) {
                        const long at = r * channels + c;
                        const Vector each = load(grad + at, n);
                        const Vector away
                            = activate<activation()>(load(x + at, n)) - load(mean + c, n);
                        store(sum + c, load(sum + c, n) + each, n);
                        store(product + c, load(product + c, n) + each * away, n);
                    });
                add(sum, part_grads, channels);
                add(product, part_products, channels);
            }
        });
    });
    grads.add_up(grad_sums);
    products.add_up(product_sums);
    for (long c = 0; c < channels; c++) product_sums[c] *= rstd[c];
}

// grad_input of weight * (act(x) - mean) * rstd + bias, and its sums, (channels).
//
// grad_mean and product_mean are the sums of `gradient_sums` divided by the number of values.
extern "C" void input_gradient(const float* x, const float* grad, const float* mean,
                               const float* rstd, const float* weight, const float* grad_mean,
                               const float* product_mean, float* grad_input, float* sums,
                               long rows, long rows_each, long channels, int act, int threads) {
    const Partial partial(rows, rows_each, channels);
    std::vector<float> factors(2 * channels);
    float *const scales = factors.data(), *const slopes = scales + channels;
    for (long c = 0; c < channels; c++) {
        scales[c] = weight[c] * rstd[c];
        slopes[c] = scales[c] * rstd[c] * product_mean[c];
    }
    with_activation(act, [&](auto activation) {
        for_each_part(rows, rows_each, threads, [&](long part, long first, long last) {
            float* const part_sums = partial.cleared(part);
            std::vector<float> piece(channels);
            float* const sum = piece.data();
            for (long start = first; start < last; start += PIECE) {
                std::fill(piece.begin(), piece.end(), 0.f);
                for (long r = start; r < std::min(start + PIECE, last); r++)
                    for_each_vector(channels, [=](long c, auto n) {
                        const long at = r * channels + c;
                        const Activated activated
                            = activate_with_slope<activation()>(load(x + at, n));
                        const Vector scale = load(scales + c, n);
                        const Vector result
                            = (scale * (load(grad + at, n) - load(grad_mean + c, n))
                               - load(slopes + c, n) * (activated.value - load(mean + c, n)))
                            * activated.slope;
                        store(grad_input + at, result, n);
                        store(sum + c, load(sum + c, n) + result, n);
                    });
                add(sum, part_sums, channels);
            }
        });
    });
    partial.add_up(sums);
}
