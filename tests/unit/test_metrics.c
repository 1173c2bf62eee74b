/* test_metrics.c - every figure against a plain computation over the times of all tokens.
 *
 * A watcher writes down when which request got which token, iteration by iteration, from what a
 * busy run showed; the figures follow by sorting and adding. Runs have preemptions, swaps,
 * prefix hits, chunks, rejected requests, and horizons of many iterations. */
#include "hand_plan.h"
#include "metrics.h"
#include "rng.h"
#include "sim_rig.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_REQUESTS = 60, MAX_OUTPUTS = 200, N_BLOCKS = 120 };

/* Token times of every request, and what there was per iteration. */
typedef struct ledger {
    int64_t token_ns[N_REQUESTS][MAX_OUTPUTS + 1];
    uint32_t n_tokens[N_REQUESTS];
    uint64_t n_iterations, n_preempted, n_out, n_in, n_recomputed, n_longest_horizon;
    double block_s;      /* held blocks over time */
    double iterations_s; /* of all of them, ordered copies included */
    double ordered_copies_s, recompute_s;
} ledger;

static double seconds(int64_t ns) {
    return (double)ns * 1e-9;
}

static void note_token(ledger *l, const sequence *q, int64_t at_ns) {
    uint64_t id = q->req.id;
    assert_true(l->n_tokens[id] < MAX_OUTPUTS);
    l->token_ns[id][l->n_tokens[id]++] = at_ns;
}

static void note(void *context, const iteration_span *span) {
    ledger *l = context;
    const plan *p = span->plan;
    const completion *c = span->completion;
    for (uint32_t i = 0; i < p->n_chunks; i++) {
        if (p->chunks[i].samples) note_token(l, &p->seqs->seqs[p->chunks[i].seq], c->end_ns[0]);
        l->n_recomputed += p->chunks[i].n_recomputed;
    }
    for (uint32_t id = 0; p->runs_cohort && id < p->seqs->n_touched; id++)
        for (uint32_t i = 0; p->seqs->seqs[id].in_cohort && i < c->n_iterations; i++)
            note_token(l, &p->seqs->seqs[id], c->end_ns[i]);
    int64_t start_ns = c->start_ns;
    for (uint32_t i = 0; i < c->n_iterations; start_ns = c->end_ns[i++])
        l->block_s +=
            (N_BLOCKS - span->n_free_device[i]) * 1e-9 * (double)(c->end_ns[i] - start_ns);
    for (uint32_t i = 0; i < p->n_copies; i++)
        *(p->copies[i].direction == LINK_TO_HOST ? &l->n_out : &l->n_in) +=
            p->copies[i].n_pairs;
    l->iterations_s += seconds(c->end_ns[c->n_iterations - 1] - c->start_ns);
    l->ordered_copies_s += c->ordered_copy_s;
    l->recompute_s += c->recompute_s;
    l->n_iterations += c->n_iterations;
    l->n_preempted += p->n_preempted;
    if (c->n_iterations > l->n_longest_horizon) l->n_longest_horizon = c->n_iterations;
}

static request requests[N_REQUESTS];
static uint32_t n_outputs[N_REQUESTS];

static sim_case busy_case(const char *name, uint64_t seed) {
    static const uint64_t ids[4] = {11, 22, 33, 44};
    for (uint32_t i = 0; i < N_REQUESTS; i++) {
        requests[i] = (request){.id = i,
                                .arrival_ns = 3000000 * (int64_t)i + 500000000,
                                .n_prompt = 1 + (uint32_t)(rng_bits(seed, 1, i) % 150),
                                .n_output_max = MAX_OUTPUTS - 1,
                                .prefix_ids = ids,
                                .n_prefix_ids = (uint32_t)(rng_bits(seed, 2, i) % 5),
                                .prefix_tokens = 20};
        n_outputs[i] = 1 + (uint32_t)(rng_bits(seed, 3, i) % (MAX_OUTPUTS - 2));
    }
    requests[7].n_prompt = 5000; /* fits nowhere */
    sim_case c = sim_case_defaults(name);
    c.config.block_tokens = 8;
    /* vLLM V1 keeps one for itself. */
    c.config.n_device_blocks = N_BLOCKS + (strncmp(name, "vllm-v1", 7) == 0);
    c.config.n_host_blocks = 2000;
    c.config.max_model_len = 900;
    c.config.max_batched_tokens = strncmp(name, "vllm-v0", 7) == 0 ? 900 : 100;
    c.noise = 0.03;
    c.seed = seed;
    c.slo = (slo_limits){.ttft_s = 1, .tpot_s = 0.0025};
    c.requests = requests;
    c.n_outputs = n_outputs;
    c.n_requests = N_REQUESTS;
    return c;
}

static void assert_near(const run_figures *f, figure_id id, double expected, double relative) {
    if (!f->known[id]) fail_msg("%s is not known", figure_name(id));
    if (fabs(f->value[id] - expected) > relative * fabs(expected) + 1e-12)
        fail_msg("%s is %.12g, not %.12g", figure_name(id), f->value[id], expected);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The least value at or below which the share lies. */
static double quantile(const double *sorted, size_t n, double share) {
    size_t rank = (size_t)ceil(share * (double)n);
    return sorted[rank ? rank - 1 : 0];
}

/* Mean and maximum are exact, quantiles as good as the histogram's buckets. */
static void assert_distribution(const run_figures *f, figure_id mean, double *values,
                                size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += values[i];
    qsort(values, n, sizeof(*values), ascending);
    assert_near(f, mean, sum / (double)n, 1e-9);
    assert_near(f, mean + 1, quantile(values, n, 0.5), 1e-3);
    assert_near(f, mean + 2, quantile(values, n, 0.9), 1e-3);
    assert_near(f, mean + 3, quantile(values, n, 0.99), 1e-3);
    assert_near(f, mean + 4, values[n - 1], 1e-9);
}

static void check_gaps(const run_figures *f, const ledger *l) {
    static double gaps[N_REQUESTS * MAX_OUTPUTS];
    size_t n = 0;
    for (uint32_t i = 0; i < N_REQUESTS; i++)
        for (uint32_t j = 1; j < l->n_tokens[i]; j++)
            gaps[n++] = seconds(l->token_ns[i][j] - l->token_ns[i][j - 1]);
    assert_distribution(f, FIG_itl_s_mean, gaps, n);
}

/* Values of each finished request, by distribution. */
typedef struct columns {
    double turnaround[N_REQUESTS], weighted[N_REQUESTS], in_batch[N_REQUESTS];
    double ttft[N_REQUESTS], tpot[N_REQUESTS], queue[N_REQUESTS];
    size_t n, n_tpot, n_within;
    double sum_x, sum_x2, n_prompt_tokens, n_output_tokens;
    int64_t last_ns;
} columns;

static void add_row(columns *c, const ledger *l, const request_result *r,
                    const slo_limits *slo) {
    const int64_t *at = l->token_ns[r->id];
    uint32_t n = l->n_tokens[r->id];
    int64_t arrival_ns = requests[r->id].arrival_ns;
    double turnaround = seconds(at[n - 1] - arrival_ns), ttft = seconds(at[0] - arrival_ns);
    double tpot = n > 1 ? seconds(at[n - 1] - at[0]) / (n - 1) : 0;
    assert_int_equal(n, n_outputs[r->id]);
    assert_int_equal(r->n_output, n);
    c->turnaround[c->n] = turnaround;
    c->weighted[c->n] = turnaround / r->solo_s;
    c->in_batch[c->n] = turnaround / (seconds(at[n - 1]) - r->first_scheduled_s);
    c->ttft[c->n] = ttft;
    c->queue[c->n++] = r->first_scheduled_s - r->arrival_s;
    if (n > 1) c->tpot[c->n_tpot++] = tpot;
    c->n_within += ttft <= slo->ttft_s && tpot <= slo->tpot_s;
    double x = r->solo_s / turnaround;
    c->sum_x += x;
    c->sum_x2 += x * x;
    c->n_prompt_tokens += requests[r->id].n_prompt;
    c->n_output_tokens += n;
    if (at[n - 1] > c->last_ns) c->last_ns = at[n - 1];
}

static void check_requests(const run_figures *f, columns *c) {
    assert_distribution(f, FIG_turnaround_s_mean, c->turnaround, c->n);
    assert_distribution(f, FIG_weighted_turnaround_mean, c->weighted, c->n);
    assert_distribution(f, FIG_weighted_turnaround_in_batch_mean, c->in_batch, c->n);
    assert_distribution(f, FIG_ttft_s_mean, c->ttft, c->n);
    assert_distribution(f, FIG_tpot_s_mean, c->tpot, c->n_tpot);
    assert_distribution(f, FIG_queue_s_mean, c->queue, c->n);
    assert_near(f, FIG_jain_fairness, c->sum_x * c->sum_x / ((double)c->n * c->sum_x2), 1e-9);
    assert_near(f, FIG_slo_attainment, (double)c->n_within / N_REQUESTS, 0);
}

static void check_run(const run_figures *f, const columns *c, const ledger *l) {
    double makespan_s = seconds(c->last_ns - requests[0].arrival_ns);
    assert_near(f, FIG_n_requests, N_REQUESTS, 0);
    assert_near(f, FIG_n_finished, (double)c->n, 0);
    assert_near(f, FIG_n_rejected, N_REQUESTS - (double)c->n, 0);
    assert_near(f, FIG_makespan_s, makespan_s, 1e-9);
    assert_near(f, FIG_request_throughput_per_s, (double)c->n / makespan_s, 1e-9);
    assert_near(f, FIG_output_throughput_tokens_per_s, c->n_output_tokens / makespan_s, 1e-9);
    assert_near(f, FIG_total_throughput_tokens_per_s,
                (c->n_output_tokens + c->n_prompt_tokens) / makespan_s, 1e-9);
    assert_near(f, FIG_kv_utilization_mean, l->block_s / makespan_s / N_BLOCKS, 1e-9);
    assert_near(f, FIG_stall_swap_s, l->ordered_copies_s, 1e-9);
    assert_near(f, FIG_stall_recompute_s, l->recompute_s, 1e-9);
    /* Iterations end at whole nanoseconds. */
    assert_near(f, FIG_compute_busy_fraction,
                (l->iterations_s - l->ordered_copies_s) / makespan_s, 1e-6);
    assert_near(f, FIG_copy_busy_fraction, l->ordered_copies_s / makespan_s, 1e-9);
    assert_near(f, FIG_n_iterations, (double)l->n_iterations, 0);
    assert_near(f, FIG_n_preemptions, (double)l->n_preempted, 0);
    assert_near(f, FIG_n_swap_out_blocks, (double)l->n_out, 0);
    assert_near(f, FIG_n_swap_in_blocks, (double)l->n_in, 0);
    assert_near(f, FIG_recomputed_tokens, (double)l->n_recomputed, 0);
    assert_false(f->known[FIG_predictor_mape_iteration]);
    assert_false(f->known[FIG_decision_regret_s]);
}

static void check_policy(const char *name, uint64_t seed) {
    static ledger l;
    static columns c;
    l = (ledger){.n_iterations = 0};
    c = (columns){.n = 0};
    sim_case sim = busy_case(name, seed);
    sim.watch = note;
    sim.watch_context = &l;
    sim_outcome o = sim_run(&sim);
    assert_int_equal(o.result, ST_OK);
    for (uint32_t i = 0; i < N_REQUESTS; i++)
        if (o.requests[i].outcome == REQUEST_FINISHED)
            add_row(&c, &l, &o.requests[i], &sim.slo);
    check_gaps(&o.figures, &l);
    check_requests(&o.figures, &c);
    check_run(&o.figures, &c, &l);
    assert_true(l.n_preempted > 0 && l.n_longest_horizon > 5); /* or it would show nothing */
    assert_int_equal(l.n_out > 0, strstr(name, "swap") != NULL);
    assert_int_equal(c.n, N_REQUESTS - 1);
    sim_outcome_finish(&o);
}

static void figures_are_those_of_the_tokens_under_every_policy(void **state) {
    (void)state;
    const char *text = getenv("SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : 1;
    printf("SEED=%llu\n", (unsigned long long)seed);
    static const char *const policies[] = {"vllm-v0-recompute", "vllm-v0-swap",
                                           "vllm-v0-recompute,chunked=on", "vllm-v1",
                                           "vllm-v1,prefix_cache=off"};
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
        check_policy(policies[i], seed);
}

/* Two requests by hand: 1 ms per iteration, nothing else costs. */
static void two_requests_give_the_figures_worked_out_on_paper(void **state) {
    (void)state;
    const request two[] = {{.id = 0, .arrival_ns = 0, .n_prompt = 8, .n_output_max = 9},
                           {.id = 1, .arrival_ns = 500000, .n_prompt = 8, .n_output_max = 9}};
    const uint32_t outputs[] = {3, 1};
    sim_case c = sim_case_defaults("vllm-v1,prefix_cache=off");
    c.latency = (plain_latency){.iteration_s = 1e-3, .copy_slowdown = 1};
    c.config.block_tokens = 8;
    c.config.n_device_blocks = 11;
    c.requests = two;
    c.n_outputs = outputs;
    c.n_requests = 2;
    sim_outcome o = sim_run(&c);
    const run_figures *f = &o.figures;
    /* Tokens of the first at 1, 2, 3 ms; the second starts at 1 ms and ends at 2 ms. */
    assert_near(f, FIG_makespan_s, 3e-3, 1e-12);
    assert_near(f, FIG_output_throughput_tokens_per_s, 4 / 3e-3, 1e-12);
    assert_near(f, FIG_turnaround_s_mean, (3e-3 + 1.5e-3) / 2, 1e-12);
    assert_near(f, FIG_weighted_turnaround_mean, (1 + 1.5) / 2, 1e-12);
    assert_near(f, FIG_weighted_turnaround_in_batch_max, 1.5, 1e-12);
    assert_near(f, FIG_ttft_s_max, 1.5e-3, 1e-12);
    assert_near(f, FIG_queue_s_mean, 0.25e-3, 1e-12);
    assert_near(f, FIG_itl_s_mean, 1e-3, 1e-12);
    assert_near(f, FIG_tpot_s_mean, 1e-3, 1e-12);
    assert_near(f, FIG_jain_fairness, pow(1 + 1 / 1.5, 2) / (2 * (1 + 1 / 2.25)), 1e-12);
    /* Blocks of 10 while an iteration runs: 1, then 2 and 1, then 2. */
    assert_near(f, FIG_kv_utilization_mean, (1 + 3 + 2) / 30., 1e-12);
    assert_near(f, FIG_compute_busy_fraction, 1, 1e-12);
    assert_near(f, FIG_copy_busy_fraction, 0, 0);
    assert_false(f->known[FIG_slo_attainment]); /* no limits were given */
    sim_outcome_finish(&o);
}

static void what_did_not_happen_is_not_known(void **state) {
    (void)state;
    const request lone = {.id = 0, .n_prompt = 500, .n_output_max = 9};
    const uint32_t output = 1;
    sim_case c = sim_case_defaults("vllm-v1");
    c.config.n_device_blocks = 5;
    c.config.max_model_len = 64;
    c.requests = &lone;
    c.n_outputs = &output;
    sim_outcome none = sim_run(&c);
    c.n_requests = 1;
    sim_outcome rejected = sim_run(&c);
    const run_figures *both[] = {&none.figures, &rejected.figures};
    for (int i = 0; i < 2; i++) {
        assert_near(both[i], FIG_n_requests, i, 0);
        assert_near(both[i], FIG_n_rejected, i, 0);
        assert_near(both[i], FIG_n_finished, 0, 0);
        static const figure_id unknown[] = {FIG_makespan_s,    FIG_request_throughput_per_s,
                                            FIG_ttft_s_mean,   FIG_itl_s_max,
                                            FIG_jain_fairness, FIG_kv_utilization_mean};
        for (size_t j = 0; j < sizeof(unknown) / sizeof(unknown[0]); j++)
            assert_false(both[i]->known[unknown[j]]);
    }
    sim_outcome_finish(&none);
    sim_outcome_finish(&rejected);
}

/* Nothing is served for requests that are rejected: rates and shares are of the time between
 * what was not. */
static void rejected_requests_stretch_nothing(void **state) {
    (void)state;
    const request three[] = {
        {.id = 0, .arrival_ns = 0, .n_prompt = 500, .n_output_max = 9},
        {.id = 1, .arrival_ns = 2000000000, .n_prompt = 8, .n_output_max = 9},
        {.id = 2, .arrival_ns = 9000000000, .n_prompt = 500, .n_output_max = 9}};
    const uint32_t outputs[] = {1, 4, 1};
    sim_case c = sim_case_defaults("vllm-v1");
    c.latency = (plain_latency){.iteration_s = 1e-3, .copy_slowdown = 1};
    c.config.n_device_blocks = 5;
    c.config.max_model_len = 64;
    c.requests = three;
    c.n_outputs = outputs;
    c.n_requests = 3;
    sim_outcome o = sim_run(&c);
    assert_near(&o.figures, FIG_n_rejected, 2, 0);
    assert_near(&o.figures, FIG_makespan_s, 4e-3, 1e-12);
    assert_near(&o.figures, FIG_compute_busy_fraction, 1, 1e-12);
    assert_near(&o.figures, FIG_request_throughput_per_s, 250, 1e-9);
    sim_outcome_finish(&o);
}

static void plan_copy_of(plan *p, link_direction direction, bool ordered, bool write_back,
                         uint32_t n_pairs) {
    const plan_copy c = {.id = p->n_copies,
                         .direction = direction,
                         .ordered = ordered,
                         .write_back = write_back,
                         .first_pair = p->n_pairs,
                         .n_pairs = n_pairs};
    assert_int_equal(plan_add_copy(p, c), ST_OK);
}

/* Ordered or not, in a plan with work to compute or without; a plan counts once. */
static void blocks_are_counted_when_their_copies_start(void **state) {
    (void)state;
    const slo_limits none = {0};
    hand_plan h;
    metrics *m;
    run_figures f;
    hand_plan_init(&h);
    assert_int_equal(metrics_create(&m, NULL, &none, 10), ST_OK);
    plan_copy_of(&h.plan, LINK_TO_HOST, true, false, 1);
    plan_copy_of(&h.plan, LINK_TO_HOST, false, false, 20);
    plan_copy_of(&h.plan, LINK_TO_HOST, false, true, 300);
    plan_copy_of(&h.plan, LINK_TO_DEVICE, true, false, 4000);
    plan_copy_of(&h.plan, LINK_TO_DEVICE, false, false, 50000);
    assert_int_equal(plan_add_preempted(&h.plan, 3), ST_OK);
    metrics_planned(m, &h.plan);
    plan_clear(&h.plan);
    plan_copy_of(&h.plan, LINK_TO_HOST, false, true, 2);
    metrics_planned(m, &h.plan);
    int64_t end_ns = 1000000;
    const uint32_t n_free = 10;
    const completion c = {
        .kind = COMPLETION_COMPUTE, .now_ns = end_ns, .end_ns = &end_ns, .n_iterations = 1};
    const iteration_span span = {
        .plan = &h.plan, .completion = &c, .n_free_device = &n_free, .n_free_host = &n_free};
    metrics_iterated(m, &span);
    const executor_usage usage = {0};
    metrics_figures(m, &f, &usage, 0, 0);
    assert_near(&f, FIG_n_swap_out_blocks, 21, 0);
    assert_near(&f, FIG_n_written_back_blocks, 302, 0);
    assert_near(&f, FIG_n_swap_in_blocks, 54000, 0);
    assert_near(&f, FIG_n_preemptions, 1, 0);
    assert_near(&f, FIG_n_iterations, 1, 0);
    assert_near(&f, FIG_stall_swap_s, 0, 0); /* what runs beside compute stalls nobody */
    metrics_destroy(m);
    hand_plan_finish(&h);
}

static void slo_limits_are_read_or_explained(void **state) {
    (void)state;
    slo_limits l;
    errbuf err = {0};
    assert_int_equal(slo_parse(&l, "ttft_s=1.5,weighted_turnaround=4", &err), ST_OK);
    assert_true(l.ttft_s == 1.5 && l.weighted_turnaround == 4 && l.tpot_s == 0);
    static const char *const bad[] = {"ttft=1",    "ttft_s",     "ttft_s=",   "ttft_s=0",
                                      "ttft_s=-1", "ttft_s=nan", "ttft_s=1x", "tpot_s=inf"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (slo_parse(&l, bad[i], &err) != ST_INVALID) fail_msg("%s is taken", bad[i]);
    assert_int_equal(slo_parse(&l, "tftt_s=1", &err), ST_INVALID);
    assert_non_null(strstr(err.text, "did you mean 'ttft_s'?"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_the_tokens_under_every_policy),
        cmocka_unit_test(two_requests_give_the_figures_worked_out_on_paper),
        cmocka_unit_test(what_did_not_happen_is_not_known),
        cmocka_unit_test(rejected_requests_stretch_nothing),
        cmocka_unit_test(blocks_are_counted_when_their_copies_start),
        cmocka_unit_test(slo_limits_are_read_or_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
