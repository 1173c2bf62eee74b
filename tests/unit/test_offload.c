/* test_offload.c - vLLM V1 with blocks on the host: what is stored, kept, loaded and waited
 * for.
 *
 * Most cases go step by step with blocks of 2 tokens; block 0 of the device is vLLM's null
 * block. How long things take is seen on the virtual device. */
#include "offload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim_rig.h"
#include "step_driver.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { BLOCK_TOKENS = 2 };

typedef struct world {
    step_driver d;
    int64_t step;
    uint64_t n_requests;
} world;

static void world_init(world *w, uint32_t n_device, uint32_t n_host, uint32_t n_copy_steps) {
    errbuf err = {0};
    scheduler_config config = scheduler_config_defaults();
    config.block_tokens = BLOCK_TOKENS;
    config.n_device_blocks = n_device;
    config.n_host_blocks = n_host;
    config.max_model_len = 64;
    assert_int_equal(policy_parse(&config.policy, "vllm-v1-offload", &err), ST_OK);
    *w = (world){0};
    step_driver_init(&w->d, &config);
    w->d.n_copy_steps = n_copy_steps;
}

static void world_finish(world *w) {
    step_driver_finish(&w->d);
}

static void check(const world *w) {
    errbuf err = {0};
    if (scheduler_check(w->d.scheduler, &err) != ST_OK) fail_msg("%s", err.text);
}

/* One step as "0:3 1:1 | waiting 1 out 2 in 1", by request id. */
static const char *step(world *w) {
    static char text[256];
    const scheduler *s = w->d.scheduler;
    uint64_t n_out = w->d.n_out_blocks, n_in = w->d.n_in_blocks;
    errbuf err = {0};
    assert_int_equal(step_driver_schedule(&w->d, w->step, &err), ST_OK);
    check(w);
    size_t n = 0;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next)
        if (step_driver_tokens(&w->d, id) > 0)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%" PRIu64 ":%u ",
                                  s->table.seqs[id].req.id, step_driver_tokens(&w->d, id));
    snprintf(text + n, sizeof(text) - n, "| waiting %u out %u in %u", s->waiting.n,
             (unsigned)(w->d.n_out_blocks - n_out), (unsigned)(w->d.n_in_blocks - n_in));
    step_driver_complete(&w->d, w->step++);
    check(w);
    return text;
}

/* A request whose first tokens are the content of these ids, a block each. */
static request shared(world *w, uint32_t n_prompt, const uint64_t *ids, uint32_t n_ids) {
    return (request){.id = w->n_requests++,
                     .arrival_ns = w->step,
                     .n_prompt = n_prompt,
                     .n_output_max = 40,
                     .prefix_tokens = BLOCK_TOKENS,
                     .prefix_ids = ids,
                     .n_prefix_ids = n_ids};
}

static void add(world *w, uint32_t n_prompt, uint32_t n_output) {
    request r = shared(w, n_prompt, NULL, 0);
    step_driver_add(&w->d, &r, n_output);
}

/* Runs a request alone to its end and lets its copies end. */
static void serve_alone(world *w, uint32_t n_prompt, const uint64_t *ids, uint32_t n_ids) {
    request r = shared(w, n_prompt, ids, n_ids);
    step_driver_add(&w->d, &r, 1);
    while (scheduler_n_unfinished(w->d.scheduler) > 0) step(w);
    w->step = step_driver_drain(&w->d, w->step);
}

/* Whose content is on the host: a digit per id, 1 for there. */
static const char *on_host(const world *w, const uint64_t *ids, uint32_t n_ids) {
    static char text[16];
    sequence q = {.req = {.n_prompt = n_ids * BLOCK_TOKENS,
                          .prefix_tokens = BLOCK_TOKENS,
                          .prefix_ids = ids,
                          .n_prefix_ids = n_ids}};
    for (uint32_t i = 0; i < n_ids; i++) {
        uint64_t key = state_block_key(w->d.scheduler, &q, i);
        text[i] = kv_pool_find(w->d.scheduler->host, key) == KV_NO_BLOCK ? '0' : '1';
    }
    text[n_ids] = '\0';
    return text;
}

/* Upstream's test of preemption with a connector (tests/v1/kv_connector): two requests find one
 * block each on the host. */
static void a_preempted_request_resumes_with_one_token(void **state) {
    (void)state;
    static const uint64_t a[] = {11}, b[] = {12};
    world w;
    world_init(&w, 7, 32, 0);
    serve_alone(&w, 3, a, 1);
    serve_alone(&w, 3, b, 1);
    serve_alone(&w, 12, NULL, 0); /* takes every block of the device */
    request first = shared(&w, 5, a, 1), second = shared(&w, 5, b, 1);
    step_driver_add(&w.d, &first, 4);
    step_driver_add(&w.d, &second, 4);
    assert_string_equal(step(&w), "| waiting 2 out 0 in 2");
    assert_string_equal(step(&w), "3:3 4:3 | waiting 0 out 0 in 0");
    assert_string_equal(step(&w), "3:1 4:1 | waiting 0 out 2 in 0");
    assert_string_equal(step(&w), "3:1 | waiting 1 out 2 in 0");
    assert_string_equal(step(&w), "3:1 | waiting 1 out 0 in 0");
    /* One of its three blocks is still on the device. */
    assert_string_equal(step(&w), "| waiting 1 out 1 in 2");
    assert_string_equal(step(&w), "4:1 | waiting 0 out 0 in 0");
    assert_string_equal(step(&w), "4:1 | waiting 0 out 0 in 0");
    assert_int_equal(scheduler_n_unfinished(w.d.scheduler), 0);
    world_finish(&w);
}

/* All but the block that was not full comes back. */
static void after_a_reload_only_the_rest_is_computed(void **state) {
    (void)state;
    world w;
    world_init(&w, 15, 64, 0);
    add(&w, 13, 8);
    add(&w, 12, 4);
    assert_string_equal(step(&w), "0:13 1:12 | waiting 0 out 0 in 0");
    assert_string_equal(step(&w), "0:1 1:1 | waiting 0 out 12 in 0");
    /* 14 blocks are taken; the eighth of the first is the second's last, half full. */
    assert_string_equal(step(&w), "0:1 | waiting 1 out 1 in 0");
    for (int i = 0; i < 5; i++) step(&w); /* the first ends */
    const sequence *q = &w.d.scheduler->table.seqs[1];
    assert_int_equal(q->state, SEQ_WAITING);
    assert_int_equal(sequence_len(q), 14);
    uint64_t n_in = w.d.n_in_blocks;
    uint64_t n_hits = scheduler_n_hit_tokens(w.d.scheduler);
    const char *text = step(&w);
    if (w.d.n_in_blocks > n_in) text = step(&w);
    assert_string_equal(text, "1:2 | waiting 0 out 0 in 0");
    assert_int_equal(scheduler_n_hit_tokens(w.d.scheduler) - n_hits, 12);
    assert_true(w.d.n_in_blocks > n_in);
    world_finish(&w);
}

static void a_store_is_left_out_while_copies_hold_the_whole_host(void **state) {
    (void)state;
    world w;
    world_init(&w, 10, 2, 3);
    add(&w, 4, 12);
    assert_string_equal(step(&w), "0:4 | waiting 0 out 0 in 0");
    assert_int_equal(scheduler_n_free_host(w.d.scheduler), 0);
    assert_string_equal(step(&w), "0:1 | waiting 0 out 2 in 0"); /* until the end of step 4 */
    for (int i = 2; i < 5; i++) assert_string_equal(step(&w), "0:1 | waiting 0 out 0 in 0");
    assert_int_equal(w.d.scheduler->table.seqs[0].n_stored, 2);
    assert_int_equal(scheduler_n_free_host(w.d.scheduler), 2);
    /* Two more blocks are full by now; they are noted in step 5 and take the place of the first
     * ones. */
    assert_string_equal(step(&w), "0:1 | waiting 0 out 0 in 0");
    assert_int_equal(w.d.scheduler->table.seqs[0].n_stored, 4);
    assert_string_equal(step(&w), "0:1 | waiting 0 out 2 in 0");
    world_finish(&w);
}

static void the_least_recently_used_go_first_and_of_those_the_last_block(void **state) {
    (void)state;
    static const uint64_t a[] = {11, 12, 13}, b[] = {21, 22}, c[] = {31, 32}, d[] = {41};
    world w;
    world_init(&w, 20, 7, 0);
    serve_alone(&w, 6, a, 3);
    serve_alone(&w, 4, b, 2);
    serve_alone(&w, 4, c, 2);
    assert_int_equal(scheduler_n_free_host(w.d.scheduler), 7);
    assert_string_equal(on_host(&w, a, 3), "111");
    serve_alone(&w, 2, d, 1); /* the end of a, the oldest */
    assert_string_equal(on_host(&w, a, 3), "110");
    serve_alone(&w, 5, a, 2); /* looked for, though the device has them */
    serve_alone(&w, 2, (const uint64_t[]){51}, 1);
    assert_string_equal(on_host(&w, a, 3), "110");
    assert_string_equal(on_host(&w, b, 2), "10");
    assert_string_equal(on_host(&w, c, 2), "11");
    serve_alone(&w, 4, (const uint64_t[]){61, 62}, 2);
    assert_string_equal(on_host(&w, b, 2), "00");
    assert_string_equal(on_host(&w, c, 2), "10");
    assert_string_equal(on_host(&w, a, 3), "110");
    serve_alone(&w, 6, (const uint64_t[]){71, 72, 73}, 3);
    assert_string_equal(on_host(&w, d, 1), "0");
    assert_string_equal(on_host(&w, a, 3), "100");
    world_finish(&w);
}

static void what_is_on_its_way_to_the_host_cannot_be_loaded_yet(void **state) {
    (void)state;
    static const uint64_t a[] = {11, 12};
    world w;
    world_init(&w, 8, 16, 5);
    request r = shared(&w, 4, a, 2);
    step_driver_add(&w.d, &r, 1);
    step(&w); /* both blocks are noted, and it ends */
    assert_string_equal(on_host(&w, a, 2), "11");
    request again = shared(&w, 6, a, 2);
    sequence q = {.req = again};
    bool later;
    assert_int_equal(offload_find(w.d.scheduler, &later, &q, 0), 0);
    w.step = step_driver_drain(&w.d, w.step);
    assert_int_equal(offload_find(w.d.scheduler, &later, &q, 0), 2);
    assert_int_equal(offload_find(w.d.scheduler, &later, &q, 1), 1);
    world_finish(&w);
}

/* They come once, and both start from the same blocks. */
static void who_wants_what_another_is_loading_is_passed_over(void **state) {
    (void)state;
    static const uint64_t a[] = {11, 12};
    world w;
    world_init(&w, 12, 16, 2);
    serve_alone(&w, 4, a, 2);
    serve_alone(&w, 22, NULL, 0);
    request first = shared(&w, 5, a, 2), second = shared(&w, 7, a, 2);
    step_driver_add(&w.d, &first, 2);
    step_driver_add(&w.d, &second, 2);
    add(&w, 3, 1); /* goes past them */
    assert_string_equal(step(&w), "4:3 | waiting 2 out 0 in 2");
    assert_string_equal(step(&w), "| waiting 2 out 1 in 0");
    assert_string_equal(step(&w), "| waiting 2 out 0 in 0");
    assert_string_equal(step(&w), "2:1 3:3 | waiting 0 out 0 in 0");
    world_finish(&w);
}

static void a_prompt_that_is_all_there_computes_its_last_token(void **state) {
    (void)state;
    static const uint64_t a[] = {11, 12};
    world w;
    world_init(&w, 8, 16, 2);
    serve_alone(&w, 4, a, 2);
    serve_alone(&w, 14, NULL, 0);
    request r = shared(&w, 4, a, 2);
    step_driver_add(&w.d, &r, 2);
    assert_string_equal(step(&w), "| waiting 1 out 0 in 2");
    assert_int_equal(w.d.scheduler->table.seqs[0].state, SEQ_LOADING);
    assert_string_equal(step(&w), "| waiting 1 out 0 in 0");
    assert_string_equal(step(&w), "| waiting 1 out 0 in 0");
    assert_string_equal(step(&w), "2:1 | waiting 0 out 0 in 0");
    world_finish(&w);
}

static void expect_broken(const world *w, const char *why) {
    errbuf err = {0};
    assert_int_equal(scheduler_check(w->d.scheduler, &err), ST_INVALID);
    assert_non_null(strstr(err.text, why));
}

static void computing_on_what_has_not_come_is_told(void **state) {
    (void)state;
    static const uint64_t a[] = {11, 12};
    world w;
    world_init(&w, 8, 16, 2);
    serve_alone(&w, 4, a, 2);
    serve_alone(&w, 14, NULL, 0);
    request r = shared(&w, 5, a, 2);
    step_driver_add(&w.d, &r, 2);
    step(&w);
    sequence *q = &w.d.scheduler->table.seqs[0];
    q->state = SEQ_STARTED;
    expect_broken(&w, "request 2 has block 0, still being copied");
    q->state = SEQ_LOADING;
    q->n_planned = 1;
    expect_broken(&w, "request 2 loads nothing, or computes");
    q->n_planned = 0;
    uint32_t host = w.d.scheduler->flying[0].pairs[0].host;
    w.d.scheduler->offload->arriving[host] = true;
    expect_broken(&w, "known as on its way");
    w.d.scheduler->offload->arriving[host] = false;
    check(&w);
    world_finish(&w);
}

static void who_needs_blocks_that_copies_hold_waits_and_preempts_no_more(void **state) {
    (void)state;
    world w;
    world_init(&w, 10, 32, 3);
    for (int i = 0; i < 3; i++) add(&w, 5, 4);
    step(&w);
    assert_string_equal(step(&w), "0:1 1:1 2:1 | waiting 0 out 6 in 0");
    /* The third's blocks are all being stored until the end of steps 4 and 5. */
    assert_string_equal(step(&w), "| waiting 1 out 3 in 0");
    assert_string_equal(step(&w), "| waiting 1 out 0 in 0");
    assert_string_equal(step(&w), "| waiting 1 out 0 in 0");
    assert_string_equal(step(&w), "0:1 1:1 | waiting 1 out 0 in 0");
    assert_int_equal(w.d.n_preempted, 1);
    while (scheduler_n_unfinished(w.d.scheduler) > 0) step(&w);
    assert_int_equal(w.d.n_preempted, 1);
    world_finish(&w);
}

/* Else it would be preempted, and the other could not start either. */
static void the_last_that_runs_takes_the_blocks_that_another_has_loaded(void **state) {
    (void)state;
    static const uint64_t a[] = {11, 12, 13, 14};
    world w;
    world_init(&w, 8, 32, 6);
    serve_alone(&w, 8, a, 4);
    serve_alone(&w, 14, NULL, 0);
    add(&w, 4, 10);
    request r = shared(&w, 9, a, 4);
    step_driver_add(&w.d, &r, 1);
    assert_string_equal(step(&w), "2:4 | waiting 1 out 0 in 4");
    assert_string_equal(step(&w), "2:1 | waiting 1 out 2 in 0");
    assert_string_equal(step(&w), "2:1 | waiting 1 out 0 in 0");
    assert_string_equal(step(&w), "| waiting 1 out 1 in 0");
    for (int i = 4; i < 7; i++) assert_string_equal(step(&w), "| waiting 1 out 0 in 0");
    assert_int_equal(w.d.scheduler->table.seqs[1].state, SEQ_STARTED);
    assert_string_equal(step(&w), "2:1 | waiting 1 out 0 in 0");
    assert_int_equal(w.d.scheduler->table.seqs[1].state, SEQ_WAITING);
    while (scheduler_n_unfinished(w.d.scheduler) > 0) step(&w);
    assert_int_equal(w.d.n_preempted, 0);
    world_finish(&w);
}

/* 12 requests of which few fit at once, and room for them on the host. */
static sim_case crowded(const char *policy_text, request *requests, uint32_t *n_outputs) {
    enum { N = 12 };
    sim_case c = sim_case_defaults(policy_text);
    for (uint32_t i = 0; i < N; i++) {
        requests[i] = (request){.id = i,
                                .arrival_ns = 3000000 * (int64_t)i,
                                .n_prompt = 40 + 7 * i,
                                .n_output_max = 200};
        n_outputs[i] = 60 + 5 * (i % 4);
    }
    c.config.n_device_blocks = 24;
    c.config.max_model_len = 368;
    c.requests = requests;
    c.n_outputs = n_outputs;
    c.n_requests = N;
    c.checks = c.keeps_log = true;
    return c;
}

static void without_host_blocks_it_is_vllm_v1_line_for_line(void **state) {
    (void)state;
    request requests[12];
    uint32_t n_outputs[12];
    sim_case plain = crowded("vllm-v1", requests, n_outputs);
    sim_case bare = crowded("vllm-v1-offload", requests, n_outputs);
    sim_outcome expected = sim_run(&plain), got = sim_run(&bare);
    assert_int_equal(expected.result, ST_OK);
    assert_true(expected.figures.value[FIG_n_preemptions] > 0);
    assert_string_equal(got.log, expected.log);
    assert_memory_equal(got.figures.value, expected.figures.value,
                        sizeof(got.figures.value[0]) * FIG_sim_wall_s);
    sim_outcome_finish(&expected);
    sim_outcome_finish(&got);
}

static void with_them_next_to_nothing_is_recomputed(void **state) {
    (void)state;
    request requests[12];
    uint32_t n_outputs[12];
    sim_case plain = crowded("vllm-v1", requests, n_outputs);
    sim_case tiered = crowded("vllm-v1-offload", requests, n_outputs);
    tiered.config.n_host_blocks = 400;
    sim_outcome bare = sim_run(&plain), got = sim_run(&tiered);
    if (got.result != ST_OK) fail_msg("%s", got.err.text);
    assert_true(got.figures.value[FIG_n_preemptions] > 0);
    assert_true(got.figures.value[FIG_n_swap_in_blocks] > 0);
    /* A preempted request recomputes less than one block. */
    assert_true(got.figures.value[FIG_recomputed_tokens] <
                16 * got.figures.value[FIG_n_preemptions]);
    assert_true(bare.figures.value[FIG_recomputed_tokens] >
                2 * got.figures.value[FIG_recomputed_tokens]);
    assert_int_equal(got.n_used_device, 0);
    assert_int_equal(got.n_used_host, 0);
    sim_outcome_finish(&bare);
    sim_outcome_finish(&got);
}

typedef struct seen {
    uint32_t n_beside_load;    /* iterations while the last request waited */
    uint32_t n_prefill_tokens; /* of its chunk */
    int64_t longest_ns;        /* of all iterations */
} seen;

static void watch(void *context, const iteration_span *span) {
    seen *v = context;
    const completion *c = span->completion;
    for (uint32_t i = 0; i < span->plan->n_chunks; i++)
        if (span->plan->seqs->seqs[span->plan->chunks[i].seq].req.id == 3)
            v->n_prefill_tokens += span->plan->chunks[i].n_tokens;
    if (span->plan->n_tokens > 1) return;
    int64_t start_ns = c->start_ns;
    for (uint32_t i = 0; i < c->n_iterations; i++) {
        if (span->n_waiting > 0) v->n_beside_load++;
        if (c->end_ns[i] - start_ns > v->longest_ns) v->longest_ns = c->end_ns[i] - start_ns;
        start_ns = c->end_ns[i];
    }
}

/* A prompt of 8 blocks is served, and pushed off the device by another; it comes again while a
 * third request decodes. */
static void a_load_runs_beside_the_compute_of_others(void **state) {
    (void)state;
    static const int64_t ms = 1000000;
    static const uint64_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8};
    request prompt = {.n_prompt = 130,
                      .n_output_max = 10,
                      .prefix_tokens = 16,
                      .prefix_ids = ids,
                      .n_prefix_ids = 8};
    request requests[4] = {prompt,
                           {.arrival_ns = 100 * ms, .n_prompt = 38 * 16, .n_output_max = 1},
                           {.arrival_ns = 400 * ms, .n_prompt = 16, .n_output_max = 200},
                           prompt};
    requests[3].arrival_ns = 420 * ms;
    for (uint32_t i = 0; i < 4; i++) requests[i].id = i;
    static const uint32_t n_outputs[] = {1, 1, 200, 1};
    sim_case c = sim_case_defaults("vllm-v1-offload");
    seen v = {0};
    c.config.n_device_blocks = 40;
    c.config.n_host_blocks = 200;
    c.latency.byte_s = 5e-9; /* 5 ms per block */
    c.requests = requests;
    c.n_outputs = n_outputs;
    c.n_requests = 4;
    c.checks = true;
    c.watch = watch;
    c.watch_context = &v;
    sim_outcome o = sim_run(&c);
    if (o.result != ST_OK) fail_msg("%s", o.err.text);
    assert_int_equal((int)o.figures.value[FIG_n_swap_in_blocks], 8);
    assert_int_equal(v.n_prefill_tokens, 2);
    /* 40 ms on the link, at iterations of little more than 1 ms. */
    double load_s = o.requests[3].first_scheduled_s - o.requests[3].arrival_s;
    assert_true(load_s > 0.040 && load_s < 0.065);
    assert_in_range(v.n_beside_load, 35, 65);
    assert_true(v.longest_ns < 11 * ms / 10);
    sim_outcome_finish(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preempted_request_resumes_with_one_token),
        cmocka_unit_test(after_a_reload_only_the_rest_is_computed),
        cmocka_unit_test(a_store_is_left_out_while_copies_hold_the_whole_host),
        cmocka_unit_test(the_least_recently_used_go_first_and_of_those_the_last_block),
        cmocka_unit_test(what_is_on_its_way_to_the_host_cannot_be_loaded_yet),
        cmocka_unit_test(who_wants_what_another_is_loading_is_passed_over),
        cmocka_unit_test(a_prompt_that_is_all_there_computes_its_last_token),
        cmocka_unit_test(computing_on_what_has_not_come_is_told),
        cmocka_unit_test(who_needs_blocks_that_copies_hold_waits_and_preempts_no_more),
        cmocka_unit_test(the_last_that_runs_takes_the_blocks_that_another_has_loaded),
        cmocka_unit_test(without_host_blocks_it_is_vllm_v1_line_for_line),
        cmocka_unit_test(with_them_next_to_nothing_is_recomputed),
        cmocka_unit_test(a_load_runs_beside_the_compute_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
