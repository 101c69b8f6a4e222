// Activation, then BatchNorm: statistics, result and gradients.
//
// Tensors are (rows, channels) in float32, contiguous; a row is one position of one image.
// Sums are taken over parts of `rows_each` rows, which do not depend on the number of threads:
// neither do the results, to the last bit. Each part is added up in pieces that stay in the
// cache, which also keeps rounding errors small.
#include <algorithm>
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

void add(float* to, const float* from, long channels) {
    for (long c = 0; c < channels; c++) to[c] += from[c];
}

}  // namespace

// The mean of act(x) and the sum of squared distances to it, (parts, channels), and the number
// of rows of each part, (parts). A sum of squares would lose the variance where the mean is large.
extern "C" void moments(const float* x, float* means, float* squared_distances, float* counts,
                        long rows, long rows_each, long channels, int act, int threads) {
    with_activation(act, [&](auto activation) {
        for_each_part(rows, rows_each, threads, [=](long part, long first, long last) {
            float* mean = means + part * channels;
            float* squares = squared_distances + part * channels;
            std::fill_n(mean, channels, 0.f);
            std::fill_n(squares, channels, 0.f);
            counts[part] = float(last - first);
            for (long start = first; start < last; start += PIECE) {
                const long count = std::min(PIECE, last - start);
                const float before = float(start - first), total = before + float(count);
                for_each_vector(channels, [=](long c, auto n) {
                    Vector values[PIECE], sum{}, spread{};
                    for (long r = 0; r < count; r++) {
                        values[r] = activate<activation()>(load(x + (start + r) * channels + c, n));
                        sum += values[r];
                    }
                    const Vector center = sum / float(count);
                    for (long r = 0; r < count; r++)
                        spread += (values[r] - center) * (values[r] - center);
                    // Join the piece's moments to those before it (Chan et al., 1979).
                    const Vector away = center - load(mean + c, n);
                    store(mean + c, load(mean + c, n) + away * (float(count) / total), n);
                    store(squares + c,
                          load(squares + c, n) + spread
                              + away * away * (before * float(count) / total), n);
                });
            }
        });
    });
}

// out = added + scale * (act(x) - mean) + shift; added and mean may be null.
extern "C" void act_affine(const float* x, const float* mean, const float* scale,
                           const float* shift, const float* added, float* out,
                           long rows, long channels, int act, int threads) {
    with_activation(act, [&](auto activation) {
        for_each_part(rows, PIECE, threads, [=](long, long first, long last) {
            for (long r = first; r < last; r++) {
                for_each_vector(channels, [=](long c, auto n) {
                    const long at = r * channels + c;
                    Vector value = activate<activation()>(load(x + at, n));
                    if (mean) value -= load(mean + c, n);
                    value = value * load(scale + c, n) + load(shift + c, n);
                    if (added) value += load(added + at, n);
                    store(out + at, value, n);
                });
            }
        });
    });
}

// The sums of grad and of grad * (act(x) - mean) * rstd over each part, (parts, channels).
extern "C" void gradient_sums(const float* x, const float* grad, const float* mean,
                              const float* rstd, float* grad_sums, float* product_sums,
                              long rows, long rows_each, long channels, int act, int threads) {
    with_activation(act, [&](auto activation) {
        for_each_part(rows, rows_each, threads, [=](long part, long first, long last) {
            float* grads = grad_sums + part * channels;
            float* products = product_sums + part * channels;
            std::fill_n(grads, channels, 0.f);
            std::fill_n(products, channels, 0.f);
            for (long start = first; start < last; start += PIECE) {
                const long end = std::min(start + PIECE, last);
                for_each_vector(channels, [=](long c, auto n) {
                    Vector sum{}, product{};
                    const Vector center = load(mean + c, n);
                    for (long r = start; r < end; r++) {
                        const long at = r * channels + c;
                        const Vector each = load(grad + at, n);
                        sum += each;
                        product += each * (activate<activation()>(load(x + at, n)) - center);
                    }
                    store(grads + c, load(grads + c, n) + sum, n);
                    store(products + c, load(products + c, n) + product * load(rstd + c, n), n);
                });
            }
        });
    });
}

// grad_input of weight * (act(x) - mean) * rstd + bias, and its sums over each part.
//
// grad_mean and product_mean are the sums of `gradient_sums` divided by the number of values.
extern "C" void input_gradient(const float* x, const float* grad, const float* mean,
                               const float* rstd, const float* weight, const float* grad_mean,
                               const float* product_mean, float* grad_input, float* sums,
                               long rows, long rows_each, long channels, int act, int threads) {
    with_activation(act, [&](auto activation) {
        for_each_part(rows, rows_each, threads, [=](long part, long first, long last) {
            std::vector<float> buffer(channels);
            float* const piece = buffer.data();
            std::fill_n(sums + part * channels, channels, 0.f);
            for (long start = first; start < last; start += PIECE) {
                std::fill_n(piece, channels, 0.f);
                for (long r = start; r < std::min(start + PIECE, last); r++) {
                    for_each_vector(channels, [=](long c, auto n) {
                        const long at = r * channels + c;
                        const Activated activated
                            = activate_with_slope<activation()>(load(x + at, n));
                        const Vector scale = load(rstd + c, n);
                        const Vector normalized = (activated.value - load(mean + c, n)) * scale;
                        const Vector grad_act = load(weight + c, n) * scale
                            * (load(grad + at, n) - load(grad_mean + c, n)
                               - normalized * load(product_mean + c, n));
                        const Vector result = grad_act * activated.slope;
                        store(grad_input + at, result, n);
                        store(piece + c, load(piece + c, n) + result, n);
                    });
                }
                add(sums + part * channels, piece, channels);
            }
        });
    });
}
