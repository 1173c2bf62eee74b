#include "lightllm.h"

#include <stdlib.h>

#include "past_lengths.h"
#include "prefill_first.h"
#include "rng.h"

/* Values of the sources. */
enum { MIN_SAMPLES = 200, N_LISTS_MAX = 5 };
enum { MAX_NEW_TOKENS = 1024 }; /* expected when nothing is known */
enum { MARGIN_TOKENS = 6 };     /* added to what a sequence is expected to take */
static const double RESERVED_SHARE = 0.05;

enum { STREAM_RUNNING = 81, STREAM_NEW = 82 }; /* of Past-Future's samples */

typedef struct router_state {
    kv_demand *demands; /* [n_lists, capacity] n of each are in use */
    uint32_t n_lists, n, capacity;
    past_lengths past;
    uint64_t n_draws;
} router_state;

static router_state *state_of(const scheduler *s) {
    return s->policy_state;
}

static void destroy_state(void *state) {
    router_state *r = state;
    free(r->demands);
    free(r);
}

static status set_up(scheduler *s) {
    s->policy_state = calloc(1, sizeof(router_state));
    if (!s->policy_state) return ST_NO_MEMORY;
    s->destroy_policy_state = destroy_state;
    return ST_OK;
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static int most_left_first(const void *a, const void *b) {
    const kv_demand *x = a, *y = b;
    return (x->n_left < y->n_left) - (x->n_left > y->n_left);
}

/* Equals may come in any order: the last of them decides. */
uint64_t lightllm_peak_tokens(kv_demand *demands, uint32_t n) {
    uint64_t n_held = 0, peak = 0;
    if (n > 0) qsort(demands, n, sizeof(*demands), most_left_first);
    for (uint32_t i = 0; i < n; i++) {
        n_held += demands[i].n_held;
        uint64_t then = n_held + (uint64_t)(i + 1) * demands[i].n_left;
        if (peak < then) peak = then;
    }
    return peak;
}

/* A sequence that is expected to end after n_expected outputs. */
static kv_demand demand_of(const scheduler *s, const sequence *q, uint32_t n_expected) {
    uint32_t n_output = cohort_n_output(&s->cohort, q);
    uint32_t n_left = n_expected > n_output + 1 ? n_expected - n_output - 1 : 0;
    return (kv_demand){(uint64_t)q->req.n_prompt + n_output + 1,
                       (uint64_t)n_left + MARGIN_TOKENS};
}

/* Room for one demand more in each of n_lists lists; what was in them is lost. */
static status start_lists(router_state *r, uint32_t n_lists, uint32_t n_max) {
    if (r->capacity < n_max) {
        free(r->demands);
        r->capacity = 0;
        r->demands = malloc((size_t)2 * n_max * N_LISTS_MAX * sizeof(*r->demands));
        if (!r->demands) return ST_NO_MEMORY;
        r->capacity = 2 * n_max;
    }
    r->n_lists = n_lists;
    r->n = 0;
    return ST_OK;
}

static kv_demand *list(const router_state *r, uint32_t i) {
    return r->demands + (size_t)i * r->capacity;
}

static bool is_past_future(const scheduler *s) {
    return s->memory == &past_future_memory;
}

/* ---- LightLLM: everyone uses the limit. */

static bool is_busy(const scheduler *s) {
    uint64_t n_used = 0;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next)
        n_used += cohort_n_computed(&s->cohort, &s->table.seqs[id]);
    return (double)n_used >=
           s->settings.router_token_ratio * (double)prefill_first_pool_tokens(s);
}

static uint32_t expected_by_limit(const scheduler *s, const sequence *q, bool busy) {
    if (busy) return q->n_output_max;
    uint32_t n_more = (uint32_t)(1.1 * cohort_n_output(&s->cohort, q));
    return least(q->n_output_max, n_more > MAX_NEW_TOKENS ? n_more : MAX_NEW_TOKENS);
}

/* ---- Past-Future: lengths are like those of the past. */

static status set_up_past(scheduler *s) {
    TRY(set_up(s));
    uint32_t n_expected = least(MAX_NEW_TOKENS, s->config.max_model_len);
    for (int i = 0; i < PAST_LENGTHS_MAX / 2; i++)
        past_lengths_add(&state_of(s)->past, n_expected);
    return ST_OK;
}

static void finished(scheduler *s, uint32_t id) {
    past_lengths_add(&state_of(s)->past, cohort_n_output(&s->cohort, seq_at(s, id)));
}

static double draw(scheduler *s, uint64_t stream) {
    return rng_uniform(s->settings.seed, stream, state_of(s)->n_draws++);
}

static uint32_t expected_by_past(scheduler *s, const sequence *q) {
    uint32_t n = past_lengths_beyond(&state_of(s)->past, cohort_n_output(&s->cohort, q),
                                     q->n_output_max, draw(s, STREAM_RUNNING));
    return least(n, q->n_output_max);
}

static uint32_t expected_by_anyone(scheduler *s, const sequence *q) {
    return least(past_lengths_any(&state_of(s)->past, draw(s, STREAM_NEW)), q->n_output_max);
}

/* ---- Both. */

/* Fills the lists with the demands of the running. */
static status forecast_running(scheduler *s, bool busy) {
    router_state *r = state_of(s);
    uint32_t n_running = s->running.n, n_lists = 1;
    if (is_past_future(s) && n_running > 0)
        n_lists = least(N_LISTS_MAX, MIN_SAMPLES / n_running + 1);
    if (is_past_future(s)) past_lengths_sort(&r->past);
    TRY(start_lists(r, n_lists, least(s->config.max_seqs, n_running + s->waiting.n)));
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next) {
        const sequence *q = seq_at(s, id);
        for (uint32_t i = 0; i < n_lists; i++)
            list(r, i)[r->n] = demand_of(s, q,
                                         is_past_future(s) ? expected_by_past(s, q)
                                                           : expected_by_limit(s, q, busy));
        r->n++;
    }
    return ST_OK;
}

/* The largest peak with one more, who stays in the lists. */
static uint64_t peak_with(scheduler *s, const sequence *q, bool busy) {
    router_state *r = state_of(s);
    uint64_t peak = 0;
    r->n++;
    for (uint32_t i = 0; i < r->n_lists; i++) {
        uint32_t n_expected =
            is_past_future(s) ? expected_by_anyone(s, q) : expected_by_limit(s, q, busy);
        list(r, i)[r->n - 1] = demand_of(s, q, n_expected);
        uint64_t n = lightllm_peak_tokens(list(r, i), r->n);
        if (peak < n) peak = n;
    }
    return peak;
}

/* Does the first waiting sequence fit beside the running, now and later? */
static bool fits(scheduler *s, bool busy) {
    const sequence *q = seq_at(s, s->waiting.first);
    double pool_tokens = (double)prefill_first_pool_tokens(s);
    if (is_past_future(s)) pool_tokens *= 1 - RESERVED_SHARE;
    if (blocks_for(s, sequence_len(q)) > kv_pool_n_free(s->device)) return false;
    bool is_below = (double)peak_with(s, q, busy) < pool_tokens;
    return is_below || s->running.n == 0;
}

static status admit_first(scheduler *s, uint32_t *budget, bool busy, bool *goes_on) {
    const sequence *q = seq_at(s, s->waiting.first);
    uint32_t n_left = sequence_len(q);
    bool is_first = s->plan.n_chunks == 0;
    *goes_on = (n_left <= *budget || is_first) && fits(s, busy);
    if (!*goes_on) return ST_OK;
    uint32_t n = least(n_left, *budget);
    *budget -= n;
    return prefill_first_chunk(s, n);
}

static bool has_candidate(const scheduler *s) {
    return s->waiting.n > 0 && s->running.n < s->config.max_seqs;
}

/* Goes on with a prompt that is partly computed; *budget is what it leaves. */
static status continue_first(scheduler *s, uint32_t *budget) {
    if (!prefill_first_has_started(s)) return ST_OK;
    const sequence *q = seq_at(s, s->waiting.first);
    uint32_t n = least(sequence_len(q) - q->n_computed, *budget);
    *budget -= n;
    return prefill_first_chunk(s, n);
}

static status run_prefills(scheduler *s) {
    uint32_t budget = s->config.max_batched_tokens;
    TRY(continue_first(s, &budget));
    TRY(prefill_first_ignore_too_long(s));
    if (budget == 0 || !has_candidate(s)) return ST_OK;
    bool busy = is_busy(s), goes_on = true;
    TRY(forecast_running(s, busy));
    while (goes_on && has_candidate(s)) {
        TRY(admit_first(s, &budget, busy, &goes_on));
        TRY(prefill_first_ignore_too_long(s));
    }
    return ST_OK;
}

static uint32_t pick_victim(scheduler *s) {
    uint32_t victim = s->running.last;
    if (!is_past_future(s)) return victim;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next)
        if (seq_at(s, id)->req.id > seq_at(s, victim)->req.id) victim = id;
    return victim;
}

/* One that is left alone always finds its blocks. */
static status pause_some(scheduler *s) {
    while (!prefill_first_can_decode(s)) {
        uint32_t victim = pick_victim(s);
        sequence_list_remove(&s->running, &s->table, victim);
        TRY(state_preempt_recompute(s, victim));
        sequence_list_push_front(&s->waiting, &s->table, victim);
    }
    return ST_OK;
}

static status schedule(scheduler *s, errbuf *err) {
    (void)err;
    TRY(run_prefills(s));
    if (s->plan.n_chunks > 0 || s->running.n == 0) return ST_OK;
    TRY(pause_some(s));
    return prefill_first_decode(s);
}

/* Each decode brings other peaks, and those who wait may pass; a paused one left a seat. */
static uint32_t horizon(const scheduler *s) {
    return has_candidate(s) ? 1 : state_growth_horizon(s);
}

const memory_policy lightllm_memory = {.init = set_up,
                                       .enqueue = prefill_first_enqueue,
                                       .schedule = schedule,
                                       .horizon = horizon,
                                       .length_stop = prefill_first_length_stop};
const memory_policy past_future_memory = {.init = set_up_past,
                                          .enqueue = prefill_first_enqueue,
                                          .schedule = schedule,
                                          .horizon = horizon,
                                          .length_stop = prefill_first_length_stop,
                                          .finished = finished};
