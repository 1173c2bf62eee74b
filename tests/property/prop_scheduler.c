/* prop_scheduler.c - random requests through every policy, step by step.
 *
 * After each step every invariant of scheduler_check() holds, and three ways to the same
 * decision agree: the cohort at once, each running sequence by itself, and blocks taken ahead.
 * No request ends twice. In a roomy case, where upstream can neither abort nor get stuck, each
 * ends once, all blocks come back, and each token is computed for the first time exactly once.
 *
 * SEED (default 1) is the seed of the first case, PROP_CASES (default 600) their number; the
 * line before a failure tells the seed of its case. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fingerprint.h"
#include "plain_costs.h"
#include "random_policy.h"
#include "rng.h"
#include "scheduler_state.h"
#include "trtllm.h"
#include "vllm_v0.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { N_REQUESTS_MAX = 40, N_PIECES = 32, N_FAMILIES = 3, N_WAYS = 3 };
enum { STEP_NS = 1000000 };
enum { N_STEPS_TIGHT = 1500, N_STEPS_ROOMY = 100000 };

typedef struct random_case {
    uint64_t seed, n_draws;
    bool roomy;
    char policy[POLICY_TEXT_SIZE];
    scheduler_config config;
    plain_costs constants; /* of costs, which config.costs is */
    cost_model costs;
    uint32_t n_copy_steps; /* of asynchronous copies */
    uint64_t copy_seed;
    uint32_t n_requests;
    request requests[N_REQUESTS_MAX]; /* arrival_ns is the step */
    uint32_t n_outputs[N_REQUESTS_MAX];
    uint64_t prefix_ids[N_FAMILIES][N_PIECES];
} random_case;

/* Uniform in [low, high]. */
static uint32_t draw(random_case *c, uint32_t low, uint32_t high) {
    return low + (uint32_t)(rng_bits(c->seed, 1, c->n_draws++) % (high - low + 1));
}

static uint32_t draw_any(void *c, uint32_t low, uint32_t high) {
    return draw(c, low, high);
}

static const char *on_off(random_case *c) {
    return draw(c, 0, 1) ? "on" : "off";
}

/* One draw after the other: the order in which arguments are evaluated is the compiler's. */
static void draw_policy(random_case *c) {
    static const char *const watermarks[] = {"0", "0.01", "0.1", "0.3"};
    static const char *const orders[] = {"fcfs", "fcfs", "fcfs", "priority"};
    static const char *const others[] = {"nano-vllm",
                                         "trtllm-no-evict",
                                         "trtllm-max-utilization",
                                         "sglang",
                                         "sglang,conservativeness=0.1",
                                         "lightllm",
                                         "lightllm,router_token_ratio=0.9",
                                         "past-future"};
    enum { N_OTHERS = sizeof(others) / sizeof(others[0]) };
    const char *watermark = watermarks[draw(c, 0, 3)], *order = orders[draw(c, 0, 3)];
    const char *a = on_off(c), *b = on_off(c), *d = on_off(c);
    uint32_t n = draw(c, 0, 9), family = draw(c, 0, 6);
    if (family == 0)
        snprintf(c->policy, sizeof(c->policy), "%s", others[draw(c, 0, N_OTHERS - 1)]);
    else if (family == 1)
        snprintf(c->policy, sizeof(c->policy),
                 "vllm-v1,order=%s,watermark=%s,full_isl=%s,prefix_cache=%s,async=%s"
                 ",long_prefill_threshold=%" PRIu32,
                 order, watermark, a, b, d, n < 5 ? 0 : n);
    else if (family == 2)
        snprintf(c->policy, sizeof(c->policy),
                 "vllm-v1-offload,order=%s,watermark=%s,full_isl=%s,async=%s"
                 ",long_prefill_threshold=%" PRIu32,
                 order, watermark, a, d, n < 5 ? 0 : n);
    else if (family > 3)
        random_adaptive_policy(c->policy, draw_any, c);
    else
        snprintf(c->policy, sizeof(c->policy),
                 "vllm-v0-%s,order=%s,watermark=%s,chunked=%s,fcfs_resort=%s,host_full=%s"
                 ",block_manager=%" PRIu32,
                 n < 5 ? "swap" : "recompute", order, watermark, a, b,
                 d[1] == 'n' ? "abort" : "recompute", 1 + n % 2);
    errbuf err = {0};
    if (policy_parse(&c->config.policy, c->policy, &err) != ST_OK) fail_msg("%s", err.text);
}

static bool is_v0(const random_case *c) {
    return c->config.policy.row->memory == &vllm_v0_memory;
}

static uint32_t blocks(const random_case *c, uint32_t n_tokens) {
    return (n_tokens + c->config.block_tokens - 1) / c->config.block_tokens;
}

/* A step is a millisecond; an iteration takes about as long, a block more or less. */
static void draw_costs(random_case *c) {
    static const double block_bytes[] = {3e4, 3e5, 3e6};
    c->constants = (plain_costs){.latency = {.iteration_s = 5e-4,
                                             .token_s = 1e-5,
                                             .kv_token_s = 1e-7,
                                             .pair_s = 1e-7,
                                             .byte_s = 1e-9,
                                             .segment_s = 1e-5,
                                             .copy_slowdown = 1.5},
                                 .block_bytes = block_bytes[draw(c, 0, 2)],
                                 .spread = 0.1 * draw(c, 0, 5)};
    c->costs = plain_cost_model(&c->constants);
    bool without = draw(c, 0, 3) == 0 && !policy_needs_costs(&c->config.policy);
    c->config.costs = without ? NULL : &c->costs;
}

/* Room for the longest sequence, the block that vLLM wants beside it, and the watermark; a
 * budget for a prefill in one piece, which V0 needs; a host for everyone. */
static void make_roomy(random_case *c) {
    scheduler_config *k = &c->config;
    uint32_t longest = blocks(c, k->max_model_len + 1) + 2;
    double watermark = k->policy.settings.watermark;
    while ((uint32_t)(watermark * k->n_device_blocks) + longest > k->n_device_blocks)
        k->n_device_blocks++;
    if (is_v0(c) && k->max_batched_tokens < k->max_model_len)
        k->max_batched_tokens = k->max_model_len;
    if (is_v0(c)) k->n_host_blocks = N_REQUESTS_MAX * longest;
}

static void draw_config(random_case *c) {
    scheduler_config *k = &c->config;
    *k = scheduler_config_defaults();
    draw_policy(c);
    draw_costs(c);
    k->block_tokens = draw(c, 1, 6);
    k->n_device_blocks = draw(c, 3, 40);
    k->n_host_blocks = draw(c, 0, 60);
    k->max_seqs = draw(c, 1, 12);
    k->max_batched_tokens = draw(c, 0, 1) ? draw(c, 1, 12) : draw(c, 12, 200);
    k->max_model_len = draw(c, 2, 100);
    c->roomy = draw(c, 0, 2) > 0;
    if (c->roomy) make_roomy(c);
}

static void draw_request(random_case *c, uint32_t i, int64_t step) {
    uint32_t longest = c->config.max_model_len;
    request *r = &c->requests[i];
    *r = (request){.id = i, .arrival_ns = step};
    r->n_prompt = draw(c, 1, longest);
    r->n_output_max = draw(c, 1, longest);
    r->priority = (int32_t)draw(c, 0, 2);
    r->client = draw(c, 0, 3) ? draw(c, 0, 3) : UINT32_MAX - draw(c, 0, 1);
    c->n_outputs[i] = draw(c, 1, draw(c, 0, 3) ? 8 : longest);
    if (draw(c, 0, 1)) return;
    r->prefix_tokens = draw(c, 1, 2 * c->config.block_tokens);
    r->prefix_ids = c->prefix_ids[draw(c, 0, N_FAMILIES - 1)];
    uint32_t n_pieces = (r->n_prompt + r->prefix_tokens - 1) / r->prefix_tokens;
    r->n_prefix_ids = draw(c, 0, n_pieces < N_PIECES ? n_pieces : N_PIECES);
}

static void draw_case(random_case *c, uint64_t seed) {
    *c = (random_case){.seed = seed};
    draw_config(c);
    c->n_copy_steps = draw(c, 0, 4);
    c->copy_seed = draw(c, 0, 2) ? rng_bits(seed, 1, UINT64_MAX) | 1 : 0;
    for (uint32_t f = 0; f < N_FAMILIES; f++)
        for (uint32_t i = 0; i < N_PIECES; i++) c->prefix_ids[f][i] = rng_bits(seed, 2 + f, i);
    c->n_requests = draw(c, 1, N_REQUESTS_MAX);
    int64_t step = 0;
    for (uint32_t i = 0; i < c->n_requests; i++) {
        step += draw(c, 0, 3) ? 0 : draw(c, 1, 12);
        draw_request(c, i, step);
    }
}

/* A case while it runs: the same steps in all ways. */
typedef struct run {
    const random_case *c;
    step_driver ways[N_WAYS];
    uint32_t n_arrived, n_added; /* a prompt that leaves no room for output is not added */
    uint64_t n_useful_tokens;    /* of those added: prompt and outputs but for the last */
    uint64_t n_recomputed_tokens;
    bool aborted;
} run;

static void run_init(run *r, const random_case *c) {
    *r = (run){.c = c};
    for (int w = 0; w < N_WAYS; w++) {
        scheduler_config config = c->config;
        config.single_file = w == 1;
        config.bind_early = w == 2;
        step_driver_init(&r->ways[w], &config);
        r->ways[w].n_copy_steps = c->n_copy_steps;
        r->ways[w].copy_seed = c->copy_seed;
        r->ways[w].step_ns = STEP_NS;
    }
}

static void run_finish(run *r) {
    for (int w = 0; w < N_WAYS; w++) step_driver_finish(&r->ways[w]);
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static void add_arrivals(run *r, int64_t step) {
    const random_case *c = r->c;
    for (; r->n_arrived < c->n_requests; r->n_arrived++) {
        request *q = &(request){0};
        *q = c->requests[r->n_arrived];
        uint32_t n_output = c->n_outputs[r->n_arrived];
        if (q->arrival_ns > step) return;
        q->arrival_ns *= STEP_NS;
        if (scheduler_output_limit(r->ways[0].scheduler, q) == 0) continue;
        for (int w = 0; w < N_WAYS; w++) step_driver_add(&r->ways[w], q, n_output);
        uint32_t stop = c->config.max_model_len - q->n_prompt + is_v0(c);
        r->n_added++;
        r->n_useful_tokens += q->n_prompt + least(least(n_output, q->n_output_max), stop) - 1;
    }
}

/* One step one way; the decision as text. */
static void step_one(run *r, int w, int64_t step, step_text *line) {
    step_driver *d = &r->ways[w];
    errbuf err = {0};
    step_text_init(line, ",");
    status st = step_driver_schedule(d, step, &err);
    if (st == ST_ABORTED) {
        r->aborted = true;
        step_text_put(line, "aborted");
        return;
    }
    if (st != ST_OK) fail_msg("step %" PRId64 ": %s", step, err.text);
    fingerprint_line(line, d, step_text_n_free_device(d));
    for (uint32_t i = 0; w == 0 && i < d->plan->n_chunks; i++)
        r->n_recomputed_tokens += d->plan->chunks[i].n_recomputed;
    step_driver_complete(d, step);
    if (scheduler_check(d->scheduler, &err) != ST_OK)
        fail_msg("step %" PRId64 ", way %d: %s", step, w, err.text);
}

static void run_steps(run *r, uint32_t n_steps_max) {
    static step_text lines[N_WAYS];
    scheduler *s = r->ways[0].scheduler;
    for (int64_t step = 0; step < n_steps_max && !r->aborted; step++) {
        add_arrivals(r, step);
        if (scheduler_n_unfinished(s) == 0 && r->n_arrived == r->c->n_requests) return;
        for (int w = 0; w < N_WAYS; w++) {
            step_one(r, w, step, &lines[w]);
            if (strcmp(lines[w].text, lines[0].text) != 0)
                fail_msg("step %" PRId64 ": way %d decides\n%s\nand not\n%s", step, w,
                         lines[w].text, lines[0].text);
        }
    }
}

static void expect_no_request_ends_twice(const run *r) {
    bool has_ended[N_REQUESTS_MAX] = {false};
    const step_driver *d = &r->ways[0];
    for (uint32_t i = 0; i < d->n_ended; i++) {
        assert_in_range(d->ended[i], 0, N_REQUESTS_MAX - 1);
        assert_false(has_ended[d->ended[i]]);
        has_ended[d->ended[i]] = true;
    }
    for (int w = 1; w < N_WAYS; w++) {
        assert_int_equal(r->ways[w].n_ended, d->n_ended);
        assert_memory_equal(r->ways[w].ended, d->ended, d->n_ended * sizeof(d->ended[0]));
    }
}

static void expect_all_blocks_back(const scheduler *s) {
    uint32_t n_null = s->null_block != KV_NO_BLOCK;
    assert_int_equal(scheduler_n_unfinished(s), 0);
    assert_int_equal(scheduler_n_free_device(s) + n_null, s->config.n_device_blocks);
    assert_int_equal(scheduler_n_free_host(s) + s->n_leaked, s->config.n_host_blocks);
}

/* What was not computed before is computed once, or is a hit in the prefix cache. */
static void expect_tokens_conserved(const run *r) {
    const step_driver *d = &r->ways[0];
    uint64_t n_first_time = d->n_tokens - r->n_recomputed_tokens;
    uint64_t n_hits = scheduler_n_hit_tokens(d->scheduler);
    assert_in_range(r->n_useful_tokens, n_first_time, n_first_time + n_hits);
    const policy_settings *settings = &r->c->config.policy.settings;
    if (settings->swap && settings->order == ORDER_FCFS)
        assert_int_equal(d->n_tokens, r->n_useful_tokens);
}

static bool run_case(const random_case *c) {
    run r;
    run_init(&r, c);
    run_steps(&r, c->roomy ? N_STEPS_ROOMY : N_STEPS_TIGHT);
    expect_no_request_ends_twice(&r);
    bool preempted = r.ways[0].n_preempted > 0;
    assert_false(preempted && c->config.policy.row->memory == &trtllm_no_evict_memory);
    if (c->roomy) {
        assert_false(r.aborted);
        assert_int_equal(r.ways[0].n_ended, r.n_added);
        assert_int_equal(r.ways[0].n_ignored, 0);
        for (int w = 0; w < N_WAYS; w++) {
            step_driver_drain(&r.ways[w], N_STEPS_ROOMY);
            expect_all_blocks_back(r.ways[w].scheduler);
        }
        expect_tokens_conserved(&r);
    }
    run_finish(&r);
    return preempted;
}

static uint64_t from_environment(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void requests_end_once_and_all_ways_agree(void **state) {
    (void)state;
    uint64_t seed = from_environment("SEED", 1), n = from_environment("PROP_CASES", 600);
    print_message("SEED=%" PRIu64 " PROP_CASES=%" PRIu64 "\n", seed, n);
    uint64_t n_preempting = 0;
    for (uint64_t i = 0; i < n; i++) {
        static random_case c;
        draw_case(&c, seed + i);
        print_message("SEED=%" PRIu64 " %s %s\n", c.seed, c.roomy ? "roomy" : "tight",
                      c.policy);
        fflush(stdout); /* an assert of the scheduler ends the program here */
        n_preempting += run_case(&c);
    }
    print_message("%" PRIu64 " cases with preemptions\n", n_preempting);
    assert_true(n < 100 || n_preempting > n / 4); /* or the cases are too easy */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_end_once_and_all_ways_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
