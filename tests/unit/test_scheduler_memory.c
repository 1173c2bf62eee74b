/* test_scheduler_memory.c - each allocation of a run is made to fail once.
 *
 * The linker sends malloc, calloc, realloc and free of everything linked here to the functions
 * below (--wrap, see meson.build), which count and refuse. */
#include "plain_costs.h"
#include "scheduler.h"
#include "scheduler_state.h"

#include <stdio.h>
#include <stdlib.h>

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct {
    uint64_t n_calls;
    uint64_t refused; /* number of the call to refuse, 0 for none */
    int64_t n_live;   /* allocations that were not freed */
} heap;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);

static void *count(void *p) {
    heap.n_live += p != NULL;
    return p;
}

static bool refuses(void) {
    return ++heap.n_calls == heap.refused;
}

void *__wrap_malloc(size_t size) {
    return refuses() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size) {
    return refuses() ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size) {
    if (refuses()) return NULL;
    return p ? __real_realloc(p, size) : count(__real_realloc(p, size));
}

void __wrap_free(void *p) {
    heap.n_live -= p != NULL;
    __real_free(p);
}

typedef enum stage { CREATE, ADD, SCHEDULE, COMPLETE, N_STAGES } stage;

typedef struct memory_case {
    const char *name, *policy;
    uint32_t n_device, n_host, max_batched_tokens;
    uint32_t n_requests, n_prompt, n_output;
    bool bind_early, shares_prefix;
} memory_case;

/* Blocks of one token make long tables; many requests at once make every list grow. */
static const memory_case cases[] = {
    {"V0 that recomputes", "vllm-v0-recompute", 4000, 0, 4000, 300, 40, 8, false, false},
    {"V0 that swaps", "vllm-v0-swap", 4000, 4000, 4000, 100, 40, 12, false, false},
    {"V0 in chunks, blocks taken ahead", "vllm-v0-swap,chunked=on", 3000, 4000, 500, 100, 30, 8,
     true, false},
    {"V0 that gives up a swapped sequence", "vllm-v0-swap,block_manager=1", 60, 200, 100, 2, 20,
     60, false, false},
    {"V1 with prefix cache", "vllm-v1", 3000, 0, 500, 300, 40, 12, false, true},
    {"V1 by priority, blocks taken ahead", "vllm-v1,order=priority", 3000, 0, 500, 100, 40, 12,
     true, true},
    {"V1 with blocks on the host", "vllm-v1-offload", 1000, 4000, 500, 60, 40, 12, false, true},
    {"nano-vllm, blocks taken ahead", "nano-vllm", 3000, 0, 500, 300, 40, 12, true, true},
    {"TensorRT-LLM that pauses", "trtllm-max-utilization", 3000, 0, 500, 300, 40, 12, false,
     false},
    {"SGLang that retracts, blocks taken ahead", "sglang,conservativeness=0.1", 3000, 0, 500,
     300, 40, 12, true, false},
    {"adaptive", "adaptive,min_service=2", 1000, 500, 500, 100, 40, 30, false, false},
    {"adaptive by client, copies in line", "fastserve,order=vtc,beside=off,partial=off", 1000,
     500, 500, 100, 40, 30, false, false},
    {"adaptive oracle, blocks taken ahead", "srpt-oracle,hysteresis=0,min_service=0", 1000,
     2000, 500, 100, 40, 30, true, false},
    {"Past-Future that pauses", "past-future", 1000, 0, 500, 100, 40, 30, false, false},
};

static const plain_costs constants = {
    .latency = {.iteration_s = 1e-9, .token_s = 1e-11, .byte_s = 1e-11, .copy_slowdown = 1},
    .block_bytes = 1};
static cost_model costs;

static scheduler_config configure(const memory_case *m) {
    errbuf err = {0};
    scheduler_config config = scheduler_config_defaults();
    if (policy_parse(&config.policy, m->policy, &err) != ST_OK) fail_msg("%s", err.text);
    config.block_tokens = 1;
    config.n_device_blocks = m->n_device;
    config.n_host_blocks = m->n_host;
    config.max_seqs = 128;
    config.max_batched_tokens = m->max_batched_tokens;
    config.max_model_len = 100;
    config.bind_early = m->bind_early;
    costs = plain_cost_model(&constants);
    config.costs = &costs;
    return config;
}

/* Adds all requests; a refused one leaves everything as it was and can be added again. */
static void add_requests(scheduler *s, const memory_case *m, uint32_t n_refused[N_STAGES]) {
    static const uint64_t prefix_ids[] = {11, 12, 13};
    for (uint32_t i = 0; i < m->n_requests; i++) {
        request req = {.id = i,
                       .n_prompt = m->n_prompt,
                       .n_output_max = m->n_output,
                       .priority = (int32_t)(i % 3),
                       .client = i};
        if (m->shares_prefix) {
            req.prefix_ids = prefix_ids;
            req.n_prefix_ids = 3;
            req.prefix_tokens = 10;
        }
        uint32_t slot = NO_SEQ;
        if (scheduler_add(s, &slot, &req) == ST_OK) continue;
        n_refused[ADD]++;
        errbuf err = {0};
        assert_int_equal(slot, NO_SEQ);
        assert_int_equal(scheduler_n_unfinished(s), i);
        if (scheduler_check(s, &err) != ST_OK) fail_msg("%s", err.text);
        assert_int_equal(scheduler_add(s, &slot, &req), ST_OK);
    }
}

/* The completion of one iteration; the finished go to ids. */
static completion complete_one(const plan *p, const int64_t *end_ns, uint32_t *ids) {
    completion c = {.kind = COMPLETION_COMPUTE, .end_ns = end_ns, .n_iterations = 1};
    for (uint32_t id = 0; id < p->seqs->n_touched; id++) {
        const sequence *q = &p->seqs->seqs[id];
        if (q->state != SEQ_RUNNING) continue;
        bool samples = q->in_cohort && p->runs_cohort;
        for (uint32_t i = 0; i < p->n_chunks; i++)
            samples |= p->chunks[i].seq == id && p->chunks[i].samples;
        if (samples && cohort_n_output(p->decodes, q) + 1 >= q->n_output_max)
            ids[c.n_finished++] = id;
    }
    c.finished = ids;
    return c;
}

/* Of the offload: each copy ends in the step in which it starts. */
static void complete_copies(scheduler *s, const plan *p) {
    for (uint32_t i = 0; i < p->n_copies; i++)
        if (!p->copies[i].ordered) scheduler_copy_done(s, p->copies[i].id);
}

static status run_step(scheduler *s, int64_t now_ns, uint32_t n_refused[N_STAGES]) {
    const plan *p;
    errbuf err = {0};
    status st = scheduler_schedule(s, &p, now_ns, &err);
    if (st != ST_OK) {
        n_refused[SCHEDULE]++;
        assert_true(err.text[0] != '\0');
        return st;
    }
    uint32_t ids[512], n_finished = 0;
    const uint32_t *finished;
    int64_t end_ns = now_ns + 1;
    completion c = complete_one(p, &end_ns, ids);
    complete_copies(s, p);
    if (plan_occupies_compute(p)) st = scheduler_complete(s, &finished, &n_finished, &c);
    if (st != ST_OK) {
        n_refused[COMPLETE]++;
        return st;
    }
    for (uint32_t i = 0; i < n_finished; i++) scheduler_end(s, finished[i]);
    for (uint32_t i = 0; i < p->n_ignored; i++) scheduler_end(s, p->ignored[i]);
    return ST_OK;
}

/* The whole run with one call refused. */
static status run(const memory_case *m, uint64_t refused, uint32_t n_refused[N_STAGES]) {
    scheduler_config config = configure(m);
    scheduler *untouched = (scheduler *)&config, *s = untouched;
    errbuf err = {0};
    heap.n_calls = 0;
    heap.refused = refused;
    status st = scheduler_create(&s, &config, &err);
    if (st != ST_OK) {
        n_refused[CREATE]++;
        assert_ptr_equal(s, untouched);
        assert_true(err.text[0] != '\0');
        return st;
    }
    add_requests(s, m, n_refused);
    for (int64_t step = 0; st == ST_OK && scheduler_n_unfinished(s) > 0; step++) {
        assert_true(step < 100000);
        st = run_step(s, step, n_refused);
    }
    scheduler_destroy(s);
    return st;
}

static void out_of_memory_is_told_and_nothing_leaks(void **state) {
    const memory_case *m = *state;
    uint32_t n_refused[N_STAGES] = {0};
    int64_t n_live = heap.n_live;
    assert_int_equal(run(m, 0, n_refused), ST_OK);
    assert_int_equal(heap.n_live, n_live);
    uint64_t n_calls = heap.n_calls;
    for (uint64_t refused = 1; refused <= n_calls; refused++) {
        uint32_t n_before = n_refused[ADD];
        status st = run(m, refused, n_refused);
        assert_int_equal(st, n_refused[ADD] > n_before ? ST_OK : ST_NO_MEMORY);
        assert_int_equal(heap.n_live, n_live);
    }
    for (int i = 0; i < N_STAGES; i++) assert_true(n_refused[i] > 0);
    assert_int_equal(n_refused[CREATE] + n_refused[ADD] + n_refused[SCHEDULE] +
                         n_refused[COMPLETE],
                     n_calls);
}

int main(void) {
    enum { N = sizeof(cases) / sizeof(cases[0]) };
    struct CMUnitTest tests[N];
    for (int i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){.name = cases[i].name,
                                       .test_func = out_of_memory_is_told_and_nothing_leaks,
                                       .initial_state = (void *)&cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
