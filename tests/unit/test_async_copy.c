/* test_async_copy.c - copies that run beside compute, from the policy to the link and back.
 *
 * A small policy starts them by script: it admits whoever waits, and with its n-th decision it
 * starts the copies listed for it. */
#include "scheduler_state.h"
#include "serve.h"
#include "sim_rig.h"
#include "virtual_device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_BLOCKS = 64, BLOCK_TOKENS = 16 };
static const int64_t MS = 1000000;

typedef struct scripted_copy {
    uint32_t decision; /* from 0 */
    link_direction direction;
    uint32_t first_device, first_host, n_pairs; /* neighbours on both sides */
} scripted_copy;

/* What the policy does; a policy has no other place for it. */
static struct {
    const scripted_copy *copies; /* [n_copies] */
    uint32_t n_copies, n_decisions;
    bool waits_for_copies; /* admits nobody while one is in flight */
} script;

static status start_copies(scheduler *s) {
    for (uint32_t i = 0; i < script.n_copies; i++) {
        const scripted_copy *c = &script.copies[i];
        if (c->decision != script.n_decisions) continue;
        block_pair pairs[N_BLOCKS];
        for (uint32_t j = 0; j < c->n_pairs; j++)
            pairs[j] = (block_pair){c->first_device + j, c->first_host + j};
        TRY(state_copy_async(s, 0, c->direction, pairs, c->n_pairs));
    }
    script.n_decisions++;
    return ST_OK;
}

static void enqueue(scheduler *s, uint32_t id) {
    sequence_list_push_back(&s->waiting, &s->table, id);
}

static status schedule(scheduler *s, errbuf *err) {
    (void)err;
    TRY(start_copies(s));
    if (s->cohort.n > 0) TRY(state_grow_cohort(s, 0));
    s->plan.runs_cohort = s->cohort.n > 0;
    if (script.waits_for_copies && s->n_flying > 0) return ST_OK;
    while (s->waiting.n > 0) {
        uint32_t id = sequence_list_pop_front(&s->waiting, &s->table);
        uint32_t n = seq_at(s, id)->req.n_prompt;
        TRY(state_grow(s, id, blocks_for(s, n)));
        state_run(s, id);
        TRY(state_plan_chunk(s, id, n));
    }
    return ST_OK;
}

static uint32_t horizon(const scheduler *s) {
    uint64_t room = (uint64_t)kv_pool_n_free(s->device) + cohort_growth(&s->cohort, 0)->n;
    uint32_t ticks = cohort_ticks_within(&s->cohort, room, s->config.horizon_max);
    return ticks > 0 ? ticks : 1;
}

static uint32_t length_stop(uint32_t n_prompt, uint32_t max_model_len) {
    return max_model_len - n_prompt;
}

static const memory_policy scripted = {
    .enqueue = enqueue, .schedule = schedule, .horizon = horizon, .length_stop = length_stop};
static const policy_row row = {
    .name = "scripted", .text = "copies by script", .memory = &scripted, .keys = ""};

/* 2 ms per iteration, 1 ms per block copied, half as fast again with both ways busy. */
static const plain_latency plain = {.iteration_s = 2e-3, .byte_s = 1e-9, .copy_slowdown = 1.5};

typedef struct world {
    scheduler *scheduler;
    executor device;
    const plan *plan;
} world;

static void world_init(world *w, const scripted_copy *copies, uint32_t n_copies) {
    script.copies = copies;
    script.n_copies = n_copies;
    script.n_decisions = 0;
    script.waits_for_copies = false;
    errbuf err = {0};
    scheduler_config c = scheduler_config_defaults();
    c.block_tokens = BLOCK_TOKENS;
    c.n_device_blocks = c.n_host_blocks = N_BLOCKS;
    c.policy = (policy){&row, {0}};
    virtual_device_config d = {
        .latency = plain_latency_source(&plain), .block_bytes = 1e6, .n_layers = 2};
    assert_int_equal(scheduler_create(&w->scheduler, &c, &err), ST_OK);
    assert_int_equal(virtual_device_create(&w->device, &d, &err), ST_OK);
}

static void world_finish(world *w) {
    w->device.destroy(w->device.context);
    scheduler_destroy(w->scheduler);
}

static void check(const world *w) {
    errbuf err = {0};
    if (scheduler_check(w->scheduler, &err) != ST_OK) fail_msg("%s", err.text);
}

static void add(world *w, uint32_t n_prompt, uint32_t n_output) {
    request r = {.n_prompt = n_prompt, .n_output_max = 1000};
    uint32_t id;
    assert_int_equal(scheduler_add(w->scheduler, &id, &r), ST_OK);
    assert_int_equal(
        w->device.admit(w->device.context, scheduler_table(w->scheduler), id, n_output), ST_OK);
}

static void decide(world *w) {
    errbuf err = {0};
    int64_t now_ns = w->device.now_ns(w->device.context);
    assert_int_equal(scheduler_schedule(w->scheduler, &w->plan, now_ns, &err), ST_OK);
    check(w);
    assert_int_equal(w->device.submit(w->device.context, w->plan, &err), ST_OK);
}

static void book_compute(world *w, const completion *c) {
    const uint32_t *finished;
    uint32_t n_finished;
    assert_int_equal(scheduler_complete(w->scheduler, &finished, &n_finished, c), ST_OK);
    for (uint32_t i = 0; i < n_finished; i++) scheduler_end(w->scheduler, finished[i]);
}

/* The next event must be this one, at this time; it is booked and every invariant looked at. */
static completion expect(world *w, completion_kind kind, int64_t at_ns) {
    errbuf err = {0};
    completion c;
    assert_int_equal(w->device.next(w->device.context, INT64_MAX, &c, &err), ST_OK);
    assert_int_equal(c.kind, kind);
    assert_int_equal(c.now_ns, at_ns);
    if (kind == COMPLETION_COMPUTE)
        book_compute(w, &c);
    else
        scheduler_copy_done(w->scheduler, c.copy_id);
    check(w);
    return c;
}

static uint32_t n_used(const world *w) {
    return N_BLOCKS - scheduler_n_free_device(w->scheduler);
}

static uint32_t n_used_host(const world *w) {
    return N_BLOCKS - scheduler_n_free_host(w->scheduler);
}

static void copies_both_ways_complete_in_order_of_time_and_slow_each_other(void **state) {
    (void)state;
    /* Blocks 0 to 3 are the sequence's own; the others are free and come from the host. */
    static const scripted_copy copies[] = {{1, LINK_TO_HOST, 0, 0, 4},
                                           {1, LINK_TO_DEVICE, 40, 20, 2}};
    world w;
    world_init(&w, copies, 2);
    add(&w, 60, 100);
    decide(&w);
    expect(&w, COMPLETION_COMPUTE, 2 * MS);
    decide(&w);
    assert_int_equal(scheduler_n_copies_in_flight(w.scheduler), 2);
    assert_int_equal(n_used(&w), 4 + 2);
    assert_int_equal(n_used_host(&w), 4 + 2);
    /* 2 ms of work at 1 / 1.5; it ends in the second iteration from 2 ms on, and that ends the
     * horizon. */
    completion c = expect(&w, COMPLETION_COPY, 5 * MS);
    assert_int_equal(c.copy_id, 1);
    assert_float_equal(c.copy_s, 3e-3, 1e-12);
    assert_int_equal(expect(&w, COMPLETION_COMPUTE, 6 * MS).n_iterations, 2);
    assert_int_equal(n_used_host(&w), 4);
    /* 2 ms were left of the other one, alone by now. It ends before the next boundary. */
    decide(&w);
    c = expect(&w, COMPLETION_COPY, 7 * MS);
    assert_int_equal(c.copy_id, 0);
    assert_float_equal(c.copy_s, 5e-3, 1e-12);
    assert_int_equal(expect(&w, COMPLETION_COMPUTE, 8 * MS).n_iterations, 1);
    assert_int_equal(n_used_host(&w), 0);
    assert_int_equal(n_used(&w), 4);
    executor_usage usage;
    w.device.usage(w.device.context, &usage);
    assert_float_equal(usage.link_s, 5e-3, 1e-12);
    world_finish(&w);
}

static void at_one_time_a_copy_comes_before_compute_and_ends_the_horizon(void **state) {
    (void)state;
    static const scripted_copy copies[] = {{1, LINK_TO_HOST, 0, 0, 4}};
    world w;
    world_init(&w, copies, 1);
    add(&w, 60, 100);
    decide(&w);
    expect(&w, COMPLETION_COMPUTE, 2 * MS);
    decide(&w);
    expect(&w, COMPLETION_COPY, 6 * MS);
    assert_int_equal(expect(&w, COMPLETION_COMPUTE, 6 * MS).n_iterations, 2);
    world_finish(&w);
}

static void blocks_of_a_copy_are_held_though_their_sequence_ended(void **state) {
    (void)state;
    static const scripted_copy copies[] = {{1, LINK_TO_HOST, 0, 0, 3}};
    world w;
    world_init(&w, copies, 1);
    add(&w, 40, 2); /* 3 blocks; ends with the iteration beside which the copy starts */
    decide(&w);
    expect(&w, COMPLETION_COMPUTE, 2 * MS);
    decide(&w);
    assert_int_equal(expect(&w, COMPLETION_COMPUTE, 4 * MS).n_finished, 1);
    assert_int_equal(scheduler_n_unfinished(w.scheduler), 0);
    assert_int_equal(n_used(&w), 3);
    assert_int_equal(n_used_host(&w), 3);
    /* Nobody else gets them. */
    add(&w, 16 * (N_BLOCKS - 3), 1);
    decide(&w);
    assert_int_equal(scheduler_n_free_device(w.scheduler), 0);
    expect(&w, COMPLETION_COPY, 5 * MS);
    assert_int_equal(scheduler_n_free_device(w.scheduler), 3);
    assert_int_equal(n_used_host(&w), 0);
    expect(&w, COMPLETION_COMPUTE, 6 * MS);
    assert_int_equal(n_used(&w), 0);
    world_finish(&w);
}

/* What serve() showed of a run, as text. A horizon reports its iterations at its end, after a
 * copy that completed in the last of them, so copies are written apart. */
typedef struct record {
    FILE *compute, *copies;
    const world *w;
} record;

static void on_iterated(void *context, const iteration_span *span) {
    const completion *c = span->completion;
    for (uint32_t i = 0; i < c->n_iterations; i++)
        fprintf(((record *)context)->compute, "ends %lld free %u %u\n", (long long)c->end_ns[i],
                span->n_free_device[i], span->n_free_host[i]);
}

static void on_ended(void *context, const sequence *s, request_outcome outcome,
                     int64_t now_ns) {
    fprintf(((record *)context)->compute, "request %llu outcome %d at %lld\n",
            (unsigned long long)s->req.id, (int)outcome, (long long)now_ns);
}

static void on_copied(void *context, const completion *c) {
    fprintf(((record *)context)->copies, "copy %llu at %lld\n", (unsigned long long)c->copy_id,
            (long long)c->now_ns);
}

static status on_checked(void *context, errbuf *err) {
    return scheduler_check(((record *)context)->w->scheduler, err);
}

static const uint32_t n_outputs[] = {30, 50};

static status next_request(void *context, request *out, uint32_t *n_output, errbuf *err) {
    uint32_t *next = context;
    (void)err;
    if (*next == 2) return ST_END;
    *out = (request){.id = *next,
                     .arrival_ns = *next * 11 * MS + *next,
                     .n_prompt = 20,
                     .n_output_max = 100};
    *n_output = n_outputs[(*next)++];
    return ST_OK;
}

/* What serve() showed of two requests: copies, then iterations and ends; to be freed. */
static char *serve_two(world *w) {
    char *compute, *copies;
    size_t n_compute, n_copies;
    record r = {open_memstream(&compute, &n_compute), open_memstream(&copies, &n_copies), w};
    uint32_t next = 0;
    errbuf err = {0};
    assert_true(r.compute && r.copies);
    request_source source = {next_request, &next};
    const serve_observer watch = {.iterated = on_iterated,
                                  .ended = on_ended,
                                  .copied = on_copied,
                                  .checked = on_checked,
                                  .context = &r};
    status st = serve(w->scheduler, &w->device, &source, &watch, &err);
    if (st != ST_OK) fail_msg("%s: %s", status_text(st), err.text);
    assert_int_equal(fclose(r.compute), 0);
    fputs(compute, r.copies);
    assert_int_equal(fclose(r.copies), 0);
    free(compute);
    return copies;
}

static void a_decision_may_consist_of_copies_alone(void **state) {
    (void)state;
    static const scripted_copy copies[] = {{0, LINK_TO_DEVICE, 30, 30, 7},
                                           {0, LINK_TO_DEVICE, 40, 40, 1}};
    world w;
    world_init(&w, copies, 2);
    script.waits_for_copies = true;
    char *text = serve_two(&w);
    static const char beginning[] = "copy 0 at 7000000\ncopy 1 at 8000000\nends 10000000 free";
    assert_memory_equal(text, beginning, sizeof(beginning) - 1);
    assert_int_equal(n_used(&w), 0);
    free(text);
    world_finish(&w);
}

static void a_horizon_changes_nothing_beside_copies(void **state) {
    (void)state;
    /* Decisions are counted, so all copies belong to those made before any horizon. */
    static const scripted_copy copies[] = {{0, LINK_TO_HOST, 0, 0, 2},
                                           {1, LINK_TO_HOST, 0, 10, 2},
                                           {1, LINK_TO_DEVICE, 40, 20, 17},
                                           {1, LINK_TO_HOST, 50, 40, 9}};
    world fast, slow;
    world_init(&fast, copies, 4);
    char *expected = serve_two(&fast);
    world_init(&slow, copies, 4);
    slow.scheduler->config.horizon_max = 1;
    char *text = serve_two(&slow);
    assert_string_equal(text, expected);
    free(text);
    free(expected);
    world_finish(&fast);
    world_finish(&slow);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_both_ways_complete_in_order_of_time_and_slow_each_other),
        cmocka_unit_test(at_one_time_a_copy_comes_before_compute_and_ends_the_horizon),
        cmocka_unit_test(blocks_of_a_copy_are_held_though_their_sequence_ended),
        cmocka_unit_test(a_decision_may_consist_of_copies_alone),
        cmocka_unit_test(a_horizon_changes_nothing_beside_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
