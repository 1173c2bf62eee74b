/* finish_wheel.h - who gets the last token when, without looking at everyone.
 *
 * A member of the decode cohort with r tokens to go finishes r ticks after it joined. It sits
 * in bucket (finishing tick) % N; a tick looks into one bucket. Members that left the cohort
 * are not taken out but recognised when their bucket comes up. Invariant: every member of the
 * cohort that joined before the latest submit is linked in the bucket of its finishing tick. */
#ifndef FINISH_WHEEL_H
#define FINISH_WHEEL_H

#include "plan.h"

enum { FINISH_WHEEL_BUCKETS = 4096 };

typedef struct finish_slot {
    uint32_t n_output; /* true number of output tokens */
    uint32_t prev, next;
    uint32_t bucket; /* FINISH_WHEEL_BUCKETS when not linked */
} finish_slot;

typedef struct finish_wheel {
    finish_slot *slots; /* [capacity] by sequence slot */
    uint32_t capacity;
    uint32_t buckets[FINISH_WHEEL_BUCKETS];
    uint32_t *finished; /* [n_finished] */
    uint32_t n_finished, finished_capacity;
} finish_wheel;

void finish_wheel_init(finish_wheel *w);
void finish_wheel_finish(finish_wheel *w);

/* A new sequence in a slot, with its true number of outputs. ST_NO_MEMORY: nothing changed. */
MUST_USE status finish_wheel_admit(finish_wheel *w, uint32_t seq, uint32_t n_output);

/* A sequence joined the cohort, no tick ago. */
void finish_wheel_join(finish_wheel *w, const sequence_table *seqs, uint32_t seq);

/* Writes to w->finished who finishes with iteration number n_done of the plan, from 1: chunks
 * with the first, members of the cohort with the one that reaches their tick. */
void finish_wheel_collect(finish_wheel *w, const plan *p, uint32_t n_done);

#endif
