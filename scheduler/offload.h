/* offload.h - KV offload of vLLM V1: a tier of the prefix cache on the host, in place of swap.
 *
 * Full blocks are copied to the host as they fill (write-through), whether or not they will be
 * needed again; the host keeps the most recently used. A request that waits starts from the
 * device's cached blocks, then from those on the host that follow them: these are loaded beside
 * the others' compute into blocks that it takes at once, and until they have come it is passed
 * over in the queue (SEQ_LOADING). A preempted request finds its own blocks again in this way.
 *
 * Order: what a plan fills is noted with that plan, and copied beside the next one. Host blocks
 *        are keyed when they are noted, found once their content has come, and reused in the
 *        order of the host pool's free queue: every use puts a block to its back.
 * Invariant: a block is written by nothing, and found by nobody, while a copy into it flies;
 *        a copy holds its blocks on both sides, whatever becomes of the sequence.
 * Source: vLLM V1 from v0.11 on, OffloadingConnector and its LRU manager; read, not executed.
 * Departs from it where it stands still at a preemption until the victim's stores are done, and
 * keeps all blocks of a finished request until then: here the blocks in flight alone stay held,
 * and who needs them waits for them while the others go on (offload_find_room). A block can be
 * found once its own copy is done, not when its request ends or is preempted. A sequence that
 * starts anew offers all its blocks again, so that what the host has lost is stored again. And
 * those that have loaded give way where upstream would have everybody wait for ever. */
#ifndef OFFLOAD_H
#define OFFLOAD_H

#include "scheduler_state.h"

/* Newly full blocks of a sequence, on their way out with the next plan. */
typedef struct store_job {
    uint32_t seq;        /* slot; the sequence may have ended by then */
    uint64_t request_id; /* of the sequence that was there */
    uint32_t n_pairs;    /* in order, in offload.pairs */
} store_job;

struct offload {
    bool *arriving;  /* [n_host_blocks] its content has not come yet */
    bool *departing; /* [n_host_blocks] a load reads it */
    store_job *jobs; /* [n_jobs] */
    uint32_t n_jobs, jobs_capacity;
    block_pair *pairs; /* [n_pairs] of all jobs, held on both sides */
    uint32_t n_pairs, pairs_capacity;
};

/* Sets s->offload up; without host blocks there is none, and everything below does nothing.
 * ST_NO_MEMORY. */
MUST_USE status offload_create(scheduler *s);

/* o may be NULL. */
void offload_destroy(offload *o);

/* First in a decision: starts the copies noted with the one before. ST_NO_MEMORY. */
MUST_USE status offload_submit(scheduler *s);

/* Last in a decision: notes the blocks that its plan fills. A sequence whose new blocks the
 * host has no room for, all of them, is left out and tried again in the next one. ST_NO_MEMORY.
 */
MUST_USE status offload_note(scheduler *s);

/* Blocks on the host that a waiting sequence can load behind its first n_cached, which it has;
 * all that it has on the host count as used now. *later: another loads some of these at the
 * moment, so that they will soon be found on the device. */
uint32_t offload_find(scheduler *s, bool *later, const sequence *q, uint32_t n_cached);

/* Starts to load the n blocks that offload_find found into device blocks, which must be free,
 * behind the cached ones that the sequence took. It keeps its place in the queue. ST_NO_MEMORY.
 */
MUST_USE status offload_load(scheduler *s, uint32_t id, uint32_t n);

/* memory_policy.copied. */
void offload_copied(scheduler *s, const flying_copy *f);

typedef enum offload_room {
    ROOM_NONE, /* preempt */
    ROOM_NOW,  /* a waiting sequence gave its blocks back: look again */
    ROOM_LATER /* wait for copies */
} offload_room;

/* A running sequence needs n free blocks and there are fewer: is there another way than to
 * preempt? Copies to the host may be about to let go of that many. The last one that runs,
 * whose own preemption would help nobody, takes what others have loaded already. */
offload_room offload_find_room(scheduler *s, uint32_t n);

/* The sequence is the first that could start, nobody runs and no copy flies: lets the last of
 * those behind it that have loaded give their blocks back. False if there is none, or others
 * will make room. */
bool offload_make_room(scheduler *s, uint32_t id);

/* At most n iterations, as single steps would notice the copies and the blocks that fill. */
uint32_t offload_horizon(const scheduler *s, uint32_t n);

#endif
