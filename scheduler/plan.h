/* plan.h - what the scheduler asks of a device: one iteration, or several that are alike.
 *
 * An iteration computes the chunks and, if runs_cohort, one token for every member of the
 * decode cohort. Copies come in two kinds. Ordered ones run on the compute stream before the
 * iteration, and their source blocks may be reused at submit (vLLM V0). Asynchronous ones run
 * beside compute; their source and destination stay held until they complete.
 * Memory: owned by the scheduler, valid until its next schedule. */
#ifndef PLAN_H
#define PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "batch_shape.h"
#include "cohort.h"
#include "device_spec.h"
#include "sequence.h"

/* Tokens [n_before, n_before + n_tokens) of a sequence that is not in the cohort. */
typedef struct plan_chunk {
    uint32_t seq, n_before, n_tokens;
    uint32_t n_recomputed; /* of n_tokens: their KV had been computed before */
    bool samples;          /* the last known token is among them: a new one comes out */
} plan_chunk;

typedef struct block_pair {
    uint32_t device, host;
} block_pair;

typedef struct plan_copy {
    uint64_t id; /* counts all copies of the run */
    uint32_t seq;
    link_direction direction;
    bool ordered;
    bool write_back; /* in the background, of a sequence that stays */
    bool per_layer;  /* one piece for K and one for V of each layer of each block, as vLLM V0
                        lays KV out; otherwise a block is one piece and neighbours are joined */
    uint32_t first_pair, n_pairs; /* in plan.pairs */
} plan_copy;

typedef struct plan {
    const sequence_table *seqs;
    const cohort *decodes;

    plan_chunk *chunks; /* [n_chunks] in scheduling order */
    uint32_t n_chunks, chunks_capacity;
    bool runs_cohort;
    uint32_t n_tokens;  /* of the iteration: chunks and cohort */
    uint32_t n_padding; /* empty tokens computed beside them, to fill a tile of the kernels */
    uint32_t horizon;   /* iterations that may run alike; more than 1 only without chunks */

    plan_copy *copies; /* [n_copies] */
    uint32_t n_copies, copies_capacity;
    block_pair *pairs; /* [n_pairs] */
    uint32_t n_pairs, pairs_capacity;

    uint32_t *preempted; /* [n_preempted] slots, in the order of preemption */
    uint32_t n_preempted, preempted_capacity;
    uint32_t *ignored; /* [n_ignored] slots that the policy gave up; they end with this plan */
    uint32_t n_ignored, ignored_capacity;
} plan;

/* Releases the arrays. */
void plan_finish(plan *p);

/* Empties the lists and keeps their memory. */
void plan_clear(plan *p);

/* Each appends one entry. ST_NO_MEMORY: nothing changed. */
MUST_USE status plan_add_chunk(plan *p, plan_chunk chunk);
MUST_USE status plan_add_copy(plan *p, plan_copy copy);
MUST_USE status plan_add_pair(plan *p, block_pair pair);
MUST_USE status plan_add_preempted(plan *p, uint32_t seq);
MUST_USE status plan_add_ignored(plan *p, uint32_t seq);

/* Takes back the chunk of a sequence that was preempted after it had been planned; returns its
 * tokens, 0 when it had none. */
uint32_t plan_drop_chunk(plan *p, uint32_t seq);

/* Something to compute or to copy? */
bool plan_has_work(const plan *p);

bool plan_has_ordered_copies(const plan *p);

/* Something that runs on the compute stream, ordered copies included? Otherwise there will be
 * no compute completion. */
bool plan_occupies_compute(const plan *p);

/* The composition of its first iteration, padding included. */
batch_shape plan_shape(const plan *p);

/* The same without padding and the tokens whose KV had been computed before. */
batch_shape plan_shape_without_recompute(const plan *p);

/* Contiguous pieces of a copy: neighbours on both sides are joined, unless K and V of every
 * layer (of n_layers) of every block are pieces of their own. */
uint32_t plan_copy_segments(const plan *p, const plan_copy *c, uint32_t n_layers);

#endif
