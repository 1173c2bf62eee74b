/* sample.h - one measurement: what was run, how long it took, under which conditions.
 *
 * Samples come from microbenchmarks on an executor and from imported tables. A whole iteration
 * and a single operator are described by the same features; what does not apply is 0. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "batch_shape.h"
#include "device_spec.h"

/* code, name in profiles.db and on the command line, what its features are */
#define OPERATIONS(X)                                                                          \
    X(OP_ITERATION, "iteration", "batch: a whole iteration, host time included")               \
    X(OP_SWAP_OUT, "swap_out", "copy: KV blocks to the host")                                  \
    X(OP_SWAP_IN, "swap_in", "copy: KV blocks to the device")                                  \
    X(OP_GEMM, "gemm", "batch.n_tokens rows times gemm_n x gemm_k weights")                    \
    X(OP_PREFILL_ATTENTION, "prefill_attention", "batch and heads: one layer")                 \
    X(OP_DECODE_ATTENTION, "decode_attention", "batch and heads: one layer")                   \
    X(OP_MIXED_ATTENTION, "mixed_attention", "batch and heads: one layer, one kernel")         \
    X(OP_LAYER, "layer", "batch.n_tokens: an operator called `part`, one call")                \
    X(OP_PER_SEQUENCE, "per_sequence", "batch.n_sampled: an operator called `part`, one call") \
    X(OP_ALL_REDUCE, "all_reduce", "copy.bytes over `tp` devices")                             \
    X(OP_HOST, "host", "batch.n_decode sequences: host time of one iteration")

typedef enum operation {
#define X(code, name, text) code,
    OPERATIONS(X)
#undef X
        N_OPERATIONS
} operation;

enum { SAMPLE_PART_MAX = 47 };

typedef struct sample {
    operation op;
    char part[SAMPLE_PART_MAX + 1]; /* operator within a layer ("mlp_up_proj"), else "" */
    uint32_t tp;                    /* tensor-parallel devices, at least 1 */

    batch_shape batch;
    uint32_t gemm_n, gemm_k;
    uint32_t n_heads, n_kv_heads, head_dim; /* on one device */
    double bytes;                           /* of a copy or a message */
    uint32_t n_blocks, n_segments;
    bool other_direction_busy, compute_busy;

    double seconds;     /* mean over the repeats, above 0 */
    double deviation_s; /* standard deviation of one repeat; 0: not known */
    uint32_t n_repeats; /* at least 1 */
} sample;

#endif
