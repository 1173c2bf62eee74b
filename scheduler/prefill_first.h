/* prefill_first.h - what systems share whose prefills have iterations of their own, ahead of
 * decodes: SGLang and LightLLM.
 *
 * The first waiting sequence may be partly computed: it keeps its place and its blocks, and no
 * one decodes before its last chunk. So whenever there is a decode, all who run are in the
 * cohort. Both systems admit a sequence only below the size of the pool: its output limit is
 * cut to one token less, so that it can always run alone, and a prompt that leaves no room is
 * ignored. */
#ifndef PREFILL_FIRST_H
#define PREFILL_FIRST_H

#include "scheduler_state.h"

/* memory_policy.length_stop and enqueue. */
uint32_t prefill_first_length_stop(uint32_t n_prompt, uint32_t max_model_len);
void prefill_first_enqueue(scheduler *s, uint32_t id);

/* Tokens that the device's blocks hold. */
uint64_t prefill_first_pool_tokens(const scheduler *s);

/* Ignores those at the head of the queue whose prompt the pool has no room for. */
MUST_USE status prefill_first_ignore_too_long(scheduler *s);

/* Is the first waiting sequence partly computed? */
bool prefill_first_has_started(const scheduler *s);

/* Plans the next n tokens of the first waiting sequence, whose blocks must be free. With its
 * last known token it runs. */
MUST_USE status prefill_first_chunk(scheduler *s, uint32_t n);

/* Are there blocks for the next token of all who run? */
bool prefill_first_can_decode(const scheduler *s);

/* Plans that token, for which there must be blocks. */
MUST_USE status prefill_first_decode(scheduler *s);

#endif
