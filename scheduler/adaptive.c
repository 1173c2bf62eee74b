#include "adaptive.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "adaptive_state.h"

/* Tokens of the context by which rates are measured. */
enum { TYPICAL_CONTEXT = 512 };

status slot_list_add(slot_list *l, uint32_t seq) {
    if (l->n == l->capacity) {
        uint32_t capacity = l->capacity ? 2 * l->capacity : 16;
        uint32_t *seqs = realloc(l->seqs, capacity * sizeof(*seqs));
        if (!seqs) return ST_NO_MEMORY;
        l->seqs = seqs;
        l->capacity = capacity;
    }
    l->seqs[l->n++] = seq;
    return ST_OK;
}

void slot_list_remove(slot_list *l, uint32_t seq) {
    uint32_t i = 0;
    while (i < l->n && l->seqs[i] != seq) i++;
    if (i < l->n) memmove(l->seqs + i, l->seqs + i + 1, (--l->n - i) * sizeof(*l->seqs));
}

/* ------------------------------------------------------------ set up */

static void destroy(void *policy_state) {
    adaptive *t = policy_state;
    if (!t) return;
    length_estimate_destroy(t->lengths);
    rank_heap_finish(&t->fresh);
    rank_heap_finish(&t->paused);
    rank_heap_finish(&t->by_age);
    free(t->notes);
    client_accounts_finish(&t->clients);
    free(t->resident.seqs);
    free(t->departing.seqs);
    free(t->dirty.seqs);
    free(t);
}

static double decode_s(const cost_model *m, uint32_t n) {
    batch_shape b = {0};
    batch_shape_add_decodes(&b, n, (uint64_t)n * TYPICAL_CONTEXT, TYPICAL_CONTEXT);
    return m->iteration(m->context, &b).s;
}

static void measure_rates(const scheduler *s, adaptive *t) {
    const cost_model *m = s->config.costs;
    enum { N_BLOCKS = 32 };
    t->token_s = t->slot_s = 1;
    if (!m) return;
    uint64_t n_tokens = (uint64_t)s->config.n_device_blocks * s->config.block_tokens;
    uint64_t n_full = n_tokens / TYPICAL_CONTEXT + 1;
    uint32_t n = n_full < s->config.max_seqs ? (uint32_t)n_full : s->config.max_seqs;
    t->token_s = decode_s(m, 1);
    t->slot_s = decode_s(m, n) / n;
    const copy_load load = {.other_direction = true, .compute = s->settings.beside};
    for (int d = 0; d < N_LINK_DIRECTIONS; d++)
        t->block_copy_s[d] =
            m->copy(m->context, (link_direction)d, N_BLOCKS, N_BLOCKS, load).s / N_BLOCKS;
}

static status init(scheduler *s) {
    adaptive *t = calloc(1, sizeof(*t));
    if (!t) return ST_NO_MEMORY;
    s->policy_state = t;
    s->destroy_policy_state = destroy;
    s->ordered_copies = !s->settings.beside;
    s->names_after = s->shares_only = true;
    measure_rates(s, t);
    t->iteration_s = t->slot_s * s->config.max_seqs;
    return length_estimate_create(&t->lengths, s->config.max_model_len);
}

static uint32_t length_stop(uint32_t n_prompt, uint32_t max_model_len) {
    return n_prompt < max_model_len ? max_model_len - n_prompt : 0;
}

static void enqueue(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    uint64_t stop = adaptive_pool_stop(s, q);
    if (stop > 0 && q->n_output_max > stop) q->n_output_max = (uint32_t)stop;
    sequence_list_push_back(&s->waiting, &s->table, id);
}

/* ------------------------------------------------------------ copies */

double adaptive_wait_s(const scheduler *s, link_direction direction) {
    double wait_s = adaptive_of(s)->link_free_s[direction] - now_s(s);
    return wait_s > 0 ? wait_s : 0;
}

double adaptive_copy_s(const scheduler *s, link_direction direction, uint32_t n_blocks) {
    return adaptive_of(s)->block_copy_s[direction] * n_blocks;
}

void adaptive_book_copy(scheduler *s, link_direction direction, uint32_t n_blocks) {
    adaptive_of(s)->link_free_s[direction] =
        now_s(s) + adaptive_wait_s(s, direction) + adaptive_copy_s(s, direction, n_blocks);
}

/* ------------------------------------------------------------ the iteration */

/* Blocks for the next tokens of the cohort; members for whom none can be had now sit out. */
static status grow_cohort(scheduler *s) {
    const cohort_bucket *growth = cohort_growth(&s->cohort, 0);
    bool done = true;
    while (done && growth->n > kv_pool_n_free(s->device))
        TRY(adaptive_make_free(s, growth->n, NO_SEQ, &done));
    while (growth->n > kv_pool_n_free(s->device)) state_leave_cohort(s, growth->last);
    return state_grow_cohort(s, 0);
}

static status run_cohort(scheduler *s) {
    adaptive *t = adaptive_of(s);
    TRY(grow_cohort(s));
    s->plan.runs_cohort = s->cohort.n > 0;
    t->batch = plan_shape(&s->plan);
    t->n_budget -= s->cohort.n;
    uint32_t chunk = s->settings.chunk;
    if (chunk > 0 && s->cohort.n > 0 && t->n_budget > chunk) t->n_budget = chunk;
    return ST_OK;
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

status adaptive_run_chunk(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    sequence *q = seq_at(s, id);
    uint32_t end = q->n_kept > 0 ? q->n_front : sequence_len(q);
    uint32_t n = least(end - q->n_computed, t->n_budget);
    if (n == 0) return ST_OK;
    uint32_t need = blocks_for(s, q->n_computed + n);
    if (need > q->n_slots) {
        bool done;
        TRY(adaptive_make_free(s, need - q->n_slots, id, &done));
        if (!done) return ST_OK;
        TRY(state_grow(s, id, need - q->n_slots));
    }
    t->n_budget -= n;
    batch_shape_add_chunk(&t->batch, q->n_computed, n, q->n_computed + n == sequence_len(q));
    return state_plan_chunk(s, id, n);
}

/* Running sequences that do not decode yet. */
static status run_chunks(scheduler *s) {
    if (s->running.n == s->cohort.n) return ST_OK;
    uint32_t id = s->running.first, next;
    for (; id != NO_SEQ; id = next) {
        if (!seq_at(s, id)->in_cohort) TRY(adaptive_run_chunk(s, id));
        /* Whoever made room for it is not in the list any more. */
        next = seq_at(s, id)->next;
    }
    return ST_OK;
}

static status plan_iteration(scheduler *s) {
    if (s->settings.mixed) TRY(run_cohort(s));
    TRY(run_chunks(s));
    TRY(adaptive_admit(s));
    if (!s->settings.mixed && s->plan.n_chunks == 0) TRY(run_cohort(s));
    TRY(adaptive_write_back(s));
    s->plan.runs_cohort = s->plan.runs_cohort && s->cohort.n > 0;
    return ST_OK;
}

static status schedule(scheduler *s, errbuf *err) {
    (void)err;
    adaptive *t = adaptive_of(s);
    adaptive_pass_time(s);
    adaptive_look_at_running(s); /* first: arrivals are measured by what clients were charged */
    TRY(adaptive_welcome_arrivals(s));
    TRY(adaptive_see_off_departed(s));
    adaptive_rerank_outside(s, &t->fresh);
    adaptive_rerank_outside(s, &t->paused);
    t->n_budget = s->config.max_batched_tokens;
    TRY(plan_iteration(s));
    t->batch = plan_shape(&s->plan);
    t->batch_tick = s->cohort.tick;
    t->computes = plan_occupies_compute(&s->plan);
    return ST_OK;
}

/* Nothing changes as long as nobody is outside, nothing is being copied or about to be. */
static uint32_t horizon(const scheduler *s) {
    if (s->waiting.n > 0 || s->swapped.n > 0 || s->n_flying > 0) return 1;
    if (s->running.n > s->cohort.n) return 1;
    return adaptive_quiet_ticks(s);
}

const memory_policy adaptive_memory = {.init = init,
                                       .enqueue = enqueue,
                                       .schedule = schedule,
                                       .horizon = horizon,
                                       .length_stop = length_stop,
                                       .finished = adaptive_finished};
