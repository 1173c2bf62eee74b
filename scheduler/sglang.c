#include "sglang.h"

#include <stdlib.h>

#include "prefill_first.h"

/* Names and values of the sources. */
static const double INIT_NEW_TOKEN_RATIO = 0.7, MIN_NEW_TOKEN_RATIO_FACTOR = 0.14;
enum { NEW_TOKEN_RATIO_DECAY_STEPS = 600 };
enum { CLIP_MAX_NEW_TOKENS = 4096 };
enum { RETRACT_DECODE_STEPS = 20 };

typedef struct batch_state {
    double ratio, ratio_start, ratio_min, ratio_step;
    uint64_t n_decayed; /* ticks of the cohort that are in the ratio */
    bool is_full;       /* nobody is admitted until the batch shrinks */
    bool has_shrunk;    /* since the latest decode */
} batch_state;

static batch_state *state_of(const scheduler *s) {
    return s->policy_state;
}

double sglang_ratio(const scheduler *s) {
    return state_of(s)->ratio;
}

static status set_up(scheduler *s) {
    batch_state *b = calloc(1, sizeof(*b));
    if (!b) return ST_NO_MEMORY;
    double start = INIT_NEW_TOKEN_RATIO * s->settings.conservativeness;
    b->ratio = b->ratio_start = start < 1 ? start : 1;
    b->ratio_min = b->ratio_start * MIN_NEW_TOKEN_RATIO_FACTOR;
    b->ratio_step = (b->ratio_start - b->ratio_min) / NEW_TOKEN_RATIO_DECAY_STEPS;
    s->policy_state = b;
    s->destroy_policy_state = free;
    return ST_OK;
}

static void decay(batch_state *b) {
    b->ratio -= b->ratio_step;
    if (b->ratio < b->ratio_min) b->ratio = b->ratio_min;
}

/* The later iterations of a horizon were decodes, too; nothing happens to the ratio once it is
 * at its minimum. */
static void catch_up(scheduler *s) {
    batch_state *b = state_of(s);
    for (; b->n_decayed < s->cohort.tick && b->ratio > b->ratio_min; b->n_decayed++) decay(b);
    if (b->n_decayed < s->cohort.tick) b->n_decayed = s->cohort.tick;
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Tokens that a sequence is to produce, as far as one looks ahead. */
static uint32_t n_outputs_left(const scheduler *s, const sequence *q) {
    return least(q->n_output_max - cohort_n_output(&s->cohort, q), CLIP_MAX_NEW_TOKENS);
}

static double running_reserve(const scheduler *s) {
    double reserve = 0;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next)
        reserve += n_outputs_left(s, &s->table.seqs[id]) * state_of(s)->ratio;
    return reserve;
}

/* A prefill batch in the making. */
typedef struct prefill {
    uint32_t budget; /* tokens left of the iteration */
    double reserve;  /* tokens kept for outputs */
} prefill;

static double tokens_left(const scheduler *s, const prefill *p) {
    return (double)kv_pool_n_free(s->device) * s->config.block_tokens - p->reserve;
}

/* The first waiting sequence gets its next chunk; outputs are kept room for with the last. */
static status add_first(scheduler *s, prefill *p) {
    const sequence *q = seq_at(s, s->waiting.first);
    uint32_t n_left = sequence_len(q) - q->n_computed, n = least(n_left, p->budget);
    if (n == n_left) p->reserve += n_outputs_left(s, q);
    p->budget -= n;
    return prefill_first_chunk(s, n);
}

/* Admits the first waiting sequence if it can be; *goes_on is false when that closes the batch.
 */
static status admit_first(scheduler *s, prefill *p, uint32_t n_seats, bool *goes_on) {
    batch_state *b = state_of(s);
    const sequence *q = seq_at(s, s->waiting.first);
    double need = (double)sequence_len(q) + n_outputs_left(s, q);
    *goes_on = s->plan.n_chunks < n_seats && need < tokens_left(s, p);
    if (*goes_on) {
        TRY(add_first(s, p));
        *goes_on = tokens_left(s, p) > 0;
    }
    if (!*goes_on) b->is_full = true;
    return ST_OK;
}

/* A chunk that is not the last uses the budget up, so that one sequence at a time is partly
 * computed; with the last one others may come in even where the batch is full. */
static status run_prefills(scheduler *s) {
    bool goes_on = true;
    prefill p = {.budget = s->config.max_batched_tokens, .reserve = running_reserve(s)};
    uint32_t n_seats = s->config.max_seqs - s->running.n;
    if (prefill_first_has_started(s)) TRY(add_first(s, &p));
    while (goes_on && p.budget > 0) {
        TRY(prefill_first_ignore_too_long(s));
        if (s->waiting.n == 0) return ST_OK;
        TRY(admit_first(s, &p, n_seats, &goes_on));
    }
    return ST_OK;
}

/* Fewest outputs, then longest prompt, then the last. */
static uint32_t pick_victim(scheduler *s) {
    uint32_t victim = s->running.first;
    for (uint32_t id = victim; id != NO_SEQ; id = seq_at(s, id)->next) {
        const sequence *q = seq_at(s, id), *v = seq_at(s, victim);
        uint32_t n = cohort_n_output(&s->cohort, q), n_victim = cohort_n_output(&s->cohort, v);
        if (n < n_victim || (n == n_victim && q->req.n_prompt >= v->req.n_prompt)) victim = id;
    }
    return victim;
}

/* What the share would be if all who run were to end RETRACT_DECODE_STEPS tokens from now. */
static double estimate_ratio(const scheduler *s) {
    uint64_t n_outputs = 0, n_limit = 0;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next) {
        n_outputs += cohort_n_output(&s->cohort, &s->table.seqs[id]);
        n_limit += s->table.seqs[id].n_output_max;
    }
    double ratio = (double)(n_outputs + (uint64_t)RETRACT_DECODE_STEPS * s->running.n) /
                   (double)(n_limit + 1);
    return ratio < 1 ? ratio : 1;
}

/* One that is left alone always finds its blocks. */
static status retract(scheduler *s) {
    while (!prefill_first_can_decode(s)) {
        uint32_t victim = pick_victim(s);
        sequence_list_remove(&s->running, &s->table, victim);
        TRY(state_preempt_recompute(s, victim));
        sequence_list_push_back(&s->waiting, &s->table, victim);
    }
    state_of(s)->ratio = estimate_ratio(s);
    return ST_OK;
}

static status run_decodes(scheduler *s) {
    batch_state *b = state_of(s);
    if (s->running.n == 0) return ST_OK;
    if (prefill_first_can_decode(s))
        decay(b);
    else
        TRY(retract(s));
    if (b->has_shrunk || s->plan.n_preempted > 0) b->is_full = false;
    b->has_shrunk = false;
    b->n_decayed = s->cohort.tick + 1;
    return prefill_first_decode(s);
}

static status schedule(scheduler *s, errbuf *err) {
    (void)err;
    batch_state *b = state_of(s);
    bool has_started = prefill_first_has_started(s);
    catch_up(s);
    if (s->running.n == 0 && !has_started) {
        b->is_full = b->has_shrunk = false;
        b->ratio = b->ratio_start;
    }
    if (has_started || !b->is_full) TRY(run_prefills(s));
    return s->plan.n_chunks > 0 ? ST_OK : run_decodes(s);
}

/* What a prefill frees is seen at once, what a decode frees with the next one. */
static void finished(scheduler *s, uint32_t id) {
    (void)id;
    if (s->plan.runs_cohort)
        state_of(s)->has_shrunk = true;
    else
        state_of(s)->is_full = false;
}

/* A batch that is full stays so until it shrinks, whatever the ratio. A retraction opens it. */
static uint32_t horizon(const scheduler *s) {
    bool admits = s->waiting.n > 0 && !state_of(s)->is_full;
    return admits ? 1 : state_growth_horizon(s);
}

const memory_policy sglang_memory = {.init = set_up,
                                     .enqueue = prefill_first_enqueue,
                                     .schedule = schedule,
                                     .horizon = horizon,
                                     .length_stop = prefill_first_length_stop,
                                     .finished = finished};
