/* sequence.h - the scheduler's view of a request, the table that holds them, and their queues.
 *
 * A sequence lives in a slot of the table and is named by the slot's number, which is used
 * again after it ends. While it decodes in the cohort (cohort.h), n_output and n_computed stand
 * still and the cohort's tick counts for all members at once; read them through
 * cohort_n_output().
 *
 * Residency, per block of the table of a sequence:
 *     device  host
 *       id     -     on the device only
 *       id     id    on both: written back, clean, evicted for nothing
 *       -      id    on the host only: swapped out
 *       -      -     dropped: to be recomputed
 * A block in flight holds its id on either side until the copy completes (scheduler_state.h).
 *
 * Threads: one owner, no locking. Pointers into the table last until the next sequence_add. */
#ifndef SEQUENCE_H
#define SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "request.h"
#include "status.h"

#define NO_SEQ UINT32_MAX /* no slot */

typedef enum sequence_state {
    SEQ_UNUSED,  /* free slot */
    SEQ_WAITING, /* new or preempted, its device blocks are gone */
    SEQ_STARTED, /* among the waiting, but a part of its KV is there; holds device blocks */
    SEQ_LOADING, /* among the waiting, KV is being copied to the device blocks that it holds */
    SEQ_RUNNING, /* admitted; holds device blocks */
    SEQ_SWAPPED, /* paused: its KV is on the host, or not yet taken off the device */
} sequence_state;

typedef struct kv_slot {
    uint32_t device, host; /* block ids or KV_NO_BLOCK */
} kv_slot;

typedef struct sequence {
    request req; /* prefix_ids is an owned copy, or NULL when nobody needs them */
    sequence_state state;
    bool in_cohort;
    bool has_run;          /* first_scheduled_ns is set */
    bool decoding;         /* all known tokens but the newest are computed, and were sampled */
    uint32_t n_output;     /* tokens generated; see the head */
    uint32_t n_computed;   /* tokens whose KV is on the device; see the head */
    uint32_t n_output_max; /* the executor stops here: declared limit and model length */
    uint32_t n_planned;    /* tokens of the chunk in the plan at hand */
    uint32_t n_stored;     /* first blocks that were offered to the host (offload.h) */
    uint32_t n_kv_peak;    /* tokens whose KV was computed at some time: less is recompute */
    uint64_t joined_tick;  /* of the cohort, while in it */
    int64_t running_no;    /* place in the running order: lower is earlier */
    uint32_t prev, next;   /* in its queue */
    uint32_t phase_prev, phase_next; /* in its bucket of the cohort */
    kv_slot *slots;                  /* [n_slots] block table */
    uint32_t n_slots, slots_capacity;
    /* While a restore is under way: tokens [0, n_front) are computed again, [n_front, n_kept)
     * stream in; n_kept is 0 otherwise. */
    uint32_t n_front, n_kept;
    uint32_t n_arriving, n_leaving; /* its copies in flight to the device and to the host */
    uint32_t n_preemptions;
    uint32_t n_output_true; /* for policies that are oracles; 0 under all others */
    int64_t first_scheduled_ns, first_token_ns, last_token_ns;
} sequence;

typedef struct sequence_table {
    sequence *seqs; /* [capacity] */
    uint32_t capacity, n_used, n_touched, free_head;
} sequence_table;

/* A queue through the sequences' prev and next; a sequence is in one at most. */
typedef struct sequence_list {
    uint32_t first, last, n;
} sequence_list;

void sequence_table_init(sequence_table *t);
void sequence_table_finish(sequence_table *t);

/* Takes a slot for a copy of req; with keep_prefix its prefix ids too. ST_NO_MEMORY: nothing
 * changed. */
MUST_USE status sequence_add(sequence_table *t, uint32_t *id, const request *req,
                             bool keep_prefix);

/* Gives a slot back; its table must be empty. */
void sequence_remove(sequence_table *t, uint32_t id);

/* Appends one entry to the block table. ST_NO_MEMORY: nothing changed. */
MUST_USE status sequence_push_slot(sequence *s, kv_slot slot);

/* Prompt and outputs, outside of the cohort. */
static inline uint32_t sequence_len(const sequence *s) {
    return s->req.n_prompt + s->n_output;
}

#define SEQUENCE_LIST_EMPTY ((sequence_list){NO_SEQ, NO_SEQ, 0})

void sequence_list_push_back(sequence_list *l, sequence_table *t, uint32_t id);
void sequence_list_push_front(sequence_list *l, sequence_table *t, uint32_t id);

/* Puts id behind the node `after`, or in front when after is NO_SEQ. */
void sequence_list_insert_after(sequence_list *l, sequence_table *t, uint32_t after,
                                uint32_t id);
void sequence_list_remove(sequence_list *l, sequence_table *t, uint32_t id);

/* NO_SEQ when empty. */
uint32_t sequence_list_pop_front(sequence_list *l, sequence_table *t);
uint32_t sequence_list_pop_back(sequence_list *l, sequence_table *t);

/* Sorts by `before`, stable; linear when sorted already. */
void sequence_list_sort(sequence_list *l, sequence_table *t,
                        bool (*before)(const sequence *a, const sequence *b));

/* Moves all of b behind a; b is empty then. */
void sequence_list_append(sequence_list *a, sequence_table *t, sequence_list *b);

#endif
