/* test_adaptive_order.c - whom the adaptive policies admit, displace and serve first, and what
 * a horizon teaches them, in scenes small enough to know the end of. */
#include "adaptive_state.h"
#include "scene.h"

#include <stdio.h>
#include <string.h>

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void fairness_0_admits_by_arrival_whatever_the_order(void **state) {
    (void)state;
    static const char *const orders[] = {"fcfs",        "priority",   "hrrn",
                                         "srpt-oracle", "lpt-oracle", "sjf-prompt",
                                         "mlfq",        "vtc",        "gittins"};
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        char text[80];
        snprintf(text, sizeof(text), "adaptive,fairness=0,min_service=0,order=%s", orders[i]);
        scene c;
        scene_init(&c, text, 60, 20);
        c.config.max_seqs = 1;
        scene_start(&c);
        for (uint32_t j = 0; j < 8; j++) {
            scene_add_from(&c, j % 3, 4 + 13 * j % 40, 1 + 7 * j % 9);
            scene_run_until(&c, c.step + 1);
        }
        while (c.d.n_ended < 8) scene_run_until(&c, c.step + 1);
        for (uint32_t j = 0; j < 8; j++) assert_int_equal(c.d.ended[j], j);
        assert_int_equal(c.d.n_preempted, 0);
        scene_finish(&c);
    }
}

static void nobody_is_displaced_before_its_minimum_of_tokens(void **state) {
    (void)state;
    scene c;
    scene_init(&c, "srpt-oracle,min_service=5,hysteresis=0", 60, 60);
    c.config.max_seqs = 1;
    scene_start(&c);
    scene_add(&c, 4, 100);
    scene_run_until(&c, 1);
    scene_add(&c, 4, 1); /* more urgent from now on */
    for (uint32_t n_output = 1; n_output < 5; n_output++) {
        scene_decide(&c);
        assert_int_equal(c.d.plan->n_preempted, 0);
        assert_int_equal(n_output_of(c.d.scheduler, scene_slot_of(&c, 0)), n_output);
        scene_complete(&c);
    }
    scene_decide(&c);
    assert_int_equal(c.d.plan->n_preempted, 1);
    assert_int_equal(scene_seq_of(&c, 1)->state, SEQ_RUNNING);
    assert_int_equal(scene_seq_of(&c, 0)->state, SEQ_SWAPPED);
    scene_complete(&c);
    scene_finish(&c);
}

static void the_bound_preempts_for_nothing(void **state) {
    (void)state;
    scene c;
    scene_start_two(&c, "oracle-bound", 0);
    scene_run_until(&c, 2);
    assert_int_equal(c.d.n_preempted, 1);
    assert_int_equal(scheduler_n_free_device(c.d.scheduler), 2);
    while (c.d.n_ended < 1) scene_run_until(&c, c.step + 1);
    scene_decide(&c);
    assert_int_equal(scene_chunk_of(&c, 1).n_before, 10);
    assert_int_equal(scene_chunk_of(&c, 1).n_tokens, 1);
    scene_complete(&c);
    while (c.d.n_ended < 2) scene_run_until(&c, c.step + 1);
    assert_int_equal(c.d.n_out_blocks + c.d.n_in_blocks, 0);
    assert_int_equal(c.d.n_tokens, 8 + 7 + 10 + 9);
    scene_finish(&c);
}

/* Preempted for nothing, it has nothing to catch up on. */
static void the_bound_ranks_by_what_is_left(void **state) {
    (void)state;
    scene c;
    scene_start_two(&c, "oracle-bound,order=srpt-oracle", 0);
    scene_run_until(&c, 2);
    uint32_t id = scene_slot_of(&c, 1);
    assert_int_equal(scene_seq_of(&c, 1)->state, SEQ_WAITING);
    assert_true(note_of(c.d.scheduler, id)->rank == 10 - 1);
    scene_finish(&c);
}

static double charged(const scene *c, uint32_t client) {
    const adaptive *t = adaptive_of(c->d.scheduler);
    for (uint32_t i = 0; i < t->clients.n; i++)
        if (t->clients.accounts[i].client == client) return t->clients.accounts[i].charged;
    return -1;
}

static void an_idle_client_saves_up_no_service(void **state) {
    (void)state;
    scene c;
    scene_init(&c, "always-recompute,order=vtc", 60, 0);
    scene_start(&c);
    scene_add_from(&c, UINT32_MAX, 10, 3); /* any number may name a client */
    scene_run_until(&c, 1);
    assert_true(charged(&c, UINT32_MAX) == 10);
    scene_run_until(&c, 2);
    scene_add_from(&c, 7, 5, 20);
    scene_decide(&c); /* two tokens came out so far, each counts twice */
    assert_true(charged(&c, UINT32_MAX) == 10 + 2 * 2);
    assert_true(charged(&c, 7) == 10 + 2 * 2 + 5);
    scene_complete(&c);
    while (c.d.n_ended < 2) scene_run_until(&c, c.step + 1);
    /* Nobody is here any more: level with who was the last to leave. */
    assert_true(charged(&c, 7) == 10 + 2 * 2 + 5 + 2 * 20);
    scene_add_from(&c, UINT32_MAX, 1, 1);
    scene_decide(&c);
    assert_true(charged(&c, UINT32_MAX) == charged(&c, 7) + 1);
    scene_complete(&c);
    scene_finish(&c);
}

static void the_client_served_least_comes_first(void **state) {
    (void)state;
    scene c;
    scene_init(&c, "always-recompute,order=vtc", 60, 0);
    c.config.max_seqs = 1;
    scene_start(&c);
    static const uint32_t clients[] = {0, 0, 0, 0, 1, 1};
    for (uint32_t i = 0; i < 6; i++) scene_add_from(&c, clients[i], 10, 2);
    while (c.d.n_ended < 6) scene_run_until(&c, c.step + 1);
    static const uint64_t order[] = {0, 4, 1, 5, 2, 3};
    assert_memory_equal(c.d.ended, order, sizeof(order));
    scene_finish(&c);
}

static void without_clients_vtc_is_by_arrival(void **state) {
    (void)state;
    scene c;
    scene_init(&c, "always-recompute,order=vtc", 60, 0);
    c.config.max_seqs = 1;
    scene_start(&c);
    for (uint32_t i = 0; i < 6; i++) scene_add(&c, 30 - 4 * i, 1 + i % 2);
    while (c.d.n_ended < 6) scene_run_until(&c, c.step + 1);
    for (uint32_t i = 0; i < 6; i++) assert_int_equal(c.d.ended[i], i);
    scene_finish(&c);
}

enum { N_ENDING = 8, N_STAYING = 4, N_TICKS = 20 };

/* Runs N_TICKS iterations from step 1 on, `horizon` by each plan; after them n requests end. */
static void run_horizons(scene *c, uint32_t horizon, uint32_t n_ending) {
    scheduler *s = c->d.scheduler;
    int64_t end_ns[N_TICKS];
    for (uint32_t done = horizon; done <= N_TICKS; done += horizon) {
        const plan *p;
        errbuf err = {0};
        assert_int_equal(scheduler_schedule(s, &p, c->step * STEP_NS, &err), ST_OK);
        assert_true(p->horizon >= horizon);
        for (uint32_t i = 0; i < horizon; i++) end_ns[i] = ++c->step * STEP_NS;
        uint32_t ids[N_ENDING], n = 0;
        while (n < n_ending && done == N_TICKS) ids[n] = scene_slot_of(c, n), n++;
        completion now = {.kind = COMPLETION_COMPUTE,
                          .now_ns = c->step * STEP_NS,
                          .start_ns = end_ns[0] - STEP_NS,
                          .end_ns = end_ns,
                          .n_iterations = horizon,
                          .finished = ids,
                          .n_finished = n};
        const uint32_t *finished;
        assert_int_equal(scheduler_complete(s, &finished, &n, &now), ST_OK);
        for (uint32_t i = 0; i < n; i++) scheduler_end(s, finished[i]);
    }
}

/* What is known of lengths after eight of twelve ended. */
static void learn(double remaining[3], uint32_t horizon) {
    scene c;
    scene_init(&c, "adaptive", 400, 0);
    scene_start(&c);
    for (uint32_t i = 0; i < N_ENDING + N_STAYING; i++)
        scene_add(&c, 4, i < N_ENDING ? N_TICKS + 1 : 100);
    scene_run_until(&c, 1);
    run_horizons(&c, horizon, N_ENDING);
    const length_estimate *lengths = adaptive_of(c.d.scheduler)->lengths;
    assert_int_equal(length_estimate_version(lengths), 2);
    for (uint32_t i = 0; i < 3; i++)
        remaining[i] = length_estimate_remaining(lengths, 4, 9 * i, 150);
    scene_finish(&c);
}

static void a_horizon_teaches_the_same_lengths(void **state) {
    (void)state;
    double one_by_one[3], at_once[3];
    learn(one_by_one, 1);
    learn(at_once, N_TICKS);
    assert_memory_equal(one_by_one, at_once, sizeof(at_once));
}

/* The batch to which the cost of a recompute was added. */
typedef struct witness {
    cost_model told;
    uint64_t decode_kv_tokens;
} witness;

static cost tell_and_note(void *context, const batch_shape *batch) {
    witness *w = context;
    if (batch->n_decode == 2) w->decode_kv_tokens = batch->decode_kv_tokens;
    return w->told.iteration(w->told.context, batch);
}

static cost tell_of_copy(void *context, link_direction direction, uint32_t n_blocks,
                         uint32_t n_segments, copy_load load) {
    const witness *w = context;
    return w->told.copy(w->told.context, direction, n_blocks, n_segments, load);
}

/* Two requests that fill the pool after N_TICKS. */
static uint64_t batch_of_preemption(uint32_t horizon) {
    scene c;
    scene_init(&c, "always-swap,mechanism=marginal", 12, 20);
    witness w = {.told = c.costs};
    c.costs = (cost_model){.iteration = tell_and_note, .copy = tell_of_copy, .context = &w};
    scene_start(&c);
    scene_add(&c, 4, 100);
    scene_add(&c, 4, 100);
    scene_run_until(&c, 1);
    run_horizons(&c, horizon, 0);
    scene_decide(&c);
    assert_int_equal(c.d.plan->n_preempted, 1);
    scene_complete(&c);
    scene_finish(&c);
    return w.decode_kv_tokens;
}

static void after_a_horizon_the_batch_is_that_of_its_last_iteration(void **state) {
    (void)state;
    assert_int_equal(batch_of_preemption(1), 2 * (4 + N_TICKS));
    assert_int_equal(batch_of_preemption(N_TICKS), 2 * (4 + N_TICKS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fairness_0_admits_by_arrival_whatever_the_order),
        cmocka_unit_test(nobody_is_displaced_before_its_minimum_of_tokens),
        cmocka_unit_test(the_bound_preempts_for_nothing),
        cmocka_unit_test(the_bound_ranks_by_what_is_left),
        cmocka_unit_test(an_idle_client_saves_up_no_service),
        cmocka_unit_test(the_client_served_least_comes_first),
        cmocka_unit_test(without_clients_vtc_is_by_arrival),
        cmocka_unit_test(a_horizon_teaches_the_same_lengths),
        cmocka_unit_test(after_a_horizon_the_batch_is_that_of_its_last_iteration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
