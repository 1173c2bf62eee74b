/* kernels.h - the inner loops of the CPU engine, one table of them per instruction set.
 *
 * The loops are plain C over vectors of a fixed number of lanes (kernels_variant.h) and are
 * compiled once per instruction set; cpu_kernels_best() takes what the processor has.
 *
 * Order of summation: fixed by the length of a sum alone, so a result does not depend on what
 * is computed beside it. Arrays need no alignment beyond their elements'.
 * Reference: plain loops, summed in double, in tests/unit/test_cpu_kernels.c. */
#ifndef KERNELS_H
#define KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* out[t][o] = x[t] . w[o], plus bias[o] (unless NULL), plus what out held with `accumulate`. */
typedef struct matmul_args {
    const float *x; /* [n_tokens, n_inputs], rows x_stride apart */
    size_t x_stride;
    uint32_t n_tokens;
    const float *w; /* [n_outputs, n_inputs], rows w_stride apart */
    size_t w_stride;
    uint32_t n_outputs, n_inputs;
    const float *bias; /* [n_outputs] or NULL */
    float *out;        /* [n_tokens, n_outputs], rows out_stride apart */
    size_t out_stride;
    bool accumulate;
} matmul_args;

/* out[r][i] += sum over j of p[r][j] * v[j][i]: the values of attention. */
typedef struct mix_args {
    const float *p; /* [n_rows, n_values], rows p_stride apart */
    size_t p_stride;
    uint32_t n_rows;
    const float *v; /* [n_values, n_dims], rows v_stride apart */
    size_t v_stride;
    uint32_t n_values, n_dims;
    float *out; /* [n_rows, n_dims], rows n_dims apart */
} mix_args;

typedef struct cpu_kernels {
    const char *name;
    void (*matmul)(const matmul_args *a);
    void (*mix)(const mix_args *a);

    /* x[i] = exp(x[i] - max of x); returns their sum. n is at least 1. */
    float (*softmax_weights)(float *x, uint32_t n);

    /* gate[i] = silu(gate[i]) * up[i]. */
    void (*silu_gate)(float *gate, const float *up, uint32_t n);

    /* x[i] = max(x[i], 0). */
    void (*relu)(float *x, uint32_t n);

    /* out = x / sqrt(mean of squares + eps) * scale; out may be x. */
    void (*rms_norm)(float *out, const float *x, const float *scale, uint32_t n, float eps);

    /* out = (x - mean) / sqrt(variance + eps) * scale + shift; out may be x. */
    void (*layer_norm)(float *out, const float *x, const float *scale, const float *shift,
                       uint32_t n, float eps);

    /* 16-bit values to fp32, exact. */
    void (*widen_bf16)(float *out, const uint16_t *in, size_t n);
    void (*widen_f16)(float *out, const uint16_t *in, size_t n);
} cpu_kernels;

/* All tables that this processor can run, the fastest first; *n is set, at least 1. */
const cpu_kernels *const *cpu_kernels_usable(size_t *n);

/* The first of them. */
const cpu_kernels *cpu_kernels_best(void);

#endif
