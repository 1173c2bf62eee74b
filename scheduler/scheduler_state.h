/* scheduler_state.h - the inside of a scheduler, for policies: queues, pools and the moves
 * between them. A policy decides; these functions keep the books. */
#ifndef SCHEDULER_STATE_H
#define SCHEDULER_STATE_H

#include "kv_pool.h"
#include "scheduler.h"

/* An asynchronous copy that has not completed: it holds its blocks on both sides. */
struct flying_copy {
    uint64_t id;
    uint32_t seq; /* slot that it was started for, which may have ended since; or NO_SEQ */
    uint64_t request_id; /* tells whether it has */
    link_direction direction;
    block_pair *pairs; /* [n_pairs] */
    uint32_t n_pairs;
};

typedef struct offload offload;

struct scheduler {
    scheduler_config config;
    const memory_policy *memory;
    const order_policy *order;
    policy_settings settings;
    void *policy_state; /* what the memory policy remembers, set by its init; NULL: nothing */
    void (*destroy_policy_state)(void *state); /* called with policy_state, if it is set */

    sequence_table table;
    sequence_list waiting, running, swapped;
    cohort cohort; /* of the running */
    kv_pool *device, *host;
    int64_t next_running_no, first_running_no;
    int64_t now_ns, latest_tick_ns;
    int64_t latest_start_ns, latest_end_ns; /* of the latest iteration */

    plan plan;
    uint32_t watermark_blocks;
    uint32_t null_block; /* held by vLLM V1 for itself, or KV_NO_BLOCK */
    uint32_t *leaked;    /* [n_leaked] host blocks that vLLM V0 never frees */
    uint32_t n_leaked, leaked_capacity;
    bool names_after; /* chunks name their blocks once they are computed (nano-vllm, adaptive),
                         not in the plan: who is admitted beside them cannot hit */
    bool shares_only; /* none but the prefixes of traces is cached: what a request alone could
                         look for is kept in other ways (adaptive) */
    uint64_t n_hit_tokens; /* taken from the prefix cache so far */
    uint64_t n_copies;
    flying_copy *flying; /* [n_flying] */
    uint32_t n_flying, flying_capacity;
    bool ordered_copies; /* the policy's copies run on the compute stream (for comparison) */
    block_pair *pairs;   /* [pairs_capacity] scratch */
    uint32_t pairs_capacity;

    offload *offload; /* vLLM V1's blocks on the host (offload.h), or NULL */

    uint32_t n_bound_ahead; /* device blocks taken for later iterations of the plan */
    uint32_t n_late_device, n_late_host;    /* freed by copies that completed during the plan */
    uint32_t *free_trail, *free_host_trail; /* [HORIZON_MAX] free blocks per iteration */
    uint32_t *finish_order;                 /* [finish_capacity] */
    uint32_t finish_capacity;
};

static inline sequence *seq_at(scheduler *s, uint32_t id) {
    return &s->table.seqs[id];
}

/* Blocks that n_tokens need. */
static inline uint32_t blocks_for(const scheduler *s, uint64_t n_tokens) {
    return kv_pool_blocks_for(s->device, n_tokens);
}

/* Takes n device blocks to the end of a sequence's table; they must be free. ST_NO_MEMORY. */
MUST_USE status state_grow(scheduler *s, uint32_t id, uint32_t n);

/* Lets go of all blocks of a sequence on both sides, the last first. */
void state_release(scheduler *s, uint32_t id);

/* The first waiting sequence gets a chunk but keeps its place until the last one (nano-vllm).
 */
void state_start_in_queue(scheduler *s, uint32_t id);

/* Moves a sequence that is in no queue to the end of the running ones. */
void state_run(scheduler *s, uint32_t id);

/* Numbers the running sequences anew, after their order changed. */
void state_renumber(scheduler *s);

/* Takes a member out of the cohort, if it is one: it is planned by itself from now on. */
void state_leave_cohort(scheduler *s, uint32_t id);

/* Plans n tokens of a running sequence that is not in the cohort. */
MUST_USE status state_plan_chunk(scheduler *s, uint32_t id, uint32_t n);

/* Takes a sequence that is in no queue off the device: all KV is dropped, outputs are kept. */
MUST_USE status state_preempt_recompute(scheduler *s, uint32_t id);

/* The same by an ordered copy of its blocks to the host, which must have room. The caller
 * queues it. */
MUST_USE status state_swap_out(scheduler *s, uint32_t id);

/* The way back: takes device blocks, which must be free, and frees the host's. */
MUST_USE status state_swap_in(scheduler *s, uint32_t id);

/* Takes a sequence that is in no queue off the batch; its KV stays where it is. The caller
 * queues it among the swapped, or takes its KV by the moves below. ST_NO_MEMORY. */
MUST_USE status state_pause(scheduler *s, uint32_t id);

/* Drops the KV of a paused sequence behind its first n_tokens, on both sides. */
void state_drop_behind(scheduler *s, uint32_t id, uint32_t n_tokens);

/* Copies blocks [first, first + n) of a sequence that lack a copy on the host, which must have
 * room for them; they stay on the device. ST_NO_MEMORY. */
MUST_USE status state_copy_to_host(scheduler *s, uint32_t id, uint32_t first, uint32_t n,
                                   bool write_back);

/* Copies blocks [first, first + n) of a sequence that are not on the device, which must have
 * room for them; they stay on the host. ST_NO_MEMORY. */
MUST_USE status state_copy_to_device(scheduler *s, uint32_t id, uint32_t first, uint32_t n);

/* Gives blocks [first, first + n) of a sequence, which are on the host alone, device blocks
 * that will be computed anew; they must be free. */
void state_take_device(scheduler *s, uint32_t id, uint32_t first, uint32_t n);

/* A sequence that is in no queue ends here, without its blocks on the host being freed if leak.
 */
MUST_USE status state_ignore(scheduler *s, uint32_t id, bool leak);

/* Starts an asynchronous copy of n_pairs blocks; they are held until it completes. seq is whose
 * they are, or NO_SEQ when that one has ended. */
MUST_USE status state_copy_async(scheduler *s, uint32_t seq, link_direction direction,
                                 const block_pair *pairs, uint32_t n_pairs);

/* One block to each member of the cohort that needs one for its next token `later` ticks from
 * now; enough must be free. ST_NO_MEMORY. */
MUST_USE status state_grow_cohort(scheduler *s, uint32_t later);

/* Gives content keys to the blocks that the members fill with that token, if the policy caches
 * prefixes. */
void state_name_cohort(scheduler *s, uint32_t later);

/* Gives keys to the full blocks among the first n_tokens of a sequence, from block `first` on.
 */
void state_name_blocks(scheduler *s, uint32_t id, uint32_t first, uint32_t n_tokens);

/* Content key of a sequence's block number `index`. */
uint64_t state_block_key(const scheduler *s, const sequence *q, uint32_t index);

/* Before a preemption: gives the keys that a sequence alone can look for. */
void state_name_own_blocks(scheduler *s, uint32_t id);

/* Cached blocks that a waiting sequence can start from: full ones, and not all of its tokens.
 * *n_free of them have no holder, so that starting from them takes free blocks. */
uint32_t state_find_cached(const scheduler *s, const sequence *q, uint32_t *n_free);

/* Lets a sequence start from its first n blocks, which state_find_cached found. ST_NO_MEMORY.
 */
MUST_USE status state_take_cached(scheduler *s, uint32_t id, uint32_t n);

/* True when in this list of all running sequences those outside of the cohort come last. */
bool state_cohort_leads(const scheduler *s, const sequence_list *running);

/* The cohort's next tokens at once: if it has at most n_max members, they come first among the
 * running, and there is room for all of their growth. *n_run members got theirs, all or none;
 * *next is the first running sequence that did not. ST_NO_MEMORY. */
MUST_USE status state_run_cohort(scheduler *s, uint32_t n_max, uint32_t *n_run, uint32_t *next);

/* Iterations, at least 1, for which the free blocks are enough for the cohort's growth. */
uint32_t state_growth_horizon(const scheduler *s);

/* A block for the next token of a running sequence, if its blocks are full. While none is free,
 * the last running sequence is preempted, by recompute, to the front of the waiting ones;
 * *survives is false when that came to be the sequence itself. ST_NO_MEMORY. */
MUST_USE status state_grow_or_preempt(scheduler *s, uint32_t id, bool *survives);

#endif
