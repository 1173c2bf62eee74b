/* latency.h - a latency source: how long the virtual device takes, the truth of a simulation.
 *
 * Two will exist: analytic (formulas on published limits) and measured (look-ups in recorded
 * samples). The virtual device adds noise and contention; a source is free of both.
 * Must not know: the scheduler, the predictor, time. */
#ifndef LATENCY_H
#define LATENCY_H

#include <stdint.h>

#include "device_spec.h"

/* Composition of one iteration: what its cost follows from.
 * A prefill chunk of q new tokens behind k cached ones attends to q * k + q * (q + 1) / 2
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
} batch_shape;

typedef struct latency_source {
    /* Seconds from the start of an iteration to the next one's, host time included. */
    double (*iteration_s)(void *context, const batch_shape *shape);
    /* Seconds of a copy of n_bytes in n_segments contiguous pieces, the link otherwise idle. */
    double (*copy_s)(void *context, link_direction direction, double n_bytes,
                     uint32_t n_segments);
    /* Factor (>= 1) by which a copy takes longer while the other direction is busy too. */
    double (*copy_slowdown)(void *context);
    void (*destroy)(void *context);
    void *context;
} latency_source;

#endif
