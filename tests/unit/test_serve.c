/* test_serve.c - what the serving loop shows of decisions, and how it ends a run that does not
 * go on. The policies are made for that; with the device they take 1 ms per iteration. */
#include "scheduler_state.h"
#include "serve.h"
#include "sim_rig.h"
#include "virtual_device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { N_BLOCKS = 8, BLOCK_TOKENS = 16, N_PROMPT = 40 };
static const int64_t MS = 1000000;

static void enqueue(scheduler *s, uint32_t id) {
    sequence_list_push_back(&s->waiting, &s->table, id);
}

static uint32_t horizon(const scheduler *s) {
    (void)s;
    return 1;
}

static uint32_t length_stop(uint32_t n_prompt, uint32_t max_model_len) {
    return max_model_len - n_prompt;
}

/* Starts the first prompt again and again, and never computes its last token. */
static status start_forever(scheduler *s, errbuf *err) {
    (void)err;
    if (s->running.n > 0) {
        uint32_t id = s->running.first;
        sequence_list_remove(&s->running, &s->table, id);
        TRY(state_preempt_recompute(s, id));
        sequence_list_push_front(&s->waiting, &s->table, id);
    }
    uint32_t id = sequence_list_pop_front(&s->waiting, &s->table);
    TRY(state_grow(s, id, blocks_for(s, N_PROMPT / 2)));
    state_run(s, id);
    return state_plan_chunk(s, id, N_PROMPT / 2);
}

static status decide_nothing(scheduler *s, errbuf *err) {
    (void)s;
    (void)err;
    return ST_OK;
}

/* Computes whole prompts, one output each. The first decision is a copy alone. */
static status copy_then_run(scheduler *s, errbuf *err) {
    (void)err;
    const block_pair pair = {N_BLOCKS - 1, 0};
    if (s->n_copies == 0) return state_copy_async(s, 0, LINK_TO_HOST, &pair, 1);
    if (s->waiting.n == 0 || s->n_flying > 0) return ST_OK;
    uint32_t id = sequence_list_pop_front(&s->waiting, &s->table);
    TRY(state_grow(s, id, blocks_for(s, N_PROMPT)));
    state_run(s, id);
    return state_plan_chunk(s, id, N_PROMPT);
}

typedef struct world {
    scheduler *scheduler;
    executor device;
    uint32_t n_requests, next;
    uint32_t n_decisions, n_copies, n_iterations;
    int64_t decision_ns[8];
} world;

static status next_request(void *context, request *out, uint32_t *n_output, errbuf *err) {
    world *w = context;
    (void)err;
    if (w->next == w->n_requests) return ST_END;
    *out = (request){.id = w->next++, .n_prompt = N_PROMPT, .n_output_max = 10};
    *n_output = 1;
    return ST_OK;
}

static void on_planned(void *context, const plan *p, int64_t now_ns) {
    world *w = context;
    if (w->n_decisions < 8) w->decision_ns[w->n_decisions] = now_ns;
    w->n_decisions++;
    w->n_copies += p->n_copies;
}

static void on_iterated(void *context, const iteration_span *span) {
    ((world *)context)->n_iterations += span->completion->n_iterations;
}

static status on_checked(void *context, errbuf *err) {
    return scheduler_check(((world *)context)->scheduler, err);
}

/* Serves n requests that arrive at once under a policy with this way to decide. */
static status serve_under(world *w, status (*schedule)(scheduler *s, errbuf *err), uint32_t n,
                          errbuf *err) {
    const memory_policy memory = {.enqueue = enqueue,
                                  .schedule = schedule,
                                  .horizon = horizon,
                                  .length_stop = length_stop};
    const policy_row row = {.name = "made", .text = "", .memory = &memory, .keys = ""};
    const plain_latency plain = {.iteration_s = 1e-3, .byte_s = 1e-9, .copy_slowdown = 1};
    scheduler_config c = scheduler_config_defaults();
    c.block_tokens = BLOCK_TOKENS;
    c.n_device_blocks = c.n_host_blocks = N_BLOCKS;
    c.policy = (policy){.row = &row};
    const virtual_device_config d = {
        .latency = plain_latency_source(&plain), .block_bytes = 1e6, .n_layers = 2};
    *w = (world){.n_requests = n};
    assert_int_equal(scheduler_create(&w->scheduler, &c, err), ST_OK);
    assert_int_equal(virtual_device_create(&w->device, &d, err), ST_OK);
    request_source source = {next_request, w};
    const serve_observer watch = {
        .planned = on_planned, .iterated = on_iterated, .checked = on_checked, .context = w};
    status st = serve(w->scheduler, &w->device, &source, &watch, err);
    w->device.destroy(w->device.context);
    scheduler_destroy(w->scheduler);
    return st;
}

static void ten_thousand_iterations_without_a_token_end_a_run(void **state) {
    (void)state;
    world w;
    errbuf err = {0};
    assert_int_equal(serve_under(&w, start_forever, 3, &err), ST_STUCK);
    assert_int_equal(w.n_iterations, SERVE_STUCK_ITERATIONS);
    assert_int_equal(w.n_iterations, 10000);
    assert_string_equal(err.text, "stuck at 10.000000 s: 10000 iterations without a new token "
                                  "(2 waiting, 1 running, 0 swapped out; 6 of 8 device blocks "
                                  "free, 8 of 8 host blocks free)");
}

static void a_policy_that_decides_nothing_ends_a_run(void **state) {
    (void)state;
    world w;
    errbuf err = {0};
    assert_int_equal(serve_under(&w, decide_nothing, 2, &err), ST_STUCK);
    assert_int_equal(w.n_iterations, 0);
    assert_string_equal(err.text,
                        "stuck at 0.000000 s: nothing can be scheduled and nothing more "
                        "arrives (2 waiting, 0 running, 0 swapped out; 8 of 8 device blocks "
                        "free, 8 of 8 host blocks free)");
}

static void every_decision_is_shown_with_its_time_and_copies(void **state) {
    (void)state;
    world w;
    errbuf err = {0};
    status st = serve_under(&w, copy_then_run, 2, &err);
    if (st != ST_OK) fail_msg("%s", err.text);
    assert_int_equal(w.n_copies, 1); /* though nothing was computed with it */
    assert_int_equal(w.n_iterations, 2);
    /* The copy takes 1 ms, then one prompt after the other. */
    assert_int_equal(w.n_decisions, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(w.decision_ns[i], i * MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_iterations_without_a_token_end_a_run),
        cmocka_unit_test(a_policy_that_decides_nothing_ends_a_run),
        cmocka_unit_test(every_decision_is_shown_with_its_time_and_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
