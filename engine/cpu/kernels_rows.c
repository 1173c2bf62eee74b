/* kernels_rows.c - what runs along one row: norms, activations, softmax, widening. See
 * kernels.h. */
#include "kernels_variant.h"

#include <math.h>

typedef uint16_t halves __attribute__((vector_size(2 * KERNELS_LANES), aligned(2), may_alias));

/* exp(x), within 2 units in the last place between -87 and 88, and constant beyond. 2^n * e^r
 * with n the nearest integer to x / ln 2; the polynomial is that of Cephes, expf.c. */
ALWAYS_INLINE lanes lanes_exp(lanes x) {
    const float to_int = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    x = lanes_max(x, lanes_of(-87.0f));
    x = lanes_select(x < 88.0f, x, lanes_of(88.0f));
    lanes shifted = x * 1.44269504f + to_int;
    lanes n = shifted - to_int;
    lanes r = x - n * 0.693359375f; /* ln 2 in two parts, the first exact in few bits */
    r = r - n * -2.12194440e-4f;
    lanes e = r * 1.9875691500e-4f + 1.3981999507e-3f;
    e = e * r + 8.3334519073e-3f;
    e = e * r + 4.1665795894e-2f;
    e = e * r + 1.6666665459e-1f;
    e = e * r + 5.0000001201e-1f;
    e = e * r * r + r + 1.0f;
    lanes_int exponent = (lanes_int)shifted - 0x4b400000 + 127; /* bits of to_int */
    return e * (lanes)(exponent << 23);
}

static float max_of(const float *x, uint32_t n) {
    lanes best = lanes_of(x[0]);
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) best = lanes_max(best, lanes_load(x + i));
    float part[LANES], max = x[0];
    lanes_store(part, best);
    for (int l = 0; l < LANES; l++) max = part[l] > max ? part[l] : max;
    for (; i < n; i++) max = x[i] > max ? x[i] : max;
    return max;
}

static float softmax_weights(float *x, uint32_t n) {
    lanes max = lanes_of(max_of(x, n)), sum = {0};
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes e = lanes_exp(lanes_load(x + i) - max);
        lanes_store(x + i, e);
        sum += e;
    }
    if (i < n) {
        lanes_store_part(x + i, lanes_exp(lanes_load_part(x + i, n - i) - max), n - i);
        sum += lanes_load_part(x + i, n - i);
    }
    return lanes_sum(sum);
}

ALWAYS_INLINE lanes silu(lanes x) {
    return x / (1.0f + lanes_exp(-x));
}

static void silu_gate(float *gate, const float *up, uint32_t n) {
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes_store(gate + i, silu(lanes_load(gate + i)) * lanes_load(up + i));
    lanes last = silu(lanes_load_part(gate + i, n - i)) * lanes_load_part(up + i, n - i);
    lanes_store_part(gate + i, last, n - i);
}

static void relu(float *x, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) x[i] = x[i] > 0 ? x[i] : 0;
}

/* Sum of (x - from)^2. */
static float sum_of_squares(const float *x, uint32_t n, float from) {
    lanes sum = {0};
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes d = lanes_load(x + i) - from;
        sum += d * d;
    }
    float rest = 0;
    for (; i < n; i++) rest += (x[i] - from) * (x[i] - from);
    return lanes_sum(sum) + rest;
}

static float sum_of(const float *x, uint32_t n) {
    lanes sum = {0};
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) sum += lanes_load(x + i);
    float rest = 0;
    for (; i < n; i++) rest += x[i];
    return lanes_sum(sum) + rest;
}

static void rms_norm(float *out, const float *x, const float *scale, uint32_t n, float eps) {
    float inverse = 1.0f / sqrtf(sum_of_squares(x, n, 0) / (float)n + eps);
    for (uint32_t i = 0; i < n; i++) out[i] = x[i] * inverse * scale[i];
}

static void layer_norm(float *out, const float *x, const float *scale, const float *shift,
                       uint32_t n, float eps) {
    float mean = sum_of(x, n) / (float)n;
    float inverse = 1.0f / sqrtf(sum_of_squares(x, n, mean) / (float)n + eps);
    for (uint32_t i = 0; i < n; i++) out[i] = (x[i] - mean) * inverse * scale[i] + shift[i];
}

/* The upper half of an fp32 is a bf16. */
static void widen_bf16(float *out, const uint16_t *in, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes_int bits = __builtin_convertvector(*(const halves *)(in + i), lanes_int);
        lanes_store(out + i, (lanes)(bits << 16));
    }
    for (; i < n; i++) {
        uint32_t bits = (uint32_t)in[i] << 16;
        memcpy(out + i, &bits, sizeof(bits));
    }
}

/* Exponent and mantissa land in their places with an exponent 112 too low, which the product
 * mends, subnormal numbers too; infinity and NaN get the highest exponent. */
ALWAYS_INLINE lanes half_lanes(lanes_int h) {
    lanes_int magnitude = (h & 0x7fff) << 13;
    lanes value = (lanes)magnitude * 0x1p112f;
    lanes_int no_number = magnitude >= 0x0f800000;
    lanes_int bits = (lanes_int)value | (no_number & 0x7f800000) | (h & 0x8000) << 16;
    return (lanes)bits;
}

static void widen_f16(float *out, const uint16_t *in, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes_store(out + i,
                    half_lanes(__builtin_convertvector(*(const halves *)(in + i), lanes_int)));
    if (i == n) return;
    uint16_t last[LANES] = {0};
    memcpy(last, in + i, (n - i) * sizeof(*in));
    lanes_store_part(out + i,
                     half_lanes(__builtin_convertvector(*(const halves *)last, lanes_int)),
                     (uint32_t)(n - i));
}

const cpu_kernels KERNEL(cpu_kernels) = {
    .name = KERNEL_QUOTE(KERNELS_VARIANT),
    .matmul = KERNEL(matmul),
    .mix = KERNEL(mix),
    .softmax_weights = softmax_weights,
    .silu_gate = silu_gate,
    .relu = relu,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .widen_bf16 = widen_bf16,
    .widen_f16 = widen_f16,
};
