/* cuda_executor.h - a transformer on a CUDA device behind executor.h: real tokens, KV blocks
 * and copies, in real time.
 *
 * One stream computes, one per direction copies. Blocks are
 *     [layer][K | V][token of block_tokens][kv_head][head_dim] in 16 bit,
 * on the device and in pinned memory of the host. Decodes run from CUDA graphs, one for each
 * size of batch; inside a horizon the next iteration is enqueued before the one at hand has
 * been read, unless the plan may end with it.
 *
 * Time: as in cpu_executor.h, the clock stands still between two calls of next(). Prompts are
 * made up (token_table.h). Padding of a plan is not computed.
 * deterministic: outputs do not depend on the schedule, nor do the bits of recomputed KV;
 * slower (no graphs, products in slices).
 *
 * After an error of the device its executor is good for nothing but destroy, which gives all
 * memory back. Iterations of a plan that had ended well by then are reported before the error.
 * Threads: one owner. */
#ifndef CUDA_EXECUTOR_H
#define CUDA_EXECUTOR_H

#ifdef __cplusplus
extern "C" { /* its own includes, too: they are plain C */
#endif

#include "cost_model.h"
#include "executor.h"
#include "model.h"
#include "sampling_options.h"

typedef struct cuda_executor_config {
    const model *weights;      /* borrowed; NULL: random ones of this shape */
    const model_config *shape; /* borrowed; that of the model */
    bool half;                 /* fp16; else bf16 */
    uint32_t block_tokens, n_device_blocks, n_host_blocks;
    uint32_t max_batched_tokens; /* of an iteration */
    uint32_t max_seqs;           /* of a batch */
    uint32_t max_model_len;      /* tokens of a sequence */
    bool deterministic, stops_at_eos;
    uint64_t seed; /* of prompts and random weights */
    sampling_options sampling;
    const cost_model *costs;    /* what completions estimate recompute_s by; NULL: 0 */
    const char *cublas_library; /* path of libcublasLt; NULL: where it is found */
    /* Outputs of a request that finished, in the order of finishing; tokens [n]. Called by
     * next(). NULL: nobody wants them. */
    void (*finished)(void *context, uint64_t request_id, const uint32_t *tokens, uint32_t n);
    void *finished_context;
    /* Products whose algorithm was found before, one line each (gemm_record_write), and where
     * lines of those that are found now go. Lines of another device or library do no harm. */
    const char *const *algorithms; /* [n_algorithms] */
    uint32_t n_algorithms;
    void (*found)(void *context, const char *algorithm);
    void (*progress)(void *context, uint32_t n, uint32_t all); /* of finding; may be NULL */
    void *found_context;                                       /* of both */
} cuda_executor_config;

typedef struct cuda_device {
    char name[256];
    uint64_t memory_bytes, free_bytes;
    uint32_t n_sms, major, minor; /* compute capability */
    int driver, runtime;          /* 13000: CUDA 13.0 */
} cuda_device;

/* 16-token blocks, 8192 tokens and 256 sequences per iteration, bf16, greedy, seed 0; shape,
 * lengths and pools are to be set. */
cuda_executor_config cuda_executor_defaults(void);

/* The first device. ST_NOT_FOUND: no driver or no device, or built without CUDA; ST_VERSION: a
 * driver before CUDA 13.0, or a device before compute capability 8.0; ST_BUSY; ST_IO. */
MUST_USE status cuda_device_open(cuda_device *out, errbuf *err);

/* Bytes of a block over all layers. */
uint64_t cuda_executor_block_bytes(const model_config *c, uint32_t block_tokens);

/* ST_INVALID: a setting that cannot be; ST_NO_MEMORY: it does not fit, with the numbers, before
 * anything is loaded; errors of cuda_device_open(). Release with out->destroy, which waits for
 * the device. */
MUST_USE status cuda_executor_create(executor *out, const cuda_executor_config *config,
                                     errbuf *err);

#ifdef __cplusplus
}
#endif
#endif
