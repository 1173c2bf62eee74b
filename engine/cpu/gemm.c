/* gemm.c - which of the two ways a product goes, and panels of 16-bit weights. See gemm.h. */
#include "gemm.h"

#include <assert.h>

/* Panels: the one of the kernels stays in the L2 cache; that of sgemm_, which packs x anew for
 * each, is larger. */
enum { KERNEL_PANEL_FLOATS = 1 << 16, BLAS_PANEL_FLOATS = 1 << 20 };

/* From this number of tokens on sgemm_ is the faster one, timed over weights beyond
 * the L2 cache. */
enum { BLAS_TOKENS_MIN = 24 };

#ifdef HAVE_OPENBLAS
extern void sgemm_(const char *trans_a, const char *trans_b, const int *m, const int *n,
                   const int *k, const float *alpha, const float *a, const int *lda,
                   const float *b, const int *ldb, const float *beta, float *c, const int *ldc);
extern void openblas_set_num_threads(int n);
extern char *openblas_get_config(void);

static bool has_blas(void) {
    return true;
}

const char *gemm_provider(void) {
    return openblas_get_config();
}

static void start_from(const matmul_args *m) {
    for (uint32_t t = 0; t < m->n_tokens; t++) {
        float *out = m->out + t * m->out_stride;
        for (uint32_t o = 0; o < m->n_outputs; o++)
            out[o] = (m->accumulate ? out[o] : 0) + (m->bias ? m->bias[o] : 0);
    }
}

/* Row-major out = x * w^T is, by columns, out^T = w * x^T. */
static void blas_matmul(const matmul_args *m) {
    int n_outputs = (int)m->n_outputs, n_tokens = (int)m->n_tokens, n_inputs = (int)m->n_inputs;
    int w_stride = (int)m->w_stride, x_stride = (int)m->x_stride;
    int out_stride = (int)m->out_stride;
    bool keep = m->accumulate || m->bias;
    if (m->bias) start_from(m);
    float one = 1, beta = keep ? 1 : 0;
    sgemm_("T", "N", &n_outputs, &n_tokens, &n_inputs, &one, m->w, &w_stride, m->x, &x_stride,
           &beta, m->out, &out_stride);
}
#else
static bool has_blas(void) {
    return false;
}

const char *gemm_provider(void) {
    return "built-in";
}

static void openblas_set_num_threads(int n) {
    (void)n;
}

static void blas_matmul(const matmul_args *m) {
    (void)m;
    assert(0);
}
#endif

void gemm_init(gemm *g, bool deterministic) {
    *g = (gemm){.kernels = cpu_kernels_best(), .use_blas = has_blas() && !deterministic};
    if (g->use_blas) openblas_set_num_threads(1);
}

size_t gemm_scratch_floats(const tensor_view *w) {
    if (w->dtype == TENSOR_F32) return 0;
    size_t most = w->cols > BLAS_PANEL_FLOATS ? w->cols : BLAS_PANEL_FLOATS;
    size_t all = (size_t)w->rows * w->cols;
    return all < most ? all : most;
}

/* Rows [first, first + n) of w as fp32: in place, or in scratch. */
static const float *panel(const gemm *g, const tensor_view *w, uint32_t first, uint32_t n,
                          float *scratch) {
    size_t at = (size_t)first * w->cols, n_values = (size_t)n * w->cols;
    switch (w->dtype) {
    case TENSOR_F16:
        g->kernels->widen_f16(scratch, (const uint16_t *)w->data + at, n_values);
        return scratch;
    case TENSOR_BF16:
        g->kernels->widen_bf16(scratch, (const uint16_t *)w->data + at, n_values);
        return scratch;
    default:
        assert(w->dtype == TENSOR_F32);
        return (const float *)w->data + at;
    }
}

static uint32_t panel_outputs(const tensor_view *w, bool blas) {
    if (w->dtype == TENSOR_F32) return w->rows;
    uint32_t n = (uint32_t)(blas ? BLAS_PANEL_FLOATS : KERNEL_PANEL_FLOATS) / w->cols;
    return n ? n : 1;
}

void gemm_run(const gemm *g, const gemm_args *a, uint32_t first, uint32_t end, float *scratch) {
    bool blas = g->use_blas && a->n_tokens >= BLAS_TOKENS_MIN;
    uint32_t step = panel_outputs(a->w, blas);
    for (uint32_t o = first; o < end; o += step) {
        uint32_t n = end - o < step ? end - o : step;
        matmul_args m = {.x = a->x,
                         .x_stride = a->w->cols,
                         .n_tokens = a->n_tokens,
                         .w = panel(g, a->w, o, n, scratch),
                         .w_stride = a->w->cols,
                         .n_outputs = n,
                         .n_inputs = a->w->cols,
                         .bias = a->bias ? a->bias + o : NULL,
                         .out = a->out + o,
                         .out_stride = a->w->rows,
                         .accumulate = a->accumulate};
        if (blas)
            blas_matmul(&m);
        else
            g->kernels->matmul(&m);
    }
}
