/* test_restore_prediction.c - the believed price of a restore against one worked out by hand,
 * and against whole runs on a device whose times the belief knows exactly. */
#include "restore_prediction.h"
#include "sim_rig.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const double BLOCK_BYTES = 1e6;

/* A belief that is the truth. */
static cost sure(double s) {
    return (cost){s, s, s, true};
}

static cost iteration(void *context, const batch_shape *batch) {
    latency_source l = plain_latency_source(context);
    return sure(l.iteration_s(l.context, batch));
}

static cost copy(void *context, link_direction direction, uint32_t n_blocks,
                 uint32_t n_segments, copy_load load) {
    latency_source l = plain_latency_source(context);
    double s = l.copy_s(l.context, direction, n_blocks * BLOCK_BYTES, n_segments, true);
    return sure(s * (load.other_direction ? l.copy_slowdown(l.context) : 1));
}

static cost_model belief_in(const plain_latency *l) {
    return (cost_model){.iteration = iteration, .copy = copy, .context = (void *)l};
}

/* Iterations of 1 ms and 10 us per token, copies of 0.5 ms per block. Two others, the first of
 * which ends with iteration 3; 100 tokens to recompute, of which two iterations hold 50 each;
 * four tokens to generate. */
static const plain_latency by_hand = {
    .iteration_s = 1e-3, .token_s = 1e-5, .byte_s = 5e-10, .copy_slowdown = 2};
static const restore_case hand_case = {.n_kv = 99,
                                       .n_left = 4,
                                       .n_blocks = 7,
                                       .run_blocks = 7,
                                       .budget = 52,
                                       .n_others = 2,
                                       .others = {{20, 3}, {30, 10}}};
static const restore_errors none = {1, 1};

/* Chunks: 1.02 ms and 3 times 0.50 ms each. Decodes: 1.02 + 3 * 0.01 beside two others, twice
 * 1.01 + 2 * 0.01 beside one. */
static const double HAND_RECOMPUTE_S = 2 * (1.02e-3 + 3 * 0.5e-3) + 1.05e-3 + 2 * 1.03e-3;
/* A copy of 3.5 ms ends in the fourth iteration, which ends at 3 * 1.02 + 1.01 ms. */
static const double HAND_SWAP_S = 4.07e-3 + 4 * 1.03e-3;
/* The others alone: 3 iterations of two, 7 of one. */
static const double HAND_OTHERS_S = 3.06e-3 + (3.06e-3 + 7.07e-3);

static double predicted(const plain_latency *l, const restore_case *c, restore_kind kind,
                        restore_errors errors) {
    load_forecast f;
    cost_model m = belief_in(l);
    load_forecast_init(&f, c->others, c->n_others);
    return predict_total(&f, &m, c, kind, errors);
}

static restore_outcome ran(const plain_latency *l, const restore_case *c, restore_kind kind) {
    virtual_device_config device = {
        .latency = plain_latency_source(l), .block_bytes = BLOCK_BYTES, .n_layers = 2};
    restore_outcome o;
    errbuf err = {0};
    assert_int_equal(restore_run(&o, c, kind, &device, &err), ST_OK);
    return o;
}

static void prices_are_those_worked_out_by_hand(void **state) {
    (void)state;
    assert_float_equal(predicted(&by_hand, &hand_case, RESTORE_RECOMPUTE, none),
                       HAND_RECOMPUTE_S, 1e-9);
    assert_float_equal(predicted(&by_hand, &hand_case, RESTORE_SWAP, none), HAND_SWAP_S, 1e-9);
}

static void a_run_takes_what_was_worked_out_by_hand(void **state) {
    (void)state;
    restore_outcome o = ran(&by_hand, &hand_case, RESTORE_RECOMPUTE);
    assert_float_equal(o.total_s, HAND_OTHERS_S + HAND_RECOMPUTE_S, 1e-9);
    o = ran(&by_hand, &hand_case, RESTORE_SWAP);
    assert_float_equal(o.total_s, HAND_OTHERS_S + HAND_SWAP_S, 1e-9);
    assert_float_equal(o.victim_s, 4.07e-3 + 4 * 1.02e-3, 1e-9);
    assert_float_equal(o.makespan_s, 10.13e-3 + 4 * 0.01e-3, 1e-9);
    /* Beside two others for three iterations, beside one for the fourth. */
    o = ran(&by_hand, &hand_case, RESTORE_FREE);
    assert_float_equal(o.victim_s, 3 * 1.03e-3 + 1.02e-3, 1e-9);
}

static void a_late_copy_finds_an_idle_device(void **state) {
    (void)state;
    assert_float_equal(predicted(&by_hand, &hand_case, RESTORE_SWAP, (restore_errors){10, 1}),
                       35e-3 + 4 * 1.01e-3, 1e-9);
    restore_case c = hand_case;
    c.n_queued_blocks = 63;
    assert_float_equal(ran(&by_hand, &c, RESTORE_SWAP).total_s,
                       HAND_OTHERS_S + 35e-3 + 4 * 1.01e-3, 1e-9);
}

static void errors_scale_chunks_and_copies_alone(void **state) {
    (void)state;
    restore_errors dear = {1, 2};
    assert_float_equal(predicted(&by_hand, &hand_case, RESTORE_RECOMPUTE, dear),
                       HAND_RECOMPUTE_S + 2 * 3 * 0.5e-3, 1e-9);
    assert_float_equal(predicted(&by_hand, &hand_case, RESTORE_SWAP, dear), HAND_SWAP_S, 1e-9);
}

static void without_others_only_the_victim_counts(void **state) {
    (void)state;
    restore_case c = hand_case;
    c.n_others = 0;
    assert_float_equal(predicted(&by_hand, &c, RESTORE_SWAP, none), 3.5e-3 + 4 * 1.01e-3, 1e-9);
    assert_float_equal(predicted(&by_hand, &c, RESTORE_RECOMPUTE, none),
                       2e-3 + 100 * 1e-5 + 3 * 1.01e-3, 1e-9);
    assert_float_equal(ran(&by_hand, &c, RESTORE_SWAP).total_s, 3.5e-3 + 4 * 1.01e-3, 1e-9);
    assert_float_equal(ran(&by_hand, &c, RESTORE_RECOMPUTE).total_s, 3e-3 + 3 * 1.01e-3, 1e-9);
}

static const restore_limits limits = {
    .block_tokens = 16, .max_model_len = 4096, .pool_tokens = 100000};

static uint64_t seed_of_run(void) {
    const char *text = getenv("SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : 1;
    printf("SEED=%" PRIu64 "\n", seed);
    return seed;
}

static void cases_stay_within_the_limits(void **state) {
    (void)state;
    uint64_t seed = seed_of_run();
    for (uint64_t i = 0; i < 2000; i++) {
        restore_case c, again;
        memset(&c, 0, sizeof(c));
        memset(&again, 0, sizeof(again));
        restore_case_draw(&c, &limits, seed, i);
        restore_case_draw(&again, &limits, seed, i);
        assert_int_equal(c.n_kv, again.n_kv);
        assert_int_equal(c.n_queued_blocks, again.n_queued_blocks);
        assert_true(c.n_kv >= 16 && c.n_kv + 1 + c.n_left <= limits.max_model_len);
        assert_true(c.n_left >= 1 && c.run_blocks >= 1 && c.run_blocks <= c.n_blocks);
        assert_true(c.n_blocks * 16 >= c.n_kv && c.n_blocks * 16 < c.n_kv + 16);
        assert_true(c.n_others <= RESTORE_OTHERS_MAX && c.n_others < c.budget);
        uint64_t tokens = (uint64_t)c.n_kv + 1 + c.n_left;
        for (uint32_t k = 0; k < c.n_others; k++) {
            const decoding *d = &c.others[k];
            assert_true(d->n_left >= 1 && d->context + d->n_left <= limits.max_model_len);
            assert_true(k == 0 || d->n_left >= c.others[k - 1].n_left);
            tokens += d->context + d->n_left;
        }
        assert_true(tokens <= limits.pool_tokens);
    }
}

/* Of all random cases, of which those with few others have exact segments. */
static void compare_with_runs(uint32_t n_others_max, double tolerance) {
    static const plain_latency l = {.iteration_s = 5e-3,
                                    .token_s = 2e-5,
                                    .kv_token_s = 5e-8,
                                    .pair_s = 5e-9,
                                    .byte_s = 4e-11,
                                    .segment_s = 4e-6,
                                    .copy_slowdown = 1.5};
    uint64_t seed = seed_of_run();
    double off_s = 0, price_s = 0;
    for (uint64_t i = 0; i < 600; i++) {
        restore_case c;
        restore_case_draw(&c, &limits, seed, i);
        if (c.n_others > n_others_max) continue;
        double free_s = ran(&l, &c, RESTORE_FREE).total_s;
        double swap_s = ran(&l, &c, RESTORE_SWAP).total_s;
        double recompute_s = ran(&l, &c, RESTORE_RECOMPUTE).total_s;
        double believed_s =
            predicted(&l, &c, RESTORE_SWAP, none) - predicted(&l, &c, RESTORE_RECOMPUTE, none);
        off_s += fabs(believed_s - (swap_s - recompute_s));
        price_s += fabs(swap_s - free_s) + fabs(recompute_s - free_s);
    }
    printf("off by %.5f of the prices\n", off_s / price_s);
    assert_true(price_s > 0 && off_s <= tolerance * price_s);
}

static void with_few_others_an_exact_belief_gives_exact_prices(void **state) {
    (void)state;
    compare_with_runs(LOAD_SEGMENTS_MAX, 1e-3);
}

static void with_many_others_segments_cost_little(void **state) {
    (void)state;
    compare_with_runs(RESTORE_OTHERS_MAX, 1e-2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prices_are_those_worked_out_by_hand),
        cmocka_unit_test(a_run_takes_what_was_worked_out_by_hand),
        cmocka_unit_test(a_late_copy_finds_an_idle_device),
        cmocka_unit_test(errors_scale_chunks_and_copies_alone),
        cmocka_unit_test(without_others_only_the_victim_counts),
        cmocka_unit_test(cases_stay_within_the_limits),
        cmocka_unit_test(with_few_others_an_exact_belief_gives_exact_prices),
        cmocka_unit_test(with_many_others_segments_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
