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
 * deterministic: nor do the bits of recomputed KV depend on the schedule; slower (no graphs,
 * products in slices).
 *
 * After an error of the device its executor is good for nothing but destroy, which gives all
 * memory back. Iterations of a plan that had ended well by then are reported before the error.
 * Threads: one owner. */
#ifndef CUDA_EXECUTOR_H
#define CUDA_EXECUTOR_H

#ifdef __cplusplus
extern "C" { /* its own includes, too: they are plain C */
#endif

#include "engine_config.h"
#include "executor.h"
#include "model.h"

typedef struct cuda_executor_config {
    const model *weights;      /* borrowed; NULL: random ones of this shape */
    const model_config *shape; /* borrowed; that of the model */
    bool half;                 /* fp16; else bf16 */
    uint32_t max_seqs;         /* of a batch */
    uint32_t max_model_len;    /* tokens of a sequence */
    engine_config common;
    /* Products whose algorithm was found before, one line each, and where the lines of all that
     * are in use go. Lines of another device or library do no harm. */
    const char *const *algorithms; /* [n_algorithms] */
    uint32_t n_algorithms;
    void (*use)(void *context, const char *algorithm);         /* may be NULL */
    void (*progress)(void *context, uint32_t n, uint32_t all); /* of finding; may be NULL */
    void *context;                                             /* of both */
} cuda_executor_config;

typedef struct cuda_device {
    char name[256];
    uint64_t free_bytes; /* of its memory */
    uint32_t n_sms;
} cuda_device;

/* The first device. ST_NOT_FOUND: no driver or no device, or built without CUDA; ST_VERSION: a
 * driver before CUDA 13.0, or a device before compute capability 8.0; ST_BUSY; ST_IO. */
MUST_USE status cuda_device_open(cuda_device *out, errbuf *err);

/* ST_INVALID: a setting that cannot be; ST_NO_MEMORY: it does not fit, with the numbers, before
 * anything is loaded; errors of cuda_device_open(). Release with out->destroy, which waits for
 * the device. */
MUST_USE status cuda_executor_create(executor *out, const cuda_executor_config *config,
                                     errbuf *err);

#ifdef __cplusplus
}
#endif
#endif
