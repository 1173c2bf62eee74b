/* sampling.h - picks the next token out of logits, as sampling_options.h says.
 *
 * Each pick is a function of its logits, the options, the request and the index of the token in
 * its request, never of other picks: batching and preemption change no sample as long as they
 * change no logit (forward.h, deterministic).
 * Threads: one owner; nothing is allocated after create. */
#ifndef SAMPLING_H
#define SAMPLING_H

#include <stdint.h>

#include "sampling_options.h"

typedef struct sampler sampler;

/* On error *out is not written. ST_INVALID: vocab is 0. ST_NO_MEMORY. */
MUST_USE status sampler_create(sampler **out, uint32_t vocab);

/* s may be NULL. */
void sampler_destroy(sampler *s);

/* Token `index` of a request's outputs, from logits[0..vocab), of which none is NaN or
 * positive infinity and one is finite; options are valid. */
uint32_t sampler_pick(sampler *s, const float *logits, const sampling_options *o,
                      uint64_t request_id, uint32_t index);

#endif
