/* solo.h - service time of a request that has the device to itself: what its turnaround is
 * weighed against, the same for every policy.
 *
 * The prompt in chunks of the full token budget, then one decode per further token, host time
 * included, without noise. Prefix sums over contexts make a look-up a few operations. */
#ifndef SOLO_H
#define SOLO_H

#include "latency.h"
#include "status.h"

typedef struct solo_times solo_times;

/* latency is borrowed. ST_NO_MEMORY. */
MUST_USE status solo_times_create(solo_times **out, const latency_source *latency,
                                  uint32_t max_batched_tokens);

/* t may be NULL. */
void solo_times_destroy(solo_times *t);

/* Seconds to serve n_prompt and n_output tokens, both at least 1. ST_NO_MEMORY. */
MUST_USE status solo_service_s(solo_times *t, double *out, uint32_t n_prompt,
                               uint32_t n_output);

#endif
