#include "metrics.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nearest.h"

typedef enum distribution {
#define X(name, text) DIST_##name,
    FIGURE_DISTRIBUTIONS(X)
#undef X
        N_DISTRIBUTIONS
} distribution;

struct metrics {
    solo_times *solo;
    slo_limits slo;
    bool has_slo;
    uint32_t n_device_blocks;
    histogram *distributions[N_DISTRIBUTIONS];
    uint64_t n_finished, n_rejected, n_unfinished, n_within_slo;
    uint64_t n_prompt_tokens, n_output_tokens; /* of finished requests */
    uint64_t n_preemptions, n_out_blocks, n_in_blocks, n_back_blocks;
    uint64_t n_recomputed, n_iterations;
    double stall_swap_s, stall_recompute_s;
    double used_block_s;                      /* integral of held device blocks over time */
    double sum_x, sum_x2;                     /* of Jain's index */
    int64_t first_arrival_ns, last_finish_ns; /* of requests that were not rejected */
    int64_t last_busy_ns;                     /* end of an iteration or a copy */
};

static double *slo_limit(slo_limits *l, const char *name) {
    if (strcmp(name, "ttft_s") == 0) return &l->ttft_s;
    if (strcmp(name, "tpot_s") == 0) return &l->tpot_s;
    if (strcmp(name, "turnaround_s") == 0) return &l->turnaround_s;
    if (strcmp(name, "weighted_turnaround") == 0) return &l->weighted_turnaround;
    return NULL;
}

status slo_parse(slo_limits *out, const char *text, errbuf *err) {
    static const char *const names[] = {"ttft_s", "tpot_s", "turnaround_s",
                                        "weighted_turnaround"};
    slo_limits limits = {0};
    char copy[256];
    if (strlen(text) >= sizeof(copy)) return fail(err, ST_INVALID, "--slo text is too long");
    memcpy(copy, text, strlen(text) + 1);
    char *save = NULL;
    for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(word, '='), *end = NULL;
        if (equals) *equals = '\0';
        double *limit = slo_limit(&limits, word);
        if (!limit) {
            char hint[NEAREST_HINT_SIZE];
            return fail(err, ST_INVALID,
                        "--slo has no '%s'; %sit knows ttft_s, tpot_s, turnaround_s and "
                        "weighted_turnaround",
                        word, nearest_hint(hint, word, names, 4));
        }
        *limit = equals ? strtod(equals + 1, &end) : 0;
        if (!equals || end == equals + 1 || *end || !(*limit > 0) || isinf(*limit))
            return fail(err, ST_INVALID, "--slo %s needs a limit above 0, as in %s=1", word,
                        word);
    }
    *out = limits;
    return ST_OK;
}

status metrics_create(metrics **out, solo_times *solo, const slo_limits *slo,
                      uint32_t n_device_blocks) {
    metrics *m = calloc(1, sizeof(*m));
    if (!m) return ST_NO_MEMORY;
    m->solo = solo;
    m->slo = *slo;
    m->has_slo = slo->ttft_s > 0 || slo->tpot_s > 0 || slo->turnaround_s > 0 ||
                 slo->weighted_turnaround > 0;
    m->n_device_blocks = n_device_blocks;
    m->first_arrival_ns = INT64_MAX;
    for (int i = 0; i < N_DISTRIBUTIONS; i++)
        if (histogram_create(&m->distributions[i]) != ST_OK) {
            metrics_destroy(m);
            return ST_NO_MEMORY;
        }
    *out = m;
    return ST_OK;
}

void metrics_destroy(metrics *m) {
    if (!m) return;
    for (int i = 0; i < N_DISTRIBUTIONS; i++) histogram_destroy(m->distributions[i]);
    free(m);
}

static double seconds(int64_t ns) {
    return (double)ns * 1e-9;
}

static void add(metrics *m, distribution d, double value, uint64_t weight) {
    histogram_add(m->distributions[d], value, weight);
}

/* Gaps of the first iteration are its members' own; later ones are the same for all. */
static void book_gaps(metrics *m, const iteration_span *span) {
    const completion *c = span->completion;
    const sequence *seqs = span->plan->seqs->seqs;
    for (uint32_t i = 0; i < span->plan->n_chunks; i++) {
        const sequence *q = &seqs[span->plan->chunks[i].seq];
        if (span->plan->chunks[i].samples && q->n_output > 0)
            add(m, DIST_itl_s, seconds(c->end_ns[0] - q->last_token_ns), 1);
    }
    if (!span->plan->runs_cohort) return;
    uint32_t n = span->plan->decodes->n;
    add(m, DIST_itl_s, seconds(c->end_ns[0] - span->previous_tick_ns), n - span->n_newcomers);
    for (uint32_t i = 0; i < span->n_newcomers; i++)
        add(m, DIST_itl_s, seconds(c->end_ns[0] - seqs[span->newcomers[i]].last_token_ns), 1);
    for (uint32_t i = 1; i < c->n_iterations; i++)
        add(m, DIST_itl_s, seconds(c->end_ns[i] - c->end_ns[i - 1]), n);
}

static uint64_t *blocks_of(metrics *m, const plan_copy *c) {
    if (c->direction == LINK_TO_DEVICE) return &m->n_in_blocks;
    return c->write_back ? &m->n_back_blocks : &m->n_out_blocks;
}

void metrics_planned(metrics *m, const plan *p) {
    m->n_preemptions += p->n_preempted;
    for (uint32_t i = 0; i < p->n_copies; i++)
        *blocks_of(m, &p->copies[i]) += p->copies[i].n_pairs;
}

static void note_latest(int64_t *latest_ns, int64_t now_ns) {
    if (now_ns > *latest_ns) *latest_ns = now_ns;
}

void metrics_iterated(metrics *m, const iteration_span *span) {
    const completion *c = span->completion;
    const plan *p = span->plan;
    book_gaps(m, span);
    note_latest(&m->last_busy_ns, c->end_ns[c->n_iterations - 1]);
    int64_t start_ns = c->start_ns;
    for (uint32_t i = 0; i < c->n_iterations; i++) {
        m->used_block_s += (double)(m->n_device_blocks - span->n_free_device[i]) *
                           seconds(c->end_ns[i] - start_ns);
        start_ns = c->end_ns[i];
    }
    m->n_iterations += c->n_iterations;
    for (uint32_t i = 0; i < p->n_chunks; i++) m->n_recomputed += p->chunks[i].n_recomputed;
    m->stall_swap_s += c->ordered_copy_s;
    m->stall_recompute_s += c->recompute_s;
}

void metrics_copied(metrics *m, int64_t now_ns) {
    note_latest(&m->last_busy_ns, now_ns);
}

static bool keeps_slo(const metrics *m, const request_result *r, double weighted) {
    double tpot = r->n_output > 1 ? (r->finish_s - r->first_token_s) / (r->n_output - 1) : 0;
    const slo_limits *l = &m->slo;
    return (l->ttft_s == 0 || r->first_token_s - r->arrival_s <= l->ttft_s) &&
           (l->tpot_s == 0 || tpot <= l->tpot_s) &&
           (l->turnaround_s == 0 || r->finish_s - r->arrival_s <= l->turnaround_s) &&
           (l->weighted_turnaround == 0 || weighted <= l->weighted_turnaround);
}

static void book_finished(metrics *m, const request_result *r) {
    double turnaround = r->finish_s - r->arrival_s;
    double weighted = turnaround / r->solo_s; /* NAN without solo times */
    add(m, DIST_turnaround_s, turnaround, 1);
    if (m->solo) add(m, DIST_weighted_turnaround, weighted, 1);
    add(m, DIST_weighted_turnaround_in_batch, turnaround / (r->finish_s - r->first_scheduled_s),
        1);
    add(m, DIST_ttft_s, r->first_token_s - r->arrival_s, 1);
    add(m, DIST_queue_s, r->first_scheduled_s - r->arrival_s, 1);
    if (r->n_output > 1)
        add(m, DIST_tpot_s, (r->finish_s - r->first_token_s) / (r->n_output - 1), 1);
    m->sum_x += 1 / weighted;
    m->sum_x2 += 1 / (weighted * weighted);
    m->n_finished++;
    m->n_prompt_tokens += r->n_prompt;
    m->n_output_tokens += r->n_output;
    if (m->has_slo) m->n_within_slo += keeps_slo(m, r, weighted);
}

static void note_arrival(metrics *m, const sequence *s) {
    if (s->req.arrival_ns < m->first_arrival_ns) m->first_arrival_ns = s->req.arrival_ns;
}

void metrics_unfinished(metrics *m, const sequence *s) {
    note_arrival(m, s);
    m->n_unfinished++;
}

status metrics_ended(metrics *m, request_result *out, const sequence *s,
                     request_outcome outcome, int64_t now_ns) {
    double solo_s = NAN;
    if (outcome == REQUEST_FINISHED && m->solo)
        TRY(solo_service_s(m->solo, &solo_s, s->req.n_prompt, s->n_output));
    *out =
        (request_result){.id = s->req.id,
                         .n_prompt = s->req.n_prompt,
                         .n_output = s->n_output,
                         .n_preemptions = s->n_preemptions,
                         .outcome = outcome,
                         .arrival_s = seconds(s->req.arrival_ns),
                         .first_scheduled_s = s->has_run ? seconds(s->first_scheduled_ns) : NAN,
                         .first_token_s = s->n_output ? seconds(s->first_token_ns) : NAN,
                         .finish_s = seconds(now_ns),
                         .solo_s = solo_s};
    if (outcome != REQUEST_FINISHED) {
        m->n_rejected++;
        return ST_OK;
    }
    note_arrival(m, s);
    note_latest(&m->last_finish_ns, now_ns);
    book_finished(m, out);
    return ST_OK;
}

uint64_t metrics_n_ended(const metrics *m) {
    return m->n_finished + m->n_rejected;
}

static void set(run_figures *f, figure_id id, double value) {
    f->value[id] = value;
    f->known[id] = true;
}

static void set_distribution(run_figures *f, figure_id mean, const histogram *h) {
    if (histogram_count(h) == 0) return;
    set(f, mean, histogram_mean(h));
    set(f, mean + 1, histogram_quantile(h, 0.5));
    set(f, mean + 2, histogram_quantile(h, 0.9));
    set(f, mean + 3, histogram_quantile(h, 0.99));
    set(f, mean + 4, histogram_max(h));
}

static void set_rates(const metrics *m, run_figures *f, const executor_usage *usage) {
    if (m->n_finished == 0) return;
    double makespan_s = seconds(m->last_finish_ns - m->first_arrival_ns);
    set(f, FIG_makespan_s, makespan_s);
    set(f, FIG_request_throughput_per_s, (double)m->n_finished / makespan_s);
    set(f, FIG_output_throughput_tokens_per_s, (double)m->n_output_tokens / makespan_s);
    set(f, FIG_total_throughput_tokens_per_s,
        (double)(m->n_prompt_tokens + m->n_output_tokens) / makespan_s);
    if (m->solo)
        set(f, FIG_jain_fairness, m->sum_x * m->sum_x / ((double)m->n_finished * m->sum_x2));
    /* Of a run that stopped early, what came after the last finish counts, too. */
    double elapsed_s = seconds(m->last_busy_ns - m->first_arrival_ns);
    set(f, FIG_kv_utilization_mean, m->used_block_s / (elapsed_s * m->n_device_blocks));
    set(f, FIG_compute_busy_fraction, usage->compute_s / elapsed_s);
    set(f, FIG_copy_busy_fraction, usage->link_s / elapsed_s);
}

void metrics_figures(const metrics *m, run_figures *out, const executor_usage *usage,
                     uint64_t n_hit_tokens, double wall_s) {
    *out = (run_figures){{0}, {0}};
    uint64_t n_requests = m->n_finished + m->n_rejected + m->n_unfinished;
    set(out, FIG_n_requests, (double)n_requests);
    set(out, FIG_n_finished, (double)m->n_finished);
    set(out, FIG_n_rejected, (double)m->n_rejected);
    set_rates(m, out, usage);
    if (m->has_slo && n_requests)
        set(out, FIG_slo_attainment, (double)m->n_within_slo / (double)n_requests);
    set(out, FIG_n_preemptions, (double)m->n_preemptions);
    set(out, FIG_n_swap_out_blocks, (double)m->n_out_blocks);
    set(out, FIG_n_swap_in_blocks, (double)m->n_in_blocks);
    set(out, FIG_n_written_back_blocks, (double)m->n_back_blocks);
    set(out, FIG_recomputed_tokens, (double)m->n_recomputed);
    set(out, FIG_prefix_hit_tokens, (double)n_hit_tokens);
    set(out, FIG_stall_swap_s, m->stall_swap_s);
    set(out, FIG_stall_recompute_s, m->stall_recompute_s);
    set(out, FIG_n_iterations, (double)m->n_iterations);
    set(out, FIG_sim_wall_s, wall_s);
#define X(name, text) set_distribution(out, FIG_##name##_mean, m->distributions[DIST_##name]);
    FIGURE_DISTRIBUTIONS(X)
#undef X
}
