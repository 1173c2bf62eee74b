#include "prefill_first.h"

#include <assert.h>

uint32_t prefill_first_length_stop(uint32_t n_prompt, uint32_t max_model_len) {
    return n_prompt < max_model_len ? max_model_len - n_prompt : 0;
}

uint64_t prefill_first_pool_tokens(const scheduler *s) {
    return (uint64_t)s->config.n_device_blocks * s->config.block_tokens;
}

/* Outputs that there is room for behind the prompt, one token of the pool staying free. */
static uint64_t pool_stop(const scheduler *s, const sequence *q) {
    uint64_t n_tokens = prefill_first_pool_tokens(s) - 1;
    return n_tokens > q->req.n_prompt ? n_tokens - q->req.n_prompt : 0;
}

void prefill_first_enqueue(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    uint64_t stop = pool_stop(s, q);
    if (stop > 0 && q->n_output_max > stop) q->n_output_max = (uint32_t)stop;
    sequence_list_push_back(&s->waiting, &s->table, id);
}

status prefill_first_ignore_too_long(scheduler *s) {
    while (s->waiting.n > 0 && pool_stop(s, seq_at(s, s->waiting.first)) == 0)
        TRY(state_ignore(s, sequence_list_pop_front(&s->waiting, &s->table), false));
    return ST_OK;
}

bool prefill_first_has_started(const scheduler *s) {
    return s->waiting.n > 0 && s->table.seqs[s->waiting.first].state == SEQ_STARTED;
}

status prefill_first_chunk(scheduler *s, uint32_t n) {
    uint32_t id = s->waiting.first;
    const sequence *q = seq_at(s, id);
    uint32_t end = q->n_computed + n;
    bool is_last = end == sequence_len(q);
    TRY(state_grow(s, id, blocks_for(s, end) - q->n_slots));
    TRY(state_plan_chunk(s, id, n));
    if (is_last) {
        sequence_list_remove(&s->waiting, &s->table, id);
        state_run(s, id);
    } else {
        state_start_in_queue(s, id);
    }
    return ST_OK;
}

bool prefill_first_can_decode(const scheduler *s) {
    return cohort_growth(&s->cohort, 0)->n <= kv_pool_n_free(s->device);
}

status prefill_first_decode(scheduler *s) {
    uint32_t n_run, id;
    assert(s->cohort.n == s->running.n);
    TRY(state_run_cohort(s, s->running.n, &n_run, &id));
    for (; id != NO_SEQ; id = seq_at(s, id)->next) {
        const sequence *q = seq_at(s, id);
        if (cohort_n_computed(&s->cohort, q) == q->n_slots * s->config.block_tokens)
            TRY(state_grow(s, id, 1));
    }
    s->plan.runs_cohort = s->cohort.n > 0;
    return ST_OK;
}
