/* device_pass.cuh - one pass of a transformer on the device: kernels and products in the order
 * of its layers.
 *
 *     x = embedding (+ position)
 *     each layer:  x += o(attention(q, k, v of norm(x)));  x += down(act(up of norm(x)))
 *     logits = head(norm(x)), of the rows that sample
 * A sum is added by the norm behind it. OPT without do_layer_norm_before has each norm behind
 * the sum instead.
 *
 * Rows: those of chunks come first, in tiles; then single tokens, which take the kernel for
 * decoding. All arrays of a batch are on the device, so that a pass can be captured: with equal
 * counts it is the same launches, whatever the arrays hold by then.
 *
 * deterministic: every row is in a tile, and products run in slices (gemm.cuh); then the bits
 * of a row depend on its own sequence only. Threads: one owner; one pass at a time.
 * device_pass_run neither allocates nor waits. */
#ifndef DEVICE_PASS_CUH
#define DEVICE_PASS_CUH

#include "attention.cuh"
#include "device_model.cuh"
#include "gemm.cuh"

typedef struct device_pass device_pass;

typedef struct device_pass_options {
    uint32_t max_rows;    /* of a pass */
    uint32_t max_samples; /* rows whose logits are wanted */
    uint32_t max_context; /* tokens of a sequence: decides how decoding is split */
    gemm_options gemm;    /* its dtype is the model's */
} device_pass_options;

/* The arrays of rows are as long as rows.n_rows, sample_rows as n_samples. */
typedef struct pass_batch {
    device_rows rows;
    const attention_tile *tiles; /* [n_tiles] over rows [0, n_rows - n_single) */
    uint32_t n_tiles, n_single;
    const uint32_t *sample_rows;
    uint32_t n_samples;
    const uint32_t *stopped; /* as in kernels; NULL: never */
} pass_batch;

/* Bytes on the device that a pass takes: for good, and while it finds algorithms. */
typedef struct device_pass_memory {
    size_t lasting, passing;
} device_pass_memory;
device_pass_memory device_pass_bytes(const model_config *c, const device_pass_options *o,
                                     uint32_t n_sms);

/* Memory for activations, and the products of all layers announced to a gemm of its own. The
 * arena's shape is that of the model. On error *out is not written. ST_INVALID: a shape that
 * the kernels do not have; ST_NO_MEMORY; errors of gemm_create(). */
MUST_USE status device_pass_create(device_pass **out, const device_model *m,
                                   const device_pass_options *o, errbuf *err);

/* p may be NULL. Nothing of it may still run. */
void device_pass_destroy(device_pass *p);

/* Its products, to use records and to prepare before the first run. */
gemm *device_pass_gemm(device_pass *p);

/* Enqueues a pass over blocks of `arena`, whose tables are in the batch. ST_INVALID: more rows
 * or samples than announced. ST_IO. */
MUST_USE status device_pass_run(device_pass *p, cudaStream_t stream, const kv_arena *arena,
                                const pass_batch *b, errbuf *err);

/* [n_samples of the batch, vocab] on the device, valid until the next pass. */
float *device_pass_logits(device_pass *p);

#endif
