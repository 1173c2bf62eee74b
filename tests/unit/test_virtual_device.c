/* test_virtual_device.c - the virtual device runs plans put together by hand. */
#include "hand_plan.h"
#include "sim_rig.h"
#include "virtual_device.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const int64_t US = 1000;

/* In whole microseconds, so that every expected time is exact. */
static const plain_latency plain = {.iteration_s = 1e-3,
                                    .token_s = 1e-5,
                                    .kv_token_s = 1e-6,
                                    .pair_s = 1e-7,
                                    .byte_s = 1e-9,
                                    .segment_s = 1e-5,
                                    .copy_slowdown = 1.5};

typedef struct world {
    hand_plan hand;
    executor device;
} world;

static virtual_device_config config_of(double noise, uint64_t seed) {
    return (virtual_device_config){.latency = plain_latency_source(&plain),
                                   .noise = noise,
                                   .seed = seed,
                                   .block_bytes = 1e5,
                                   .n_layers = 3};
}

static world *world_create(double noise, uint64_t seed) {
    world *w = malloc(sizeof(*w));
    assert_non_null(w);
    hand_plan_init(&w->hand);
    virtual_device_config config = config_of(noise, seed);
    errbuf err = {0};
    assert_int_equal(virtual_device_create(&w->device, &config, &err), ST_OK);
    return w;
}

static void world_destroy(world *w) {
    w->device.destroy(w->device.context);
    hand_plan_finish(&w->hand);
    free(w);
}

/* A sequence that the device knows. */
static uint32_t admit(world *w, uint32_t n_prompt, uint32_t n_output) {
    uint32_t seq = hand_plan_add(&w->hand, n_prompt, 1u << 20);
    assert_int_equal(w->device.admit(w->device.context, &w->hand.seqs, seq, n_output), ST_OK);
    return seq;
}

static void submit(world *w) {
    errbuf err = {0};
    assert_int_equal(w->device.submit(w->device.context, &w->hand.plan, &err), ST_OK);
}

/* The next event, booked in the cohort. */
static completion next(world *w, int64_t until_ns) {
    errbuf err = {0};
    completion c;
    assert_int_equal(w->device.next(w->device.context, until_ns, &c, &err), ST_OK);
    assert_int_equal(w->device.now_ns(w->device.context), c.now_ns);
    if (c.kind == COMPLETION_COMPUTE && w->hand.plan.runs_cohort)
        cohort_advance(&w->hand.decodes, c.n_iterations);
    return c;
}

static completion run(world *w) {
    submit(w);
    return next(w, INT64_MAX);
}

static void an_idle_device_goes_to_the_next_arrival(void **state) {
    (void)state;
    world *w = world_create(0, 1);
    assert_int_equal(next(w, 77).kind, COMPLETION_NONE);
    assert_int_equal(w->device.now_ns(w->device.context), 77);
    assert_int_equal(next(w, 5).now_ns, 77); /* never backwards */
    world_destroy(w);
}

static void a_prefill_takes_what_its_tokens_and_pairs_take(void **state) {
    (void)state;
    world *w = world_create(0, 1);
    hand_plan_prompt(&w->hand, admit(w, 30, 5), 0, 0);
    hand_plan_prompt(&w->hand, admit(w, 30, 5), 20, 0);
    hand_plan_prompt(&w->hand, admit(w, 30, 5), 29, 0); /* one token: a decode */
    completion c = run(w);
    /* 41 tokens; 30 * 31 / 2 and 10 * 20 + 10 * 11 / 2 pairs; a context of 30 tokens. */
    assert_int_equal(c.kind, COMPLETION_COMPUTE);
    assert_int_equal(c.n_iterations, 1);
    assert_int_equal(c.n_finished, 0);
    assert_int_equal(c.now_ns, 1000 * US + 410 * US + (465 + 255) * US / 10 + 30 * US);
    assert_int_equal(c.end_ns[0], c.now_ns);
    executor_usage usage;
    w->device.usage(w->device.context, &usage);
    assert_float_equal(usage.compute_s, (double)c.now_ns * 1e-9, 1e-12);
    assert_float_equal(usage.link_s, 0, 0);
    world_destroy(w);
}

static void contexts_grow_by_a_token_per_iteration_of_a_horizon(void **state) {
    (void)state;
    world *w = world_create(0, 1);
    hand_plan_join(&w->hand, admit(w, 10, 100), 1);
    hand_plan_join(&w->hand, admit(w, 20, 100), 5);
    hand_plan_decodes(&w->hand, 4);
    completion c = run(w);
    assert_int_equal(c.n_iterations, 4);
    int64_t at_ns = 0;
    for (uint32_t i = 0; i < 4; i++) {
        at_ns += (1000 + 20 + 11 + 25 + 2 * i) * US; /* two tokens, contexts 11 and 25 */
        assert_int_equal(c.end_ns[i], at_ns);
    }
    assert_int_equal(c.start_ns, 0);
    world_destroy(w);
}

static void a_horizon_ends_with_the_first_who_finishes(void **state) {
    (void)state;
    world *w = world_create(0, 1);
    uint32_t shorter = admit(w, 10, 4);
    hand_plan_join(&w->hand, admit(w, 10, 100), 1);
    hand_plan_join(&w->hand, shorter, 1);
    hand_plan_decodes(&w->hand, 50);
    completion c = run(w);
    assert_int_equal(c.n_iterations, 3);
    assert_int_equal(c.n_finished, 1);
    assert_int_equal(c.finished[0], shorter);
    world_destroy(w);
}

static void a_horizon_ends_at_the_first_boundary_at_or_after_an_arrival(void **state) {
    (void)state;
    const int64_t first_ns = 1021 * US, second_ns = (1021 + 1022) * US;
    const struct {
        int64_t until_ns;
        uint32_t n_iterations;
    } cases[] = {{0, 1}, {first_ns, 1}, {first_ns + 1, 2}, {second_ns, 2}, {INT64_MAX, 9}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world *w = world_create(0, 1);
        hand_plan_join(&w->hand, admit(w, 10, 100), 1);
        hand_plan_decodes(&w->hand, 9);
        submit(w);
        completion c = next(w, cases[i].until_ns);
        assert_int_equal(c.n_iterations, cases[i].n_iterations);
        assert_int_equal(c.end_ns[0], first_ns);
        world_destroy(w);
    }
}

/* Two ordered copies, 3 blocks out in layers and 2 blocks in, neighbours joined. */
static void plan_ordered_copies(world *w) {
    plan *p = &w->hand.plan;
    plan_copy out = {.id = 0,
                     .direction = LINK_TO_HOST,
                     .ordered = true,
                     .per_layer = true,
                     .first_pair = 0,
                     .n_pairs = 3};
    plan_copy in = {
        .id = 1, .direction = LINK_TO_DEVICE, .ordered = true, .first_pair = 3, .n_pairs = 4};
    const block_pair pairs[] = {{4, 9}, {5, 10}, {8, 2}, {1, 5}, {2, 6}, {3, 8}, {4, 9}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_int_equal(plan_add_pair(p, pairs[i]), ST_OK);
    assert_int_equal(plan_add_copy(p, out), ST_OK);
    assert_int_equal(plan_add_copy(p, in), ST_OK);
}

static void ordered_copies_come_before_the_first_iteration(void **state) {
    (void)state;
    world *w = world_create(0, 1);
    hand_plan_join(&w->hand, admit(w, 10, 100), 1);
    hand_plan_decodes(&w->hand, 2);
    plan_ordered_copies(w);
    completion c = run(w);
    /* 100 us per block; 10 us per piece: 3 blocks x K and V x 3 layers, and 2 runs. */
    const int64_t copies_ns = (300 + 180 + 400 + 20) * US;
    assert_int_equal(c.end_ns[0], copies_ns + 1021 * US);
    assert_int_equal(c.end_ns[1] - c.end_ns[0], 1022 * US);
    assert_float_equal(c.ordered_copy_s, (double)copies_ns * 1e-9, 1e-12);
    executor_usage usage;
    w->device.usage(w->device.context, &usage);
    assert_float_equal(usage.compute_s, 2043e-6, 1e-12);
    assert_float_equal(usage.link_s, (double)copies_ns * 1e-9, 1e-12);
    world_destroy(w);
}

static void a_plan_of_ordered_copies_alone_is_one_iteration(void **state) {
    (void)state;
    world *w = world_create(0, 1);
    plan_ordered_copies(w);
    completion c = run(w);
    assert_int_equal(c.kind, COMPLETION_COMPUTE);
    assert_int_equal(c.n_iterations, 1);
    assert_int_equal(c.now_ns, 900 * US);
    executor_usage usage;
    w->device.usage(w->device.context, &usage);
    assert_float_equal(usage.compute_s, 0, 0);
    world_destroy(w);
}

static void recompute_is_what_its_tokens_add_to_the_iteration(void **state) {
    (void)state;
    world *w = world_create(0, 1);
    hand_plan_prompt(&w->hand, admit(w, 30, 5), 0, 20);
    hand_plan_prompt(&w->hand, admit(w, 12, 5), 0, 12); /* nothing of it is new */
    /* Without: 10 tokens behind 20. With: 42 tokens, 465 and 78 pairs. */
    completion c = run(w);
    assert_float_equal(c.recompute_s, 32e-5 + (465 + 78 - 255) * 1e-7, 1e-12);
    hand_plan_decodes(&w->hand, 1);
    hand_plan_prompt(&w->hand, admit(w, 30, 5), 0, 0);
    assert_float_equal(run(w).recompute_s, 0, 0);
    world_destroy(w);
}

enum { N_NOISY = 200 };

/* Ends of N_NOISY iterations of one decode, in plans of n_per_plan. */
static void noisy_ends(int64_t *ends, uint32_t n_per_plan, double noise, uint64_t seed) {
    world *w = world_create(noise, seed);
    hand_plan_join(&w->hand, admit(w, 10, 1000), 1);
    for (uint32_t n = 0; n < N_NOISY;) {
        hand_plan_decodes(&w->hand, n_per_plan);
        completion c = run(w);
        for (uint32_t i = 0; i < c.n_iterations && n < N_NOISY; i++) ends[n++] = c.end_ns[i];
    }
    world_destroy(w);
}

static void noise_follows_the_number_of_the_iteration_and_the_seed(void **state) {
    (void)state;
    int64_t one[N_NOISY], many[N_NOISY], other[N_NOISY], none[N_NOISY];
    noisy_ends(one, 1, 0.05, 7);
    noisy_ends(many, 33, 0.05, 7);
    noisy_ends(other, 33, 0.05, 8);
    noisy_ends(none, 33, 0, 7);
    assert_memory_equal(one, many, sizeof(one));
    assert_memory_not_equal(many, other, sizeof(many));
    double square = 0;
    for (int i = 1; i < N_NOISY; i++) {
        double share = (double)(many[i] - many[i - 1]) / (double)(none[i] - none[i - 1]) - 1;
        assert_true(fabs(share) < 0.2);
        square += share * share;
    }
    /* The deviation of 199 draws is within a fifth of 0.05 but for one case in ten thousand. */
    assert_float_equal(sqrt(square / (N_NOISY - 1)), 0.05, 0.01);
}

static void what_cannot_be_simulated_is_refused(void **state) {
    (void)state;
    virtual_device_config good = config_of(0, 1), bad[5];
    for (int i = 0; i < 5; i++) bad[i] = good;
    bad[0].noise = -0.1;
    bad[1].noise = 0.21;
    bad[2].noise = NAN;
    bad[3].block_bytes = 0;
    bad[4].n_layers = 0;
    for (int i = 0; i < 5; i++) {
        executor e;
        errbuf err = {0};
        assert_int_equal(virtual_device_create(&e, &bad[i], &err), ST_INVALID);
        assert_true(err.text[0]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_device_goes_to_the_next_arrival),
        cmocka_unit_test(a_prefill_takes_what_its_tokens_and_pairs_take),
        cmocka_unit_test(contexts_grow_by_a_token_per_iteration_of_a_horizon),
        cmocka_unit_test(a_horizon_ends_with_the_first_who_finishes),
        cmocka_unit_test(a_horizon_ends_at_the_first_boundary_at_or_after_an_arrival),
        cmocka_unit_test(ordered_copies_come_before_the_first_iteration),
        cmocka_unit_test(a_plan_of_ordered_copies_alone_is_one_iteration),
        cmocka_unit_test(recompute_is_what_its_tokens_add_to_the_iteration),
        cmocka_unit_test(noise_follows_the_number_of_the_iteration_and_the_seed),
        cmocka_unit_test(what_cannot_be_simulated_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
