/* cpu_picks.h - the logits of a batch, and the tokens picked out of them. */
#ifndef CPU_PICKS_H
#define CPU_PICKS_H

#include "sampling.h"
#include "token_batch.h"

typedef struct cpu_picks {
    float *logits;    /* [n_sampling of the batch, vocab] rows in the order of its chunks */
    uint32_t *picked; /* [n_sampling of the batch] likewise */
    uint32_t capacity;
} cpu_picks;

void cpu_picks_finish(cpu_picks *p);

/* Room for n rows; what was there is lost. ST_NO_MEMORY. */
MUST_USE status cpu_picks_reserve(cpu_picks *p, uint32_t n, uint32_t vocab);

/* Picks a token for each row of logits. False: one has a value that is no number, of the
 * request *request_id. */
bool cpu_picks_make(cpu_picks *p, const token_batch *b, sampler *s,
                    const sampling_options *options, const token_table *tokens,
                    uint64_t *request_id);

#endif
