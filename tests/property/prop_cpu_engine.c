/* prop_cpu_engine.c - whatever a policy does, the CPU engine generates the same tokens.
 *
 * Random requests under random policies and pools that are too small for them, on a tiny model
 * with deterministic arithmetic: swaps, recomputes, partial evictions, write-backs, split
 * restores and prefix hits must leave no trace in the token ids, which are compared with a loop
 * that computes each request by itself. All invariants of the scheduler hold after each event.
 * Then the recorded times are replayed: every decision is made again, at the same time.
 *
 * SEED (default 1) is the seed of the first case, PROP_CASES (default 150) their number; the
 * line before a failure tells the seed of its case. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu_rig.h"
#include "rng.h"
#include "step_times.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { N_REQUESTS_MAX = 20, N_PIECES = 6, N_FAMILIES = 2, PREFIX_TOKENS = 8 };

typedef struct random_case {
    uint64_t seed, n_draws;
    const char *policy;
    cpu_case run;
    request requests[N_REQUESTS_MAX];
    uint32_t n_outputs[N_REQUESTS_MAX];
    uint64_t prefix_ids[N_FAMILIES][N_PIECES];
} random_case;

/* What happened in all cases. */
typedef struct tally {
    uint64_t n_iterations, n_finished, n_preempted, n_out, n_in, n_back, n_split, n_recomputed;
    uint32_t n_not_ended;
} tally;

typedef struct group {
    model *models[N_MODEL_ARCHS];
} group;

/* Uniform in [low, high]. */
static uint32_t draw(random_case *c, uint32_t low, uint32_t high) {
    return low + (uint32_t)(rng_bits(c->seed, 1, c->n_draws++) % (high - low + 1));
}

static const char *draw_policy(random_case *c) {
    static const char *const policies[] = {
        "adaptive",
        "adaptive,order=fcfs,min_service=1",
        "adaptive,mechanism=swap,min_service=1",
        "adaptive,mechanism=recompute,min_service=1",
        "adaptive,mechanism=cheaper,min_service=1,hysteresis=1",
        "adaptive,partial=off,write_back=off",
        "adaptive,split=off,reserve=off,min_service=1",
        "adaptive,beside=off,min_service=1",
        "adaptive,mixed=off,reserve=off,min_service=1,victim=least-urgent",
        "cost-aware",
        "always-swap",
        "always-recompute",
        "min-waste",
        "fastserve",
        "srpt-oracle",
        "vllm-v0-swap",
        "vllm-v0-swap,chunked=on",
        "vllm-v0-swap,host_full=recompute,block_manager=1",
        "vllm-v0-recompute",
        "vllm-v0-recompute,chunked=on,order=priority",
        "vllm-v1",
        "vllm-v1,prefix_cache=off,async=on",
        "vllm-v1,async=on,long_prefill_threshold=9",
        "vllm-v1-offload",
        "vllm-v1-offload,async=on",
        "nano-vllm",
        "sglang",
        "lightllm",
        "trtllm-max-utilization",
    };
    return policies[draw(c, 0, sizeof(policies) / sizeof(policies[0]) - 1)];
}

static void draw_request(random_case *c, uint32_t i, int64_t arrival_ns) {
    request *r = &c->requests[i];
    *r = (request){.id = i, .arrival_ns = arrival_ns};
    r->n_prompt = draw(c, 1, draw(c, 0, 1) ? 40 : 12);
    r->n_output_max = draw(c, 1, 40);
    r->priority = (int32_t)draw(c, 0, 2);
    c->n_outputs[i] = draw(c, 1, 40);
    if (draw(c, 0, 1)) return;
    r->prefix_tokens = PREFIX_TOKENS;
    r->prefix_ids = c->prefix_ids[draw(c, 0, N_FAMILIES - 1)];
    uint32_t n_pieces = (r->n_prompt + PREFIX_TOKENS - 1) / PREFIX_TOKENS;
    r->n_prefix_ids = draw(c, 0, n_pieces < N_PIECES ? n_pieces : N_PIECES);
}

static void draw_limits(random_case *c) {
    scheduler_config *k = &c->run.config;
    k->max_seqs = draw(c, 2, 12);
    k->n_device_blocks = draw(c, 18, 34); /* the longest request needs 17, vLLM V1 one more */
    k->n_host_blocks = draw(c, 0, 3) ? draw(c, 40, 90) : draw(c, 0, 40);
    k->max_batched_tokens = draw(c, 0, 1) ? 64 : draw(c, 12, 64);
    if (strncmp(c->policy, "vllm-v0", 7) == 0) k->max_batched_tokens = 64;
    if (draw(c, 0, 3) == 0) k->horizon_max = 1;
    /* From where everybody is recomputed to where everybody is copied, and between. */
    static const rig_costs costs[] = {
        {1e-4, 3e-6, 1e-5}, {2e-5, 1e-7, 3e-4}, {1e-5, 2e-6, 2e-4},
        {1e-6, 5e-6, 4e-4}, {1e-6, 8e-6, 6e-4}, {1e-6, 2e-5, 1e-3},
    };
    c->run.costs = costs[draw(c, 0, sizeof(costs) / sizeof(costs[0]) - 1)];
    c->run.engine.n_threads = draw(c, 1, 2);
}

static void draw_case(random_case *c, const group *g, uint64_t seed) {
    *c = (random_case){.seed = seed};
    c->policy = draw_policy(c);
    c->run = cpu_case_defaults(c->policy);
    c->run.engine.model = g->models[draw(c, 0, N_MODEL_ARCHS - 1)];
    c->run.engine.common.seed = c->run.engine.common.sampling.seed = seed;
    draw_limits(c);
    for (uint32_t f = 0; f < N_FAMILIES; f++)
        for (uint32_t i = 0; i < N_PIECES; i++) c->prefix_ids[f][i] = rng_bits(seed, 2 + f, i);
    int64_t arrival_ns = 0;
    c->run.n_requests = draw(c, 2, N_REQUESTS_MAX);
    for (uint32_t i = 0; i < c->run.n_requests; i++) {
        arrival_ns += draw(c, 0, 3) ? 0 : draw(c, 1, 2000000);
        draw_request(c, i, arrival_ns);
    }
    c->run.requests = c->requests;
    c->run.n_outputs = c->n_outputs;
}

/* Everyone who finished said what it says alone. */
static void check_outputs(const random_case *c, const cpu_outcome *run) {
    cpu_outcome alone = cpu_run_alone(&c->run);
    for (uint32_t i = 0; i < c->run.n_requests; i++) {
        const cpu_output *a = &run->outputs[i], *b = &alone.outputs[i];
        if (!a->tokens) continue;
        if (a->n != b->n) fail_msg("request %u: %u tokens, alone %u", i, a->n, b->n);
        for (uint32_t j = 0; j < a->n; j++)
            if (a->tokens[j] != b->tokens[j])
                fail_msg("request %u, output %u: %u, alone %u", i, j, a->tokens[j],
                         b->tokens[j]);
    }
    cpu_outcome_finish(&alone, c->run.n_requests);
}

/* ------------------------------------------------------------ the recorded times */

typedef struct record {
    char path[64];
    step_log *log;
    step_times times;
} record;

static void must(status st, const errbuf *err) {
    if (st != ST_OK) fail_msg("%s: %s", status_text(st), err->text);
}

static executor write_times(void *context, executor inner) {
    record *r = context;
    errbuf err = {0};
    must(step_log_open(&r->log, r->path, &err), &err);
    must(step_log_watch(r->log, &inner, &err), &err);
    return inner;
}

static executor replay_times(void *context, executor inner) {
    record *r = context;
    executor recorded;
    errbuf err = {0};
    inner.destroy(inner.context);
    must(recorded_device_create(&recorded, &r->times.times, &err), &err);
    return recorded;
}

static void check_replay(const random_case *c, record *r, const cpu_outcome *run) {
    errbuf err = {0};
    cpu_case again = c->run;
    again.wrap = replay_times;
    again.wrap_context = r;
    must(step_times_read(&r->times, r->path, &err), &err);
    cpu_outcome replayed = cpu_run(&again);
    if (replayed.result != run->result) fail_msg("replayed: %s", replayed.err.text);
    if (strcmp(replayed.log, run->log) != 0) {
        size_t i = 0;
        while (replayed.log[i] == run->log[i]) i++;
        while (i > 0 && run->log[i - 1] != '\n') i--;
        fail_msg("replayed differs from here on:\n%.300s\nrun:\n%.300s", replayed.log + i,
                 run->log + i);
    }
    cpu_outcome_finish(&replayed, c->run.n_requests);
    step_times_finish(&r->times);
}

static void count(tally *t, const cpu_outcome *o) {
    t->n_iterations += o->n_iterations;
    t->n_finished += o->n_finished;
    t->n_preempted += o->n_preempted;
    t->n_out += o->n_out_blocks;
    t->n_in += o->n_in_blocks;
    t->n_back += o->n_back_blocks;
    t->n_split += o->n_split;
    t->n_recomputed += o->n_recomputed;
    t->n_not_ended += o->result != ST_OK;
}

/* Upstream may give up, or wait for ever, in a pool this small; nothing else may go wrong. */
static bool may_end_so(const random_case *c, const cpu_outcome *o) {
    if (o->result == ST_OK || o->result == ST_ABORTED) return true;
    return o->result == ST_STUCK && strncmp(c->policy, "adaptive", 8) != 0;
}

static void check_case(random_case *c, tally *t) {
    errbuf err = {0};
    record r = {.path = "/tmp/prop_cpu_engine_XXXXXX"};
    int file = mkstemp(r.path);
    assert_true(file >= 0);
    close(file);
    c->run.wrap = write_times;
    c->run.wrap_context = &r;
    cpu_outcome run = cpu_run(&c->run);
    must(step_log_close(r.log, &err), &err);
    count(t, &run);
    if (!may_end_so(c, &run)) fail_msg("%s: %s", status_text(run.result), run.err.text);
    check_outputs(c, &run);
    check_replay(c, &r, &run);
    unlink(r.path);
    cpu_outcome_finish(&run, c->run.n_requests);
}

static uint64_t from_environment(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static int make_models(void **state) {
    group *g = malloc(sizeof(*g));
    if (!g) return -1;
    for (int i = 0; i < N_MODEL_ARCHS; i++)
        g->models[i] = cpu_rig_model((model_arch)i, 1 + (uint64_t)i);
    *state = g;
    return 0;
}

static int close_models(void **state) {
    group *g = *state;
    for (int i = 0; i < N_MODEL_ARCHS; i++) model_close(g->models[i]);
    free(g);
    return 0;
}

static void test_no_policy_changes_a_token(void **state) {
    uint64_t seed = from_environment("SEED", 1), n = from_environment("PROP_CASES", 150);
    random_case *c = malloc(sizeof(*c));
    tally t = {0};
    assert_non_null(c);
    for (uint64_t i = 0; i < n; i++) {
        draw_case(c, *state, seed + i);
        printf("SEED=%" PRIu64 " %s\n", c->seed, c->policy);
        fflush(stdout);
        check_case(c, &t);
    }
    printf("%" PRIu64 " iterations, %" PRIu64 " requests, %" PRIu64
           " preemptions, blocks %" PRIu64 " out %" PRIu64 " in %" PRIu64
           " written back, %" PRIu64 " recomputed tokens, %" PRIu64
           " chunks beside their restore, %" PRIu32 " runs given up\n",
           t.n_iterations, t.n_finished, t.n_preempted, t.n_out, t.n_in, t.n_back,
           t.n_recomputed, t.n_split, t.n_not_ended);
    free(c);
    if (n < 150) return;
    /* Otherwise the cases would say little. */
    assert_true(t.n_out > 0 && t.n_in > 0 && t.n_back > 0 && t.n_recomputed > 0);
    assert_true(t.n_not_ended < n / 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_policy_changes_a_token),
    };
    return cmocka_run_group_tests(tests, make_models, close_models);
}
