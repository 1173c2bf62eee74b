#include "trtllm.h"

#include "scheduler_state.h"

static uint32_t length_stop(uint32_t n_prompt, uint32_t max_model_len) {
    return n_prompt < max_model_len ? max_model_len - n_prompt : 0;
}

/* Outputs that the whole pool has room for behind the prompt. */
static uint64_t pool_stop(const scheduler *s, const sequence *q) {
    uint64_t n_tokens = (uint64_t)s->config.n_device_blocks * s->config.block_tokens;
    return n_tokens > q->req.n_prompt ? n_tokens - q->req.n_prompt : 0;
}

static void enqueue(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    uint64_t stop = pool_stop(s, q);
    if (stop > 0 && q->n_output_max > stop) q->n_output_max = (uint32_t)stop;
    sequence_list_push_back(&s->waiting, &s->table, id);
}

static status run_chunk(scheduler *s, uint32_t id, uint32_t *budget) {
    const sequence *q = seq_at(s, id);
    uint32_t n_left = sequence_len(q) - q->n_computed;
    uint32_t n = n_left < *budget ? n_left : *budget;
    *budget -= n;
    return state_plan_chunk(s, id, n);
}

/* The running sequences from id on, in order, as far as the budget goes; those that are not
 * reached leave the cohort. One that still prefills has its blocks. */
static status run_each(scheduler *s, uint32_t id, uint32_t *budget) {
    while (id != NO_SEQ && *budget > 0) {
        bool survives;
        TRY(state_grow_or_preempt(s, id, &survives));
        if (!survives) return ST_OK; /* it was the last one */
        if (seq_at(s, id)->in_cohort)
            --*budget;
        else
            TRY(run_chunk(s, id, budget));
        id = seq_at(s, id)->next;
    }
    for (; id != NO_SEQ; id = seq_at(s, id)->next) state_leave_cohort(s, id);
    return ST_OK;
}

static status run_running(scheduler *s, uint32_t *budget) {
    uint32_t n_run, id;
    TRY(state_run_cohort(s, *budget, &n_run, &id));
    *budget -= n_run;
    TRY(run_each(s, id, budget));
    s->plan.runs_cohort = s->cohort.n > 0;
    return ST_OK;
}

static uint32_t blocks_to_completion(const scheduler *s, const sequence *q) {
    return blocks_for(s, (uint64_t)q->req.n_prompt + q->n_output_max);
}

/* Blocks that nobody who runs may ever need. */
static uint32_t unreserved_blocks(const scheduler *s) {
    uint32_t n = s->config.n_device_blocks;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next)
        n -= blocks_to_completion(s, &s->table.seqs[id]);
    return n;
}

/* Starts the first waiting sequence, with the blocks of all known tokens. */
static status admit_first(scheduler *s, uint32_t *budget) {
    uint32_t id = sequence_list_pop_front(&s->waiting, &s->table);
    TRY(state_grow(s, id, blocks_for(s, sequence_len(seq_at(s, id)))));
    state_run(s, id);
    return run_chunk(s, id, budget);
}

/* Gives up those at the head of the queue that no pool of this size can serve. */
static status ignore_too_long(scheduler *s) {
    while (s->waiting.n > 0 && pool_stop(s, seq_at(s, s->waiting.first)) == 0)
        TRY(state_ignore(s, sequence_list_pop_front(&s->waiting, &s->table), false));
    return ST_OK;
}

static bool has_candidate(const scheduler *s, uint32_t budget) {
    return s->waiting.n > 0 && budget > 0 && s->running.n < s->config.max_seqs;
}

static status schedule_no_evict(scheduler *s, errbuf *err) {
    (void)err;
    uint32_t budget = s->config.max_batched_tokens;
    TRY(run_running(s, &budget));
    TRY(ignore_too_long(s));
    if (!has_candidate(s, budget)) return ST_OK;
    uint32_t n_left = unreserved_blocks(s);
    while (has_candidate(s, budget)) {
        uint32_t need = blocks_to_completion(s, seq_at(s, s->waiting.first));
        if (need > n_left) return ST_OK;
        n_left -= need;
        TRY(admit_first(s, &budget));
        TRY(ignore_too_long(s));
    }
    return ST_OK;
}

static status schedule_max_utilization(scheduler *s, errbuf *err) {
    (void)err;
    uint32_t budget = s->config.max_batched_tokens;
    TRY(run_running(s, &budget));
    TRY(ignore_too_long(s));
    while (s->plan.n_preempted == 0 && has_candidate(s, budget)) {
        uint32_t len = sequence_len(seq_at(s, s->waiting.first));
        if (blocks_for(s, len) > kv_pool_n_free(s->device)) return ST_OK;
        TRY(admit_first(s, &budget));
        TRY(ignore_too_long(s));
    }
    return ST_OK;
}

/* A waiting sequence that was not admitted stays out: seats, budget and reserved blocks stay
 * the same and free blocks only become fewer. Nothing was tried after a preemption. */
static uint32_t horizon(const scheduler *s) {
    if (s->plan.n_preempted > 0 || s->running.n > s->cohort.n) return 1;
    return state_growth_horizon(s);
}

const memory_policy trtllm_no_evict_memory = {.enqueue = enqueue,
                                              .schedule = schedule_no_evict,
                                              .horizon = horizon,
                                              .length_stop = length_stop};
const memory_policy trtllm_max_utilization_memory = {.enqueue = enqueue,
                                                     .schedule = schedule_max_utilization,
                                                     .horizon = horizon,
                                                     .length_stop = length_stop};
