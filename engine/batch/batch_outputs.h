/* batch_outputs.h - new tokens of a batch: kept in the token table, and who has ended with
 * them.
 *
 * A sequence ends after the number of outputs that it was admitted with, or at an
 * end-of-sequence token of the model if that is asked for. Threads: one owner. */
#ifndef BATCH_OUTPUTS_H
#define BATCH_OUTPUTS_H

#include "engine_config.h"
#include "token_batch.h"

typedef struct batch_outputs {
    const engine_config *config;
    const uint32_t *eos_tokens; /* [n_eos_tokens] */
    uint32_t n_eos_tokens;
    uint32_t *finished; /* [n_finished] slots, since the last reserve */
    uint32_t n_finished, capacity;
} batch_outputs;

/* config and eos_tokens [n] of the model are borrowed. */
void batch_outputs_init(batch_outputs *o, const engine_config *config,
                        const uint32_t *eos_tokens, uint32_t n);
void batch_outputs_finish(batch_outputs *o);

/* A new plan: nobody has finished, and there is room for all of n. ST_NO_MEMORY. */
MUST_USE status batch_outputs_reserve(batch_outputs *o, uint32_t n);

/* Takes a token for each chunk of the batch that samples, in its order; picked
 * [b->n_sampling]. */
void batch_outputs_accept(batch_outputs *o, token_table *tokens, const token_batch *b,
                          const uint32_t *picked);

/* What the recomputed tokens of a plan add to its first iteration, as the predictor sees it; 0
 * without one (costs is NULL). A mixed batch has one time, so this is an estimate. */
double batch_recompute_s(const cost_model *costs, const plan *p);

#endif
