/* sampling.h - picks the next token out of logits.
 *
 * The order is that of Hugging Face transformers: temperature, then the top_k likeliest, then
 * the fewest of these whose share reaches top_p. Equal logits rank by token id, lowest first.
 *
 * Each pick is a function of its logits, the options, the request and the index of the token in
 * its request, never of other picks: batching and preemption change no sample as long as they
 * change no logit (forward.h, deterministic).
 * Threads: one owner; nothing is allocated after create. */
#ifndef SAMPLING_H
#define SAMPLING_H

#include <stdint.h>

#include "status.h"

typedef struct sampler sampler;

typedef struct sampling_options {
    double temperature; /* 0: the likeliest token (greedy), and the others do not count */
    uint32_t top_k;     /* 0: all */
    double top_p;       /* in (0, 1]; 1: all */
    uint64_t seed;
} sampling_options;

/* Greedy. */
sampling_options sampling_options_defaults(void);

/* ST_INVALID: a value is out of its range, which err names. */
MUST_USE status sampling_options_check(const sampling_options *o, errbuf *err);

/* On error *out is not written. ST_INVALID: vocab is 0. ST_NO_MEMORY. */
MUST_USE status sampler_create(sampler **out, uint32_t vocab);

/* s may be NULL. */
void sampler_destroy(sampler *s);

/* Token `index` of a request's outputs, from logits[0..vocab), of which none is NaN or
 * positive infinity and one is finite; options are valid. */
uint32_t sampler_pick(sampler *s, const float *logits, const sampling_options *o,
                      uint64_t request_id, uint32_t index);

#endif
