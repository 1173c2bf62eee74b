/* cohort.h - the sequences that decode in step: one counter instead of one per sequence.
 *
 * Every member gets one token per tick. Nothing is written to a member between joining and
 * leaving: its counters are what they were at joined_tick plus the ticks since. A calendar of
 * block_tokens buckets says which members need a block at which tick, so a tick costs its share
 * of block growth and not a walk over the batch.
 *
 * Invariant: a member's prompt and outputs are computed but for the last token
 *            (n_computed == len - 1), and bucket tick % block_tokens holds the members whose
 *            n_computed is a multiple of block_tokens at that tick.
 * Order:     within a bucket by running_no.
 * Threads:   one owner, no locking. */
#ifndef COHORT_H
#define COHORT_H

#include <stdint.h>

#include "sequence.h"

typedef struct cohort_bucket {
    uint32_t first, last, n;
} cohort_bucket;

typedef struct cohort {
    uint64_t tick;
    uint32_t n;         /* members */
    uint64_t kv_tokens; /* sum of the members' n_computed at this tick */
    int64_t longest;    /* largest n_computed - joined_tick of a member, if there is one */
    uint32_t block_tokens;
    cohort_bucket *buckets; /* [block_tokens] by phase */
    uint32_t *joined;       /* [n_joined] members that joined since the latest tick, in order */
    uint32_t n_joined, joined_capacity;
} cohort;

/* ST_NO_MEMORY. Safe to finish after a failure. */
MUST_USE status cohort_init(cohort *c, uint32_t block_tokens);
void cohort_finish(cohort *c);

/* Adds a running sequence whose counters fulfil the invariant. ST_NO_MEMORY: nothing changed.
 */
MUST_USE status cohort_join(cohort *c, sequence_table *t, uint32_t id);

/* Takes a member out and writes its counters. */
void cohort_leave(cohort *c, sequence_table *t, uint32_t id);

/* Sorts the buckets anew after running_no changed; running holds all members in its order. */
void cohort_reorder(cohort *c, sequence_table *t, const sequence_list *running);

/* n ticks pass. */
void cohort_advance(cohort *c, uint64_t n);

/* Members that need a block to compute their next token `later` ticks from now. */
static inline const cohort_bucket *cohort_growth(const cohort *c, uint64_t later) {
    return &c->buckets[(c->tick + later) % c->block_tokens];
}

/* Ticks from now on, at most n_max, for which n_blocks are enough for all growth. */
uint32_t cohort_ticks_within(const cohort *c, uint64_t n_blocks, uint32_t n_max);

/* Largest n_computed of a member at this tick, 0 when there is none. */
static inline uint64_t cohort_kv_max(const cohort *c) {
    return c->n ? (uint64_t)(c->longest + (int64_t)c->tick) : 0;
}

/* Tokens generated and computed so far, for members and others. */
static inline uint32_t cohort_n_output(const cohort *c, const sequence *s) {
    return s->n_output + (s->in_cohort ? (uint32_t)(c->tick - s->joined_tick) : 0);
}

static inline uint32_t cohort_n_computed(const cohort *c, const sequence *s) {
    return s->n_computed + (s->in_cohort ? (uint32_t)(c->tick - s->joined_tick) : 0);
}

#endif
