/* cpu_batch.h - the batch of a plan as the CPU engine computes it: a copy, since the scheduler
 * goes on booking copies while it runs.
 *
 * One chunk for each chunk of the plan, in its order, then one token for each member of the
 * cohort. Those that sample have a row of logits, in the same order. */
#ifndef CPU_BATCH_H
#define CPU_BATCH_H

#include "forward.h"
#include "plan.h"
#include "sampling.h"
#include "token_table.h"

typedef struct cpu_batch {
    forward_chunk *chunks; /* [n] */
    uint32_t *seqs;        /* [n] slot of each */
    uint32_t n, capacity;
    uint32_t n_tokens; /* of all chunks */
    uint32_t *blocks;  /* [blocks_capacity] tables of the chunks, one after the other */
    size_t blocks_capacity;
    float *logits;    /* [n_sampling, vocab] */
    uint32_t *picked; /* [n_sampling] */
    uint32_t n_sampling, sampling_capacity;
} cpu_batch;

void cpu_batch_finish(cpu_batch *b);

/* Takes what the plan computes, on n_device_blocks blocks. The tokens are those of the table,
 * which keeps room for the whole horizon. A block that a chunk needs and that is not on the
 * device is a bug of the scheduler. ST_NO_MEMORY. */
MUST_USE status cpu_batch_load(cpu_batch *b, const plan *p, token_table *tokens,
                               uint32_t n_device_blocks);

/* Picks a token for each row of logits. False: one has a value that is no number, of the
 * request *request_id. */
bool cpu_batch_pick(cpu_batch *b, sampler *s, const sampling_options *options,
                    const token_table *tokens, uint64_t *request_id);

/* Position of the token that comes out of a chunk that samples. */
static inline uint32_t cpu_batch_end(const forward_chunk *c) {
    return c->n_before + c->n_tokens;
}

/* The next iteration of a horizon: one token further, all of them decodes. */
void cpu_batch_advance(cpu_batch *b);

#endif
