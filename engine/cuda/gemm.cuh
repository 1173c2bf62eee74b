/* gemm.cuh - products of activations and weights by cuBLASLt.
 *
 *   out[n_rows, n_out] = x[n_rows, n_in] . w[n_out, n_in]^T (+ bias[n_out]) (relu)
 *
 * Row-major on our side; x, w, bias in 16 bit, sums in float, out in 16 bit or float.
 *
 * Row counts are rounded up to buckets, and each product has one algorithm pinned for each of
 * its buckets, the fastest of those that the library's heuristic names: few graphs and few
 * algorithms serve all batches. The rows behind n_rows are computed from whatever the buffers
 * hold.
 *
 * deterministic: products run in slices of 64 rows, all by one algorithm that splits no sum and
 * was seen to give the same bits in each row of a slice, so a row's bits depend neither on the
 * batch nor on its place in it. The algorithm is then the heuristic's first, not the fastest,
 * so that they do not depend on a timing either.
 *
 * Splits, otherwise, are summed in float and in a fixed order: equal calls give equal bits.
 * Threads: one owner; the products of one gemm run on one stream at a time (they share a
 * workspace). gemm_run allocates nothing and waits for nothing, so graphs may capture it. */
#ifndef GEMM_CUH
#define GEMM_CUH

#include "kernel_types.cuh"

enum { GEMM_ROWS_MAX = 8192, GEMM_N_BUCKETS = 50, GEMM_SLICE_ROWS = 64 };
enum { GEMM_RECORD_TEXT_BYTES = 512 };

typedef struct gemm gemm;

typedef struct gemm_options {
    device_dtype dtype;
    size_t workspace_bytes; /* on the device, for split sums */
    size_t cold_bytes;      /* timed products cycle through weights of this size, which should
                             * exceed the L2 cache: in use, weights are never in it */
    bool deterministic;
} gemm_options;

/* bf16, 32 MiB of workspace (what NVIDIA names for Hopper), 128 MiB cold, not deterministic. */
gemm_options gemm_options_defaults(void);

/* What sets products apart; the weights themselves do not. */
typedef struct gemm_product {
    uint32_t n_out, n_in;
    bool float_out; /* else 16 bit */
    bool bias;      /* 16 bit; not with float_out, which cuBLASLt does not have */
    bool relu;      /* behind the bias */
} gemm_product;

/* An algorithm that was found, for a cache that outlives the process. It is of use only for
 * equal library, device, dtype and mode. */
typedef struct gemm_algo_record {
    gemm_product product;
    uint32_t bucket;
    device_dtype dtype;
    bool deterministic;
    unsigned char algo[64]; /* cublasLtMatmulAlgo_t */
    uint64_t version;       /* of cuBLASLt */
    char device[256];       /* its name */
} gemm_algo_record;

/* Rows that n_rows (1 to GEMM_ROWS_MAX) round up to: 1, 2, 4, ... 64, multiples of 64 to 512,
 * of 128 to 2048, of 256 to 8192. */
uint32_t gemm_bucket(uint32_t n_rows);

/* Opens the library and makes a gemm for the current device. On error *out is not written.
 * ST_NOT_FOUND: no library; ST_VERSION: it lacks a function; ST_NO_MEMORY; ST_IO. */
MUST_USE status gemm_create(gemm **out, const gemm_options *o, errbuf *err);

/* g may be NULL. Nothing of g may still run. */
void gemm_destroy(gemm *g);

/* Announces a product of up to n_rows_max rows; its number to *id (equal products: equal ids).
 * ST_INVALID: a value that err names; ST_NO_MEMORY. */
MUST_USE status gemm_add(gemm *g, uint32_t *id, const gemm_product *p, uint32_t n_rows_max,
                         errbuf *err);

/* Rows of x that products of n_rows read, and of out that they write: the bucket, or whole
 * slices where deterministic. */
uint32_t gemm_rows_touched(bool deterministic, uint32_t n_rows);

/* Bytes on the device that gemm_prepare takes for a while to time one of these products of up
 * to n_rows_max rows; among several, the largest counts. */
typedef struct gemm_scratch_bytes {
    size_t w, x, out, bias;
} gemm_scratch_bytes;
void gemm_scratch_grow(gemm_scratch_bytes *b, const gemm_options *o, const gemm_product *p,
                       uint32_t n_rows_max);

/* Pins a recorded algorithm for its bucket; the product has been added. ST_VERSION: made by
 * another library, device, dtype or mode. ST_INVALID: the library refuses it. ST_NOT_FOUND: no
 * such product or bucket is wanted. In each case g is as before. */
MUST_USE status gemm_use_record(gemm *g, const gemm_algo_record *r, errbuf *err);

/* Finds algorithms for all buckets that lack one and runs each pinned one once, so that the
 * library loads its kernels before a graph is captured. Takes scratch memory on the device for
 * the largest product meanwhile, and waits for the device. progress may be NULL; it is told how
 * many of all buckets are ready. ST_NO_MEMORY; ST_IO: the device refused all candidates. */
MUST_USE status gemm_prepare(gemm *g, void (*progress)(void *context, uint32_t n, uint32_t all),
                             void *context, errbuf *err);

/* The i-th algorithm that is pinned, in order of product and bucket; false: there is none. */
bool gemm_record(const gemm *g, gemm_algo_record *out, uint32_t i);

/* One line without its newline, to text[GEMM_RECORD_TEXT_BYTES], and back. ST_FORMAT. */
void gemm_record_write(char *text, const gemm_algo_record *r);
MUST_USE status gemm_record_read(gemm_algo_record *out, const char *text, errbuf *err);

/* Where a product reads and writes on the device; each aligned to 16 bytes. */
typedef struct gemm_operands {
    void *out;        /* [gemm_rows_touched, n_out] */
    const void *x;    /* [gemm_rows_touched, n_in] */
    const void *w;    /* [n_out, n_in] */
    const void *bias; /* [n_out]; NULL for a product without one */
} gemm_operands;

/* Runs the product `id` on the first n_rows rows. ST_INVALID: a value that err names, or the
 * bucket is not prepared. ST_IO. */
MUST_USE status gemm_run(gemm *g, cudaStream_t stream, uint32_t id, const gemm_operands *o,
                         uint32_t n_rows, errbuf *err);

#endif
