#include "nano_vllm.h"

#include "scheduler_state.h"

static status set_up(scheduler *s) {
    kv_pool_set_fifo(s->device);
    s->names_after = true;
    return ST_OK;
}

static void enqueue(scheduler *s, uint32_t id) {
    sequence_list_push_back(&s->waiting, &s->table, id);
}

static uint32_t length_stop(uint32_t n_prompt, uint32_t max_model_len) {
    return n_prompt < max_model_len ? max_model_len - n_prompt : 0;
}

/* The first waiting sequence gets a chunk: all of it, or as the first of this step what fits.
 * *goes_on is false when it gets none. */
static status prefill_first(scheduler *s, uint32_t *budget, bool *goes_on) {
    uint32_t id = s->waiting.first, n_hits = 0, n_free_hits;
    sequence *q = seq_at(s, id);
    uint32_t len = sequence_len(q), n_lacking = 0;
    if (q->state == SEQ_WAITING) {
        n_hits = state_find_cached(s, q, &n_free_hits);
        n_lacking = blocks_for(s, len) - n_hits;
        *goes_on = n_lacking + n_free_hits <= kv_pool_n_free(s->device);
    }
    uint32_t n_left = len - q->n_computed - n_hits * s->config.block_tokens;
    if (n_left > *budget && s->plan.n_chunks > 0) *goes_on = false;
    if (!*goes_on) return ST_OK;
    if (q->state == SEQ_WAITING) {
        TRY(state_take_cached(s, id, n_hits));
        TRY(state_grow(s, id, n_lacking));
        state_start_in_queue(s, id);
    }
    uint32_t n = n_left < *budget ? n_left : *budget;
    *budget -= n;
    TRY(state_plan_chunk(s, id, n));
    if (n < n_left) return ST_OK;
    sequence_list_remove(&s->waiting, &s->table, id);
    state_run(s, id);
    return ST_OK;
}

/* The limit of sequences holds for a step: more may be running. */
static status prefill(scheduler *s) {
    uint32_t budget = s->config.max_batched_tokens;
    bool goes_on = true;
    while (goes_on && s->waiting.n > 0 && budget > 0 && s->plan.n_chunks < s->config.max_seqs)
        TRY(prefill_first(s, &budget, &goes_on));
    return ST_OK;
}

/* The running sequences from id on, in order, as far as there are seats; those that are not
 * reached leave the cohort. */
static status decode_each(scheduler *s, uint32_t id, uint32_t n_seats) {
    for (; id != NO_SEQ && n_seats > 0; n_seats--) {
        bool survives;
        TRY(state_grow_or_preempt(s, id, &survives));
        if (!survives) return ST_OK; /* it was the last one */
        if (!seq_at(s, id)->in_cohort) TRY(state_plan_chunk(s, id, 1));
        id = seq_at(s, id)->next;
    }
    for (; id != NO_SEQ; id = seq_at(s, id)->next) state_leave_cohort(s, id);
    return ST_OK;
}

static status decode(scheduler *s) {
    uint32_t n_run, id;
    TRY(state_run_cohort(s, s->config.max_seqs, &n_run, &id));
    TRY(decode_each(s, id, s->config.max_seqs - n_run));
    s->plan.runs_cohort = s->cohort.n > 0;
    return ST_OK;
}

/* Nobody runs, so that all blocks are free, and the first waiting one lacks some. */
static status outgrown(const scheduler *s, errbuf *err) {
    const sequence *q = &s->table.seqs[s->waiting.first];
    return fail(err, ST_ABORTED,
                "nano-vllm stops at an assertion: request %llu needs %u KV blocks for its %u "
                "tokens and the device has %u; give it more with --kv-gib or --kv-blocks",
                (unsigned long long)q->req.id, blocks_for(s, sequence_len(q)), sequence_len(q),
                s->config.n_device_blocks);
}

static status schedule(scheduler *s, errbuf *err) {
    TRY(prefill(s));
    if (s->plan.n_chunks > 0) return ST_OK;
    TRY(decode(s));
    bool is_stuck = s->waiting.n > 0 && !plan_has_work(&s->plan);
    return is_stuck ? outgrown(s, err) : ST_OK;
}

/* The first waiting sequence finds no room while free blocks only become fewer; but the step
 * after a preemption tries what this one did not. Running ones without a seat wait for an end.
 */
static uint32_t horizon(const scheduler *s) {
    if (s->plan.n_preempted > 0) return 1;
    return state_growth_horizon(s);
}

const memory_policy nano_vllm_memory = {.init = set_up,
                                        .enqueue = enqueue,
                                        .schedule = schedule,
                                        .horizon = horizon,
                                        .length_stop = length_stop};
