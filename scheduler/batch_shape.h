/* batch_shape.h - what the cost of an iteration follows from: sums over its batch.
 *
 * The truth (a latency source, a device) and the belief (the predictor) speak of batches in
 * these terms. */
#ifndef BATCH_SHAPE_H
#define BATCH_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

/* A prefill chunk of q new tokens behind k cached ones attends to q * k + q * (q + 1) / 2
 * pairs. */
typedef struct batch_shape {
    uint32_t n_tokens;          /* new tokens of all sequences, decodes included */
    uint32_t n_sampled;         /* sequences that get a token: rows of the output head */
    uint32_t n_prefill;         /* prefill chunks */
    uint32_t n_prefill_tokens;  /* their new tokens */
    uint64_t prefill_pairs;     /* sum over chunks of query-key pairs under the causal mask */
    uint64_t prefill_kv_tokens; /* sum over chunks of cached + new tokens */
    uint32_t n_decode;          /* sequences that decode one token */
    uint64_t decode_kv_tokens;  /* sum of their contexts, the new token included */
    uint64_t decode_kv_max; /* the longest of them: unequal contexts cost more than equal ones
                             */
} batch_shape;

/* Adds a chunk of n new tokens behind n_before cached ones; a chunk of one token is a decode,
 * as the kernels have it. */
static inline void batch_shape_add_chunk(batch_shape *b, uint64_t n_before, uint32_t n,
                                         bool samples) {
    b->n_tokens += n;
    b->n_sampled += samples;
    if (n == 1) {
        b->n_decode++;
        b->decode_kv_tokens += n_before + 1;
        if (b->decode_kv_max < n_before + 1) b->decode_kv_max = n_before + 1;
        return;
    }
    b->n_prefill++;
    b->n_prefill_tokens += n;
    b->prefill_pairs += n * n_before + (uint64_t)n * (n + 1) / 2;
    b->prefill_kv_tokens += n_before + n;
}

/* Adds n_seqs decodes whose contexts, the new tokens included, sum to kv_tokens; kv_max is the
 * longest. */
static inline void batch_shape_add_decodes(batch_shape *b, uint32_t n_seqs, uint64_t kv_tokens,
                                           uint64_t kv_max) {
    b->n_tokens += n_seqs;
    b->n_sampled += n_seqs;
    b->n_decode += n_seqs;
    b->decode_kv_tokens += kv_tokens;
    if (b->decode_kv_max < kv_max) b->decode_kv_max = kv_max;
}

#endif
