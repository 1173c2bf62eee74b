/* token_batch.h - the batch of a plan as an engine computes it: a copy, since the scheduler
 * goes on booking copies while it runs.
 *
 * One chunk for each chunk of the plan, in its order, then one token for each member of the
 * cohort. */
#ifndef TOKEN_BATCH_H
#define TOKEN_BATCH_H

#include "plan.h"
#include "token_chunk.h"
#include "token_table.h"

typedef struct token_batch {
    token_chunk *chunks; /* [n] */
    uint32_t *seqs;      /* [n] slot of each */
    uint32_t n, capacity;
    uint32_t n_tokens;   /* of all chunks */
    uint32_t n_sampling; /* chunks that sample */
    uint32_t *blocks;    /* [n_blocks] tables of the chunks, one after the other */
    size_t n_blocks, blocks_capacity;
} token_batch;

void token_batch_finish(token_batch *b);

/* Takes what the plan computes, on n_device_blocks blocks. The tokens are those of the table,
 * which keeps room for the whole horizon. A block that a chunk needs and that is not on the
 * device is a bug of the scheduler. ST_NO_MEMORY. */
MUST_USE status token_batch_load(token_batch *b, const plan *p, token_table *tokens,
                                 uint32_t n_device_blocks);

/* Position of the token that comes out of a chunk that samples. */
static inline uint32_t token_batch_end(const token_chunk *c) {
    return c->n_before + c->n_tokens;
}

/* The next iteration of a horizon: one token further, all of them decodes. */
void token_batch_advance(token_batch *b);

#endif
