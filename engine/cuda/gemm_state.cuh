/* gemm_state.cuh - what gemm.cu and gemm_search.cu share: the table of products. */
#ifndef GEMM_STATE_CUH
#define GEMM_STATE_CUH

#include "cublaslt_library.cuh"
#include "gemm.cuh"

/* One bucket of a product. */
typedef struct gemm_pinned {
    cublasLtMatrixLayout_t x, out; /* NULL: not made yet */
    cublasLtMatmulAlgo_t algo;
    bool found; /* algo is set */
    bool ready; /* it has been run */
} gemm_pinned;

typedef struct gemm_entry {
    gemm_product product;
    uint32_t n_rows_max;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t w;
    gemm_pinned pinned[GEMM_N_BUCKETS];
} gemm_entry;

struct gemm {
    cublaslt_library lt;
    gemm_options options;
    cublasLtHandle_t handle;
    cublasLtMatmulPreference_t preference;
    void *workspace;
    uint64_t version;
    char device[256];
    gemm_entry **entries; /* [n_entries] by id */
    uint32_t n_entries;
};

/* Place of a bucket in pinned[], and the rows of the bucket at a place. */
uint32_t gemm_bucket_index(uint32_t n_rows);
uint32_t gemm_bucket_rows(uint32_t index);

/* The first and one past the last place that a product uses. */
void gemm_wanted(const gemm *g, const gemm_entry *e, uint32_t *begin, uint32_t *end);

/* Makes the layouts of a bucket unless they are there. */
MUST_USE status gemm_make_layouts(gemm *g, gemm_entry *e, uint32_t index, errbuf *err);

/* Queues one product of the bucket's rows by its algorithm. */
MUST_USE status gemm_multiply(gemm *g, cudaStream_t stream, gemm_entry *e, uint32_t index,
                              const gemm_operands *o, errbuf *err);

/* Bytes of one number of a product's out. */
static inline size_t gemm_out_bytes(const gemm_product *p) {
    return p->float_out ? 4 : 2;
}

#endif
