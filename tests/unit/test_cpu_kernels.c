/* test_cpu_kernels.c - each inner loop of the CPU engine, in every instruction set that this
 * processor has, against a plain loop summed in double.
 *
 * A sum of n products in fp32 is off by at most n * 2^-24 times the sum of their magnitudes
 * (Higham, Accuracy and Stability, 3.1), which is the bound here; inputs have outliers. */
#define _GNU_SOURCE /* dladdr */
#include "attention.h"
#include "gemm.h"
#include "rng.h"
#include "rope.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ROUNDING 0x1p-24

/* Mostly in [-1, 1), one in 50 a hundred times as large. */
static float *random_floats(size_t n, uint64_t stream) {
    float *x = malloc(n * sizeof(*x));
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        double u = 2 * rng_uniform(1, stream, i) - 1;
        x[i] = (float)(rng_bits(2, stream, i) % 50 ? u : 100 * u);
    }
    return x;
}

typedef struct wide_sum {
    double value, magnitude;
} wide_sum;

static void add(wide_sum *s, double term) {
    s->value += term;
    s->magnitude += fabs(term);
}

static void expect_sum(float got, wide_sum s, uint32_t n) {
    assert_true(fabs(got - s.value) <= (n + 4) * ROUNDING * s.magnitude);
}

/* All variants, best first. */
static size_t variants(const cpu_kernels *const **all) {
    size_t n;
    *all = cpu_kernels_usable(&n);
    assert_true(n >= 1);
    return n;
}

static const uint32_t shapes[][3] = {/* tokens, outputs, inputs */
                                     {1, 1, 1},   {1, 7, 64},   {8, 3, 16},     {9, 50, 33},
                                     {5, 4, 100}, {17, 49, 80}, {3, 100, 1030}, {26, 5, 2500}};

static void check_matmul(const cpu_kernels *k, const uint32_t shape[3], bool bias,
                         bool add_to) {
    uint32_t n_t = shape[0], n_o = shape[1], n_i = shape[2], stride = n_o + 3;
    float *x = random_floats((size_t)n_t * n_i, 1), *w = random_floats((size_t)n_o * n_i, 2);
    float *b = random_floats(n_o, 3), *before = random_floats((size_t)n_t * stride, 4);
    float *out = malloc((size_t)n_t * stride * sizeof(*out));
    memcpy(out, before, (size_t)n_t * stride * sizeof(*out));
    matmul_args a = {x, n_i, n_t, w, n_i, n_o, n_i, bias ? b : NULL, out, stride, add_to};
    k->matmul(&a);
    for (uint32_t t = 0; t < n_t; t++) {
        for (uint32_t o = 0; o < n_o; o++) {
            wide_sum s = {0};
            for (uint32_t i = 0; i < n_i; i++)
                add(&s, (double)x[(size_t)t * n_i + i] * w[(size_t)o * n_i + i]);
            if (bias) add(&s, b[o]);
            if (add_to) add(&s, before[t * stride + o]);
            expect_sum(out[t * stride + o], s, n_i);
        }
        for (uint32_t o = n_o; o < stride; o++)
            assert_memory_equal(&out[t * stride + o], &before[t * stride + o], sizeof(*out));
    }
    free(x), free(w), free(b), free(before), free(out);
}

static void matmul_is_the_plain_sum(void **state) {
    (void)state;
    const cpu_kernels *const *all;
    size_t n = variants(&all);
    for (size_t v = 0; v < n; v++)
        for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
            for (int mode = 0; mode < 4; mode++)
                check_matmul(all[v], shapes[i], mode & 1, mode & 2);
}

static void a_product_has_the_same_bits_alone_and_among_others(void **state) {
    (void)state;
    const cpu_kernels *const *all;
    size_t n = variants(&all);
    enum { T = 21, O = 53, I = 1111 };
    float *x = random_floats((size_t)T * I, 1), *w = random_floats((size_t)O * I, 2), out[T][O];
    for (size_t v = 0; v < n; v++) {
        matmul_args a = {x, I, T, w, I, O, I, NULL, &out[0][0], O, false};
        all[v]->matmul(&a);
        for (uint32_t t = 0; t < T; t++) {
            for (uint32_t o = 0; o < O; o++) {
                float alone;
                matmul_args one = {x + (size_t)t * I,
                                   I,
                                   1,
                                   w + (size_t)o * I,
                                   I,
                                   1,
                                   I,
                                   NULL,
                                   &alone,
                                   1,
                                   false};
                all[v]->matmul(&one);
                assert_memory_equal(&alone, &out[t][o], sizeof(alone));
            }
        }
    }
    free(x), free(w);
}

static void check_mix(const cpu_kernels *k, uint32_t n_rows, uint32_t n_values,
                      uint32_t n_dims) {
    uint32_t p_stride = n_values + 5, v_stride = n_dims + 7;
    float *p = random_floats((size_t)n_rows * p_stride, 1);
    float *v = random_floats((size_t)n_values * v_stride, 2);
    float *before = random_floats((size_t)n_rows * n_dims, 3);
    float *out = malloc((size_t)n_rows * n_dims * sizeof(*out));
    memcpy(out, before, (size_t)n_rows * n_dims * sizeof(*out));
    mix_args a = {p, p_stride, n_rows, v, v_stride, n_values, n_dims, out};
    k->mix(&a);
    for (uint32_t r = 0; r < n_rows; r++) {
        float *alone = before + (size_t)r * n_dims; /* the row by itself has the same bits */
        mix_args one = {p + r * p_stride, p_stride, 1, v, v_stride, n_values, n_dims, alone};
        for (uint32_t d = 0; d < n_dims; d++) {
            wide_sum s = {0};
            add(&s, alone[d]);
            for (uint32_t j = 0; j < n_values; j++)
                add(&s, (double)p[r * p_stride + j] * v[j * v_stride + d]);
            expect_sum(out[r * n_dims + d], s, n_values);
        }
        k->mix(&one);
        assert_memory_equal(alone, out + (size_t)r * n_dims, n_dims * sizeof(*out));
    }
    free(p), free(v), free(before), free(out);
}

static void mix_is_the_plain_sum_and_rows_do_not_meet(void **state) {
    (void)state;
    const cpu_kernels *const *all;
    size_t n = variants(&all);
    const uint32_t dims[] = {1, 16, 64, 80, 128, 100};
    for (size_t v = 0; v < n; v++)
        for (size_t d = 0; d < sizeof(dims) / sizeof(*dims); d++)
            for (uint32_t rows = 1; rows < 11; rows += 3) check_mix(all[v], rows, 37, dims[d]);
}

static void softmax_weights_are_exponentials_below_the_highest(void **state) {
    (void)state;
    const cpu_kernels *const *all;
    size_t n = variants(&all);
    for (size_t v = 0; v < n; v++) {
        for (uint32_t len = 1; len < 70; len++) {
            float *x = random_floats(len, len), got[70];
            memcpy(got, x, len * sizeof(*x));
            float sum = all[v]->softmax_weights(got, len), max = x[0];
            wide_sum s = {0};
            for (uint32_t i = 0; i < len; i++) max = x[i] > max ? x[i] : max;
            for (uint32_t i = 0; i < len; i++) {
                /* The difference is rounded, and as an exponent its error is relative. From -87
                 * on weights are no longer told apart. */
                double below = (double)x[i] - max, want = exp(below);
                if (below > -86)
                    assert_true(fabs(got[i] - want) <= (6 - below) * ROUNDING * want);
                else
                    assert_true(got[i] >= 0 && got[i] < 5e-38);
                add(&s, got[i]);
            }
            expect_sum(sum, s, len);
            free(x);
        }
    }
}

static void activations_match_their_formulas(void **state) {
    (void)state;
    const cpu_kernels *const *all;
    size_t n = variants(&all);
    enum { N = 1000 };
    float *x = random_floats(N, 5), *up = random_floats(N, 6), gate[N], rectified[N];
    for (size_t v = 0; v < n; v++) {
        memcpy(gate, x, sizeof(gate));
        memcpy(rectified, x, sizeof(rectified));
        all[v]->silu_gate(gate, up, N - 1);
        all[v]->relu(rectified, N - 1);
        for (int i = 0; i < N - 1; i++) {
            double want = x[i] / (1 + exp(-(double)x[i])) * up[i];
            assert_true(fabs(gate[i] - want) <= 12 * ROUNDING * fabs(want) + 1e-33);
            assert_true(rectified[i] == (x[i] > 0 ? x[i] : 0));
        }
        assert_true(gate[N - 1] == x[N - 1] && rectified[N - 1] == x[N - 1]);
    }
    free(x), free(up);
}

static void check_norms(const cpu_kernels *k, uint32_t n) {
    float *x = random_floats(n, n), *scale = random_floats(n, 7), *shift = random_floats(n, 8);
    float *out = malloc(n * sizeof(*out));
    double squares = 0, mean = 0, variance = 0, largest = 0;
    for (uint32_t i = 0; i < n; i++) squares += (double)x[i] * x[i], mean += x[i];
    mean /= n;
    for (uint32_t i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean);
    for (uint32_t i = 0; i < n; i++) largest = fmax(largest, fabs(x[i]));
    double bound = (n + 20) * ROUNDING; /* relative, of the sums */
    k->rms_norm(out, x, scale, n, 1e-5f);
    for (uint32_t i = 0; i < n; i++) {
        double want = x[i] / sqrt(squares / n + 1e-5) * scale[i];
        assert_true(fabs(out[i] - want) <= bound * fabs(want));
    }
    k->layer_norm(out, x, scale, shift, n, 1e-5f);
    for (uint32_t i = 0; i < n; i++) {
        double inverse = 1 / sqrt(variance / n + 1e-5);
        double want = (x[i] - mean) * inverse * scale[i] + shift[i];
        /* The mean is off by a share of the largest value. */
        double slack = bound * (largest * inverse * fabs(scale[i]) * (1 + largest * inverse) +
                                fabs(want) + fabs(shift[i]));
        assert_true(fabs(out[i] - want) <= slack);
    }
    free(x), free(scale), free(shift), free(out);
}

static void norms_match_their_formulas(void **state) {
    (void)state;
    const cpu_kernels *const *all;
    size_t n = variants(&all);
    for (size_t v = 0; v < n; v++) {
        check_norms(all[v], 3);
        check_norms(all[v], 64);
        check_norms(all[v], 1001);
    }
}

static void widening_is_exact_for_every_value_of_16_bits(void **state) {
    (void)state;
    const cpu_kernels *const *all;
    size_t n = variants(&all);
    enum { N = 65536 };
    uint16_t *in = malloc(N * sizeof(*in));
    float *bf = malloc(N * sizeof(*bf)), *half = malloc(N * sizeof(*half));
    for (uint32_t i = 0; i < N; i++) in[i] = (uint16_t)(i + 5); /* odd ends, too */
    for (size_t v = 0; v < n; v++) {
        all[v]->widen_bf16(bf, in, N - 3);
        all[v]->widen_f16(half, in, N - 3);
        for (uint32_t i = 0; i < N - 3; i++) {
            float want_bf = float_from_bfloat(in[i]), want_half = float_from_half(in[i]);
            assert_true(isnan(want_bf) ? isnan(bf[i]) : !memcmp(&bf[i], &want_bf, 4));
            assert_true(isnan(want_half) ? isnan(half[i]) : !memcmp(&half[i], &want_half, 4));
        }
    }
    free(in), free(bf), free(half);
}

static tensor_view stored(const float *w, void *room, tensor_dtype dtype, uint32_t rows,
                          uint32_t cols) {
    tensor_view v = {.data = room, .dtype = dtype, .rows = rows, .cols = cols};
    size_t n = (size_t)rows * cols;
    if (dtype == TENSOR_F32) memcpy(room, w, n * sizeof(*w));
    for (size_t i = 0; dtype != TENSOR_F32 && i < n; i++)
        ((uint16_t *)room)[i] =
            dtype == TENSOR_F16 ? half_from_float(w[i]) : bfloat_from_float(w[i]);
    return v;
}

static void check_gemm(tensor_dtype dtype, bool deterministic, uint32_t n_t, uint32_t mode) {
    enum { O = 90, I = 200 };
    gemm g;
    gemm_init(&g, deterministic);
    float *x = random_floats((size_t)n_t * I, 1), *w = random_floats((size_t)O * I, 2);
    float *bias = random_floats(O, 3), *out = random_floats((size_t)n_t * O, 4);
    float *before = random_floats((size_t)n_t * O, 4), *room = malloc((size_t)O * I * 4);
    tensor_view v = stored(w, room, dtype, O, I);
    tensor_to_floats(w, &v, 0, (size_t)O * I);
    float *scratch = malloc((gemm_scratch_floats(&v) + 1) * sizeof(*scratch));
    gemm_args a = {&v, mode & 1 ? bias : NULL, x, n_t, out, mode & 2};
    gemm_run(&g, &a, 0, 33, scratch); /* as two threads would */
    gemm_run(&g, &a, 33, O, scratch);
    for (uint32_t t = 0; t < n_t; t++) {
        for (uint32_t o = 0; o < O; o++) {
            wide_sum s = {0};
            for (uint32_t i = 0; i < I; i++)
                add(&s, (double)x[(size_t)t * I + i] * w[(size_t)o * I + i]);
            if (mode & 1) add(&s, bias[o]);
            if (mode & 2) add(&s, before[t * O + o]);
            expect_sum(out[t * O + o], s, I);
        }
    }
    free(x), free(w), free(bias), free(out), free(before), free(room), free(scratch);
}

static void gemm_is_the_plain_sum_however_weights_are_stored(void **state) {
    (void)state;
    for (int dtype = 0; dtype < N_TENSOR_DTYPES; dtype++)
        for (uint32_t mode = 0; mode < 8; mode++) {
            check_gemm((tensor_dtype)dtype, mode & 4, 3, mode);
            check_gemm((tensor_dtype)dtype, mode & 4, 70, mode);
        }
}

extern void sgemm_(void) __attribute__((weak));

static void sgemm_is_that_of_openblas(void **state) {
    (void)state;
    if (!strcmp(gemm_provider(), "built-in")) {
        print_message("built without OpenBLAS\n");
        skip();
    }
    assert_non_null(strstr(gemm_provider(), "OpenBLAS"));
    void (*symbol)(void) = sgemm_;
    void *address;
    memcpy(&address, &symbol, sizeof(address));
    Dl_info info;
    assert_int_not_equal(dladdr(address, &info), 0);
    assert_non_null(strstr(info.dli_fname, "openblas"));
}

enum { BLOCK = 5, LEN = 43, HEADS = 6, KV_HEADS = 2, DIM = 24, N_BLOCKS = 11, LAYERS = 2 };

static const kv_layout layout = {BLOCK, LAYERS, KV_HEADS, DIM};

static const float *kv_of(float *arena, const uint32_t *blocks, uint32_t position,
                          uint32_t head, kv_part part) {
    return kv_layout_rows(&layout, arena, blocks[position / BLOCK], 1, part) +
           position % BLOCK * KV_HEADS * DIM + head * DIM;
}

/* Attention of one query head, in double. */
static void plain_attention(double out[DIM], const float *q, float *arena,
                            const uint32_t *blocks, uint32_t position, uint32_t kv_head) {
    double weights[LEN], sum = 0, highest = -1e300;
    for (uint32_t j = 0; j <= position; j++) {
        const float *k = kv_of(arena, blocks, j, kv_head, KV_KEYS);
        weights[j] = 0;
        for (int i = 0; i < DIM; i++) weights[j] += (double)q[i] * k[i] / sqrt(DIM);
        highest = fmax(highest, weights[j]);
    }
    for (uint32_t j = 0; j <= position; j++) sum += weights[j] = exp(weights[j] - highest);
    for (int i = 0; i < DIM; i++) {
        out[i] = 0;
        for (uint32_t j = 0; j <= position; j++)
            out[i] += weights[j] / sum * kv_of(arena, blocks, j, kv_head, KV_VALUES)[i];
    }
}

static void attention_over_shuffled_blocks_is_the_plain_one(void **state) {
    (void)state;
    const uint32_t blocks[] = {7, 2, 9, 0, 5, 10, 1, 8, 4};
    size_t n_floats = N_BLOCKS * kv_layout_block_floats(&layout);
    float *arena = random_floats(n_floats, 1), *q = random_floats(LEN * HEADS * DIM, 2);
    for (size_t i = 0; i < n_floats; i++) arena[i] /= 8; /* scores that do not pick one key */
    float *out = calloc(LEN * HEADS * DIM, sizeof(*out));
    attention a;
    attention_init(&a, cpu_kernels_best(), &layout, HEADS, LEN);
    float *scratch = malloc(attention_scratch_floats(&a) * sizeof(*scratch));
    for (uint32_t first = 0; first < LEN; first += a.tile_tokens)
        for (uint32_t head = 0; head < KV_HEADS; head++) {
            uint32_t n = LEN - first < a.tile_tokens ? LEN - first : a.tile_tokens;
            size_t at = (size_t)first * HEADS * DIM;
            attention_tile t = {arena, blocks, 1, head, first, n, q + at, out + at};
            attention_run(&a, &t, scratch);
        }
    for (uint32_t p = 0; p < LEN; p++)
        for (uint32_t head = 0; head < HEADS; head++) {
            double want[DIM];
            size_t at = ((size_t)p * HEADS + head) * DIM;
            plain_attention(want, q + at, arena, blocks, p, head / (HEADS / KV_HEADS));
            /* Scores of some tens are off by 1e-6, and with them the weights of values up
             * to 13. */
            for (int i = 0; i < DIM; i++)
                assert_true(fabs(out[at + (size_t)i] - want[i]) <= 1e-4);
        }
    free(arena), free(q), free(out), free(scratch);
}

static void rope_turns_pairs_by_position_times_frequency(void **state) {
    (void)state;
    enum { N = 8, POSITION = 1234 };
    model_config c = {.head_dim = 2 * N, .rope_theta = 10000};
    float f[N], cosines[N], sines[N], head[2 * N], *x = random_floats(2 * N, 1);
    rope_frequencies(f, &c);
    rope_angles(cosines, sines, f, N, POSITION);
    memcpy(head, x, sizeof(head));
    rope_turn(head, cosines, sines, N);
    for (int i = 0; i < N; i++) {
        double frequency = pow(10000, -i / (double)N), angle = POSITION * frequency;
        assert_true(fabs(f[i] - frequency) <= 4 * ROUNDING * frequency);
        double size = fabs(x[i]) + fabs(x[i + N]), slack = (1e-6 + angle * 3e-7) * size;
        assert_true(fabs(head[i] - (x[i] * cos(angle) - x[i + N] * sin(angle))) <= slack);
        assert_true(fabs(head[i + N] - (x[i + N] * cos(angle) + x[i] * sin(angle))) <= slack);
    }
    free(x);
}

static void rope_scaling_stretches_what_it_should(void **state) {
    (void)state;
    enum { N = 64 };
    model_config c = {.head_dim = 2 * N, .rope_theta = 500000};
    float plain[N], scaled[N];
    rope_frequencies(plain, &c);
    c.rope = (rope_scaling){.kind = ROPE_LINEAR, .factor = 4};
    rope_frequencies(scaled, &c);
    for (int i = 0; i < N; i++) assert_true(scaled[i] == plain[i] / 4);
    c.rope = (rope_scaling){ROPE_LLAMA3, 8, 1, 4, 8192};
    rope_frequencies(scaled, &c);
    int n_between = 0;
    for (int i = 0; i < N; i++) {
        double wavelength = 2 * acos(-1) / plain[i];
        double smooth = fmin(fmax((8192 / wavelength - 1) / 3, 0), 1);
        double want = plain[i] * (smooth + (1 - smooth) / 8);
        n_between += smooth > 0 && smooth < 1;
        assert_true(fabs(scaled[i] - want) <= 1e-6 * want);
    }
    assert_true(n_between > 0 && scaled[0] == plain[0] && scaled[N - 1] == plain[N - 1] / 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_is_the_plain_sum),
        cmocka_unit_test(a_product_has_the_same_bits_alone_and_among_others),
        cmocka_unit_test(mix_is_the_plain_sum_and_rows_do_not_meet),
        cmocka_unit_test(softmax_weights_are_exponentials_below_the_highest),
        cmocka_unit_test(activations_match_their_formulas),
        cmocka_unit_test(norms_match_their_formulas),
        cmocka_unit_test(widening_is_exact_for_every_value_of_16_bits),
        cmocka_unit_test(gemm_is_the_plain_sum_however_weights_are_stored),
        cmocka_unit_test(sgemm_is_that_of_openblas),
        cmocka_unit_test(attention_over_shuffled_blocks_is_the_plain_one),
        cmocka_unit_test(rope_turns_pairs_by_position_times_frequency),
        cmocka_unit_test(rope_scaling_stretches_what_it_should),
    };
    return cmocka_run_group_tests_name("cpu_kernels", tests, NULL, NULL);
}
