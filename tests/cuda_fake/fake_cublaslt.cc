/* fake_cublaslt.cc - see cublasLt.h. */
#include "cublasLt.h"

#include <vector>

#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "fake_launch.h"

enum { SPLITS = 1, UNEVEN = 2, PLAIN = 3 };
enum { WORKSPACE_BYTES = 16, UNEVEN_FROM_COLUMN = 32 };
static const uint64_t algo_mark = 0x616c676f; /* told from other bits by it */

struct fake_lt_handle {
    int unused;
};
struct fake_lt_layout {
    cudaDataType type;
    uint64_t rows, cols, ld;
};
struct fake_lt_operation {
    cublasOperation_t transposed_a, transposed_b;
    cublasLtEpilogue_t epilogue;
    const void *bias;
};
struct fake_lt_preference {
    uint64_t workspace_bytes;
    uint32_t schemes;
    uint32_t alignments[4];
};

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
    *handle = new fake_lt_handle();
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}
size_t cublasLtGetVersion(void) {
    return 130000;
}

/* ------------------------------------------------------------ descriptions */

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld) {
    if (rows == 0 || cols == 0 || ld < (int64_t)rows) return CUBLAS_STATUS_INVALID_VALUE;
    *layout = new fake_lt_layout{type, rows, cols, (uint64_t)ld};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *operation,
                                        cublasComputeType_t compute_type,
                                        cudaDataType_t scale_type) {
    if (compute_type != CUBLAS_COMPUTE_32F || scale_type != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *operation =
        new fake_lt_operation{CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, NULL};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
    delete operation;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t take(void *to, size_t wanted, const void *value, size_t n_bytes) {
    if (n_bytes != wanted) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, value, n_bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t o,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t n_bytes) {
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return take(&o->transposed_a, sizeof(o->transposed_a), value, n_bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return take(&o->transposed_b, sizeof(o->transposed_b), value, n_bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return take(&o->epilogue, sizeof(o->epilogue), value, n_bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return take(&o->bias, sizeof(o->bias), value, n_bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
    *preference =
        new fake_lt_preference{0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t
cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                     cublasLtMatmulPreferenceAttributes_t attribute,
                                     const void *value, size_t n_bytes) {
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return take(&p->workspace_bytes, sizeof(p->workspace_bytes), value, n_bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        return take(&p->schemes, sizeof(p->schemes), value, n_bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: {
        uint32_t *at = &p->alignments[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES];
        return take(at, sizeof(*at), value, n_bytes);
    }
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

/* ------------------------------------------------------------ algorithms */

static uint64_t rows_of(cublasLtMatrixLayout_t m, cublasOperation_t o) {
    return o == CUBLAS_OP_N ? m->rows : m->cols;
}
static uint64_t cols_of(cublasLtMatrixLayout_t m, cublasOperation_t o) {
    return o == CUBLAS_OP_N ? m->cols : m->rows;
}

/* Whether the shapes and the types make a product that the library has. */
static bool fits(cublasLtMatmulDesc_t o, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                 cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d) {
    bool has_bias = o->epilogue & CUBLASLT_EPILOGUE_BIAS;
    return rows_of(a, o->transposed_a) == d->rows && cols_of(b, o->transposed_b) == d->cols &&
           cols_of(a, o->transposed_a) == rows_of(b, o->transposed_b) && c->rows == d->rows &&
           c->cols == d->cols && a->type == b->type && a->type != CUDA_R_32F &&
           c->type == d->type && (d->type == a->type || d->type == CUDA_R_32F) &&
           !(has_bias && d->type == CUDA_R_32F); /* would need a float bias */
}

static cublasLtMatmulAlgo_t make_algo(uint64_t id) {
    cublasLtMatmulAlgo_t algo = {{id, id == SPLITS ? 2u : 1u, 0, algo_mark, 0, 0, 0, id}};
    algo.data[2] =
        id == SPLITS ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE : CUBLASLT_REDUCTION_SCHEME_NONE;
    return algo;
}

static bool is_algo(const cublasLtMatmulAlgo_t *algo) {
    uint64_t id = algo->data[0];
    cublasLtMatmulAlgo_t made = make_algo(id);
    return id >= SPLITS && id <= PLAIN && memcmp(&made, algo, sizeof(made)) == 0;
}

cublasStatus_t
cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t operation,
                               cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                               cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                               cublasLtMatmulPreference_t preference, int n_wanted,
                               cublasLtMatmulHeuristicResult_t results[], int *n_found) {
    *n_found = 0;
    if (!fits(operation, a, b, c, d)) return CUBLAS_STATUS_NOT_SUPPORTED;
    for (uint64_t id = SPLITS; id <= PLAIN && *n_found < n_wanted; id++) {
        if (id == SPLITS && (!(preference->schemes & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) ||
                             preference->workspace_bytes < WORKSPACE_BYTES))
            continue;
        cublasLtMatmulHeuristicResult_t *r = &results[(*n_found)++];
        memset(r, 0, sizeof(*r));
        r->algo = make_algo(id);
        r->workspaceSize = id == SPLITS ? WORKSPACE_BYTES : 0;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t operation,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *result) {
    if (!fits(operation, a, b, c, d)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_algo(algo)) return CUBLAS_STATUS_NOT_SUPPORTED;
    result->workspaceSize = algo->data[0] == SPLITS ? WORKSPACE_BYTES : 0;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                     cublasLtMatmulAlgoConfigAttributes_t attribute,
                                     void *value, size_t n_bytes, size_t *n_written) {
    uint32_t found = attribute == CUBLASLT_ALGO_CONFIG_ID           ? (uint32_t)algo->data[0]
                     : attribute == CUBLASLT_ALGO_CONFIG_SPLITK_NUM ? (uint32_t)algo->data[1]
                     : attribute == CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME
                         ? (uint32_t)algo->data[2]
                         : 0;
    if (n_bytes != sizeof(found)) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(value, &found, sizeof(found));
    if (n_written) *n_written = sizeof(found);
    return CUBLAS_STATUS_SUCCESS;
}

/* ------------------------------------------------------------ products */

static float number(const void *m, cudaDataType type, size_t i) {
    if (type == CUDA_R_32F) return ((const float *)m)[i];
    if (type == CUDA_R_16F) return __half2float(((const __half *)m)[i]);
    return __bfloat162float(((const __nv_bfloat16 *)m)[i]);
}

static void put(void *m, cudaDataType type, size_t i, float x) {
    if (type == CUDA_R_32F)
        ((float *)m)[i] = x;
    else if (type == CUDA_R_16F)
        ((__half *)m)[i] = __float2half_rn(x);
    else
        ((__nv_bfloat16 *)m)[i] = __float2bfloat16_rn(x);
}

typedef std::vector<float> floats;

struct fake_product {
    fake_lt_operation o;
    fake_lt_layout a_layout, b_layout, c_layout, d_layout;
    const void *a, *b, *c;
    void *d;
    float alpha, beta;
    uint64_t algo;
};

/* The lines of a matrix of which sums are made: rows of op(a), columns of op(b), each as n
 * neighbours. */
static floats lines_of(const void *m, const fake_lt_layout *layout, bool along_columns) {
    size_t n = along_columns ? layout->rows : layout->cols;
    size_t n_lines = along_columns ? layout->cols : layout->rows;
    floats out(n * n_lines);
    for (size_t line = 0; line < n_lines; line++)
        for (size_t i = 0; i < n; i++)
            out[line * n + i] = number(
                m, layout->type, along_columns ? line * layout->ld + i : i * layout->ld + line);
    return out;
}

static float sum_of(const float *a, const float *b, size_t n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static float sum_from_end(const float *a, const float *b, size_t n) {
    float sum = 0;
    for (size_t i = n; i-- > 0;) sum += a[i] * b[i];
    return sum;
}

static float sum_by(uint64_t algo, const float *a, const float *b, size_t n, size_t col) {
    if (algo == SPLITS) return sum_of(a, b, n / 2) + sum_of(a + n / 2, b + n / 2, n - n / 2);
    if (algo == UNEVEN && col >= UNEVEN_FROM_COLUMN) return sum_from_end(a, b, n);
    return sum_of(a, b, n);
}

static float finish(const fake_product &p, float sum, size_t row, size_t col) {
    float x = p.alpha * sum;
    if (p.beta != 0) /* else c is not read, whatever it holds */
        x += p.beta * number(p.c, p.c_layout.type, col * p.c_layout.ld + row);
    if (p.o.epilogue & CUBLASLT_EPILOGUE_BIAS) x += number(p.o.bias, p.d_layout.type, row);
    bool cuts = p.o.epilogue & CUBLASLT_EPILOGUE_RELU;
    return cuts && x < 0 ? 0 : x; /* NaN stays */
}

static void multiply(const fake_product &p) {
    floats a = lines_of(p.a, &p.a_layout, p.o.transposed_a != CUBLAS_OP_N);
    floats b = lines_of(p.b, &p.b_layout, p.o.transposed_b == CUBLAS_OP_N);
    size_t n = p.o.transposed_a == CUBLAS_OP_N ? p.a_layout.cols : p.a_layout.rows;
    for (size_t col = 0; col < p.d_layout.cols; col++)
        for (size_t row = 0; row < p.d_layout.rows; row++) {
            float sum = sum_by(p.algo, &a[row * n], &b[col * n], n, col);
            put(p.d, p.d_layout.type, col * p.d_layout.ld + row, finish(p, sum, row, col));
        }
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation,
                              const void *alpha, const void *a, cublasLtMatrixLayout_t a_layout,
                              const void *b, cublasLtMatrixLayout_t b_layout, const void *beta,
                              const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream) {
    bool has_bias = operation->epilogue & CUBLASLT_EPILOGUE_BIAS;
    if (!fits(operation, a_layout, b_layout, c_layout, d_layout) || !a || !b || !c || !d ||
        has_bias != (operation->bias != NULL) || !is_algo(algo))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (algo->data[0] == SPLITS && (!workspace || workspace_bytes < WORKSPACE_BYTES))
        return CUBLAS_STATUS_INVALID_VALUE;
    fake_product p = {*operation,
                      *a_layout,
                      *b_layout,
                      *c_layout,
                      *d_layout,
                      a,
                      b,
                      c,
                      d,
                      *(const float *)alpha,
                      *(const float *)beta,
                      algo->data[0]};
    fake_call call = {};
    call.kind = FAKE_LIBRARY;
    call.name = "cublasLtMatmul";
    call.to = d;
    bool done = fake_enqueue(stream, call, [p] { multiply(p); }) == cudaSuccess;
    return done ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
