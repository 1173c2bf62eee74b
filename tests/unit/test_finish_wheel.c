/* test_finish_wheel.c - the wheel names those who get their last token, and nobody else. */
#include "finish_wheel.h"
#include "hand_plan.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct world {
    hand_plan hand;
    finish_wheel wheel;
} world;

static int set_up(void **state) {
    world *w = malloc(sizeof(*w));
    if (!w) return -1;
    hand_plan_init(&w->hand);
    finish_wheel_init(&w->wheel);
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    world *w = *state;
    finish_wheel_finish(&w->wheel);
    hand_plan_finish(&w->hand);
    free(w);
    return 0;
}

/* A sequence that ends after n_output tokens and may have n_output_max. */
static uint32_t admit(world *w, uint32_t n_output, uint32_t n_output_max) {
    uint32_t seq = hand_plan_add(&w->hand, 10, n_output_max);
    assert_int_equal(finish_wheel_admit(&w->wheel, seq, n_output), ST_OK);
    return seq;
}

static void join(world *w, uint32_t seq, uint32_t n_output) {
    hand_plan_join(&w->hand, seq, n_output);
    finish_wheel_join(&w->wheel, &w->hand.seqs, seq);
}

static void leave(world *w, uint32_t seq) {
    cohort_leave(&w->hand.decodes, &w->hand.seqs, seq);
}

static bool is_finished(const world *w, uint32_t seq) {
    for (uint32_t i = 0; i < w->wheel.n_finished; i++)
        if (w->wheel.finished[i] == seq) return true;
    return false;
}

/* One plan of n iterations; nobody may finish before the last of them. */
static void run(world *w, uint32_t n) {
    hand_plan_decodes(&w->hand, n);
    for (uint32_t done = 1; done <= n; done++) {
        finish_wheel_collect(&w->wheel, &w->hand.plan, done);
        if (done < n) assert_int_equal(w->wheel.n_finished, 0);
    }
    cohort_advance(&w->hand.decodes, n);
}

static void everyone_finishes_at_the_tick_of_the_last_token(void **state) {
    world *w = *state;
    /* Tokens to go, around one and several rounds of the wheel. */
    static const uint32_t to_go[] = {1, 2, 4095, 4096, 4097, 8192, 8193, 20000};
    enum { N = sizeof(to_go) / sizeof(to_go[0]) };
    uint32_t seqs[N], tick = 0;
    for (uint32_t i = 0; i < N; i++) join(w, seqs[i] = admit(w, 1 + to_go[i], 1u << 20), 1);
    for (uint32_t i = 0; i < N; tick = to_go[i++]) {
        run(w, to_go[i] - tick);
        assert_int_equal(w->wheel.n_finished, 1);
        assert_int_equal(w->wheel.finished[0], seqs[i]);
        leave(w, seqs[i]);
    }
}

static void all_of_one_bucket_are_told_apart_by_round(void **state) {
    world *w = *state;
    uint32_t seqs[5];
    for (uint32_t i = 0; i < 5; i++)
        join(w, seqs[i] = admit(w, 1 + 7 + i * FINISH_WHEEL_BUCKETS, 1u << 20), 1);
    for (uint32_t i = 0; i < 5; i++) {
        run(w, i ? FINISH_WHEEL_BUCKETS : 7);
        assert_int_equal(w->wheel.n_finished, 1);
        assert_int_equal(w->wheel.finished[0], seqs[i]);
        leave(w, seqs[i]);
    }
}

static void the_declared_limit_ends_a_sequence_too(void **state) {
    world *w = *state;
    uint32_t seq = admit(w, 1000, 6);
    join(w, seq, 1);
    run(w, 5);
    assert_true(is_finished(w, seq));
}

static void who_left_is_not_reported(void **state) {
    world *w = *state;
    uint32_t gone = admit(w, 11, 100), stays = admit(w, 21, 100);
    join(w, gone, 1);
    join(w, stays, 1);
    run(w, 4);
    leave(w, gone);
    run(w, 16);
    assert_int_equal(w->wheel.n_finished, 1);
    assert_true(is_finished(w, stays));
}

static void who_comes_back_finishes_once_at_the_later_tick(void **state) {
    world *w = *state;
    uint32_t back = admit(w, 11, 100), other = admit(w, 1000, 1000);
    join(w, back, 1);
    join(w, other, 1);
    run(w, 4); /* 5 outputs; would finish 6 ticks from here */
    leave(w, back);
    run(w, 3);
    join(w, back, 5);
    run(w, 6); /* passes the stale tick */
    assert_int_equal(w->wheel.n_finished, 1);
    assert_true(is_finished(w, back));
    leave(w, back);
    run(w, 900);
    assert_int_equal(w->wheel.n_finished, 0);
}

static void a_slot_used_again_forgets_who_was_in_it(void **state) {
    world *w = *state;
    uint32_t old = admit(w, 11, 100), other = admit(w, 500, 500);
    join(w, old, 1);
    join(w, other, 1);
    run(w, 2);
    leave(w, old); /* its entry is still in the wheel */
    sequence_remove(&w->hand.seqs, old);
    uint32_t young = admit(w, 31, 100);
    assert_int_equal(young, old);
    join(w, young, 1);
    run(w, 30); /* tick 10, at which the old one would have ended, is passed */
    assert_int_equal(w->wheel.n_finished, 1);
    assert_true(is_finished(w, young));
}

static void
a_chunk_that_samples_the_last_token_finishes_with_the_first_iteration(void **state) {
    world *w = *state;
    uint32_t one = admit(w, 1, 100), two = admit(w, 2, 100), limited = admit(w, 9, 1);
    plan_clear(&w->hand.plan);
    hand_plan_prompt(&w->hand, one, 0, 0);
    hand_plan_prompt(&w->hand, two, 0, 0);
    hand_plan_prompt(&w->hand, limited, 0, 0);
    finish_wheel_collect(&w->wheel, &w->hand.plan, 1);
    assert_int_equal(w->wheel.n_finished, 2);
    assert_true(is_finished(w, one) && is_finished(w, limited));
    w->hand.plan.chunks[0].samples = false; /* only a part of the prompt */
    finish_wheel_collect(&w->wheel, &w->hand.plan, 1);
    assert_int_equal(w->wheel.n_finished, 1);
}

/* Random joins, leaves and returns against a look at everyone. */
static void random_comings_and_goings_agree_with_a_plain_scan(void **state) {
    world *w = *state;
    enum { N = 64, N_TICKS = 30000 };
    const char *text = getenv("SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : 1, n_draws = 0;
    printf("SEED=%llu\n", (unsigned long long)seed);
    uint32_t n_output[N];
    for (uint32_t i = 0; i < N; i++) {
        n_output[i] = 2 + (uint32_t)(rng_bits(seed, 1, i) % 12000);
        assert_int_equal(admit(w, n_output[i], 1u << 20), i);
    }
    for (uint32_t tick = 0; tick < N_TICKS; tick++) {
        for (uint32_t i = 0; i < N; i++) {
            const sequence *q = &w->hand.seqs.seqs[i];
            if (rng_bits(seed, 2, n_draws++) % 500) continue;
            if (q->in_cohort)
                leave(w, i);
            else if (q->n_output < n_output[i])
                join(w, i, q->n_output ? q->n_output : 1);
        }
        hand_plan_decodes(&w->hand, 1);
        finish_wheel_collect(&w->wheel, &w->hand.plan, 1);
        for (uint32_t i = 0; i < N; i++) {
            const sequence *q = &w->hand.seqs.seqs[i];
            bool ends = q->in_cohort && cohort_n_output(&w->hand.decodes, q) + 1 == n_output[i];
            assert_int_equal(is_finished(w, i), ends);
        }
        cohort_advance(&w->hand.decodes, 1);
        for (uint32_t i = 0; i < w->wheel.n_finished; i++) leave(w, w->wheel.finished[i]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(everyone_finishes_at_the_tick_of_the_last_token),
        TEST(all_of_one_bucket_are_told_apart_by_round),
        TEST(the_declared_limit_ends_a_sequence_too),
        TEST(who_left_is_not_reported),
        TEST(who_comes_back_finishes_once_at_the_later_tick),
        TEST(a_slot_used_again_forgets_who_was_in_it),
        TEST(a_chunk_that_samples_the_last_token_finishes_with_the_first_iteration),
        TEST(random_comings_and_goings_agree_with_a_plain_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
