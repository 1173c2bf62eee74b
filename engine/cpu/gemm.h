/* gemm.h - products of activations with weights as they are stored.
 *
 * Few tokens go through the kernels of this folder: they read each weight once and are bound by
 * memory. Many tokens go through OpenBLAS's sgemm_ where it is built in, by the Fortran symbol
 * alone: GSL brings a library of its own that defines cblas_sgemm. Without it, and when results
 * must not depend on the number of tokens, the kernels do it all.
 * 16-bit weights are widened a panel of outputs at a time into the caller's scratch.
 *
 * OpenBLAS keeps its number of threads for the whole process; gemm_init sets it to 1, since
 * callers split the outputs among their own. Threads: any number, each with its own scratch. */
#ifndef GEMM_H
#define GEMM_H

#include "kernels.h"
#include "tensor_view.h"

typedef struct gemm {
    const cpu_kernels *kernels;
    bool use_blas; /* for many tokens */
} gemm;

/* out[t][o] = x[t] . w[o], plus bias[o] (unless NULL), plus what out held with `accumulate`. */
typedef struct gemm_args {
    const tensor_view *w; /* [n_outputs, n_inputs] */
    const float *bias;    /* [n_outputs] or NULL */
    const float *x;       /* [n_tokens, n_inputs] */
    uint32_t n_tokens;
    float *out; /* [n_tokens, n_outputs] */
    bool accumulate;
} gemm_args;

/* The fastest kernels; deterministic: without OpenBLAS. */
void gemm_init(gemm *g, bool deterministic);

/* What multiplies many tokens: "OpenBLAS 0.3.21 ..." or "built-in". */
const char *gemm_provider(void);

/* Floats of scratch that widening the rows of w needs; 0 for fp32. */
size_t gemm_scratch_floats(const tensor_view *w);

/* Computes outputs [first, end). scratch has room for gemm_scratch_floats(a->w). */
void gemm_run(const gemm *g, const gemm_args *a, uint32_t first, uint32_t end, float *scratch);

#endif
