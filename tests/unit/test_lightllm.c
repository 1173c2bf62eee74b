/* test_lightllm.c - the policies after LightLLM on examples worked by hand: upstream was read,
 * not run. The notation is scenario.h's; blocks hold 4 tokens unless said otherwise. */
#include "lightllm.h"

#include "past_lengths.h"
#include "scenario.h"
#include "scheduler_state.h"
#include "step_driver.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LIGHTLLM    "lightllm"
#define PAST_FUTURE "past-future"

static const scenario scenarios[] = {
    /* Each holds 9 at first and takes 5 + 6 more: peaks of 20, 40 and 60 for one, two, three.
     * In s5 two hold 14 each and take 6: 9 + 11, 23 + 2 * 6, 37 + 3 * 6 = 55. The fourth, which
     * would fit, waits behind the third. */
    {.name =
         "a sequence is admitted while the peak is below the pool, the first that is not stops",
     .policies = {LIGHTLLM},
     .n_device = 41,
     .block_tokens = 1,
     .requests = {{8, 6, 0, 0}, {8, 6, 0, 0}, {8, 6, 0, 0}, {1, 1, 0, 0}},
     .lines = {"s0 pf[0:8 1:8] W[2 3] R[0 1] 25", "s1 dec[0 1] W[2 3] R[0 1] 23",
               "s2 dec[0 1] W[2 3] R[0 1] 21", "s3 dec[0 1] W[2 3] R[0 1] 19",
               "s4 dec[0 1] W[2 3] R[0 1] 17", "s5 dec[0 1] W[2 3] R[0 1] 15",
               "s6 pf[2:8 3:1] R[2 3] 32", "s7 dec[2] R[2] 32", "s8 dec[2] R[2] 31",
               "s9 dec[2] R[2] 30", "s10 dec[2] R[2] 29", "s11 dec[2] R[2] 28"},
     .ended = "0 1 3 2"},
    {.name = "a peak of the whole pool is too much",
     .policies = {LIGHTLLM},
     .n_device = 40,
     .block_tokens = 1,
     .requests = {{8, 2, 0, 0}, {8, 10, 0, 0}},
     /* 9 + 15 = 24, then 18 + 2 * 7 = 32 */
     .lines = {"s0 pf[0:8 1:8] R[0 1] 24", "s1 dec[0 1] R[0 1] 22", "s2 dec[1] R[1] 30",
               "s3 dec[1] R[1] 29", "s4 dec[1] R[1] 28", "s5 dec[1] R[1] 27",
               "s6 dec[1] R[1] 26", "s7 dec[1] R[1] 25", "s8 dec[1] R[1] 24",
               "s9 dec[1] R[1] 23"},
     .ended = "0 1"},
    /* The second takes 17 more than the 3 it holds; the first holds 9, 10, 11 and takes 9, 8,
     * 7: the peak of both is 12 + 18 = 30, then 13 + 16 = 29, then 14 + 14 = 28. */
    {.name = "the peak falls while others decode",
     .policies = {LIGHTLLM},
     .n_device = 29,
     .block_tokens = 1,
     .requests = {{8, 4, 0, 0}, {2, 12, 0, 0}},
     .lines = {"s0 pf[0:8] W[1] R[0] 21", "s1 dec[0] W[1] R[0] 20", "s2 pf[1:2] R[0 1] 18",
               "s3 dec[0 1] R[0 1] 16", "s4 dec[0 1] R[0 1] 14", "s5 dec[1] R[1] 24",
               "s6 dec[1] R[1] 23", "s7 dec[1] R[1] 22", "s8 dec[1] R[1] 21",
               "s9 dec[1] R[1] 20", "s10 dec[1] R[1] 19", "s11 dec[1] R[1] 18",
               "s12 dec[1] R[1] 17", "s13 dec[1] R[1] 16"},
     .ended = "0 1"},
    /* Peaks of 11 + 17, 22 + 2 * 14, 33 + 3 * 13 = 72 tokens of 80, but in s7 three blocks are
     * asked for and two are free. There the fourth has a peak of 54 + 2 + 4 * 6 = 80, in s8 the
     * paused one lacks a block. */
    {.name = "the last is paused to the front of the queue and computed anew",
     .policies = {LIGHTLLM},
     .n_device = 5,
     .block_tokens = 16,
     .requests = {{10, 12, 0, 0}, {10, 9, 0, 0}, {10, 8, 0, 0}, {1, 1, 7, 0}},
     .lines = {"s0 pf[0:10 1:10 2:10] R[0 1 2] 2", "s1 dec[0 1 2] R[0 1 2] 2",
               "s2 dec[0 1 2] R[0 1 2] 2", "s3 dec[0 1 2] R[0 1 2] 2",
               "s4 dec[0 1 2] R[0 1 2] 2", "s5 dec[0 1 2] R[0 1 2] 2",
               "s6 dec[0 1 2] R[0 1 2] 2", "s7 dec[0 1] PRE[2] W[2 3] R[0 1] 1",
               "s8 dec[0 1] W[2 3] R[0 1] 1", "s9 pf[2:17 3:1] R[0 2 3] 0", "s10 dec[0] R[0] 3",
               "s11 dec[0] R[0] 3", "s12 dec[0] R[0] 3"},
     .ended = "1 2 3 0"},
    {.name = "the budget holds whole prompts",
     .policies = {LIGHTLLM, PAST_FUTURE},
     .n_device = 10,
     .max_batched_tokens = 6,
     .requests = {{4, 2, 0, 0}, {4, 2, 0, 0}},
     .lines = {"s0 pf[0:4] W[1] R[0] 9", "s1 pf[1:4] R[0 1] 8", "s2 dec[0 1] R[0 1] 6"},
     .ended = "0 1"},
    {.name =
         "a prompt longer than the budget goes in chunks, and nobody decodes before its last",
     .policies = {LIGHTLLM, PAST_FUTURE},
     .n_device = 20,
     .max_batched_tokens = 6,
     .requests = {{4, 3, 0, 0}, {14, 2, 1, 0}, {4, 1, 1, 0}},
     .lines = {"s0 pf[0:4] R[0] 19", "s1 pf[1:6] W[1 2] R[0] 17", "s2 pf[1:6] W[1 2] R[0] 16",
               "s3 pf[1:2 2:4] R[0 1 2] 14", "s4 dec[0 1] R[0 1] 14", "s5 dec[0] R[0] 18"},
     .ended = "2 1 0"},
    {.name = "no more run than there are seats",
     .policies = {LIGHTLLM, PAST_FUTURE},
     .n_device = 30,
     .max_seqs = 2,
     .requests = {{4, 2, 0, 0}, {4, 2, 0, 0}, {4, 2, 0, 0}},
     .lines = {"s0 pf[0:4 1:4] W[2] R[0 1] 28", "s1 dec[0 1] W[2] R[0 1] 26",
               "s2 pf[2:4] R[2] 29", "s3 dec[2] R[2] 28"},
     .ended = "0 1 2"},
    /* The peak of the second alone, 6 + 7 tokens, is more than the pool. */
    {.name = "one that can run alone is not kept out, a prompt that leaves no room is ignored",
     .policies = {LIGHTLLM, PAST_FUTURE},
     .n_device = 2,
     .requests = {{8, 2, 0, 0}, {5, 30, 0, 0}, {7, 1, 0, 0}},
     .lines = {"s0 pf[1:5] R[1] 0", "s1 dec[1] R[1] 0"},
     .ended = "0 2 1"},
};

static void decides_as_worked_by_hand(void **state) {
    errbuf err = {0};
    if (scenario_check(*state, &err) != ST_OK) fail_msg("%s", err.text);
}

static void the_peak_is_that_of_the_longest_first(void **state) {
    (void)state;
    kv_demand three[] = {{10, 5}, {20, 1}, {7, 9}};
    assert_int_equal(lightllm_peak_tokens(three, 3), 40); /* 7 + 9, 17 + 2 * 5, 37 + 3 * 1 */
    kv_demand short_and_long[] = {{1, 1}, {5, 100}};
    assert_int_equal(lightllm_peak_tokens(short_and_long, 2), 105); /* 5 + 100, 6 + 2 * 1 */
    kv_demand equal[] = {{3, 4}, {8, 4}};
    assert_int_equal(lightllm_peak_tokens(equal, 2), 19);
    assert_int_equal(lightllm_peak_tokens(equal, 0), 0);
}

static past_lengths lengths_of(const uint32_t *lengths, uint32_t n) {
    past_lengths p = {.n = 0};
    for (uint32_t i = 0; i < n; i++) past_lengths_add(&p, lengths[i]);
    past_lengths_sort(&p);
    return p;
}

static void a_length_is_drawn_from_those_beyond_the_outputs_so_far(void **state) {
    (void)state;
    static const uint32_t lengths[] = {40, 20, 10, 20};
    past_lengths p = lengths_of(lengths, 4);
    /* Of 15, 20, 20, 40, 100. */
    assert_int_equal(past_lengths_beyond(&p, 15, 100, 0), 15);
    assert_int_equal(past_lengths_beyond(&p, 15, 100, 0.125), 18);
    assert_int_equal(past_lengths_beyond(&p, 15, 100, 0.25), 20);
    assert_int_equal(past_lengths_beyond(&p, 15, 100, 0.375), 20);
    assert_int_equal(past_lengths_beyond(&p, 15, 100, 0.625), 30);
    assert_int_equal(past_lengths_beyond(&p, 15, 100, 0.875), 70);
    /* Of 20, 40: one that is equal is not beyond, and the limit was reached. */
    assert_int_equal(past_lengths_beyond(&p, 20, 40, 0.5), 30);
    /* Of 40, 100. */
    assert_int_equal(past_lengths_beyond(&p, 40, 100, 0.5), 70);
    assert_int_equal(past_lengths_beyond(&p, 99, 100, 0.999), 100);
}

static void the_oldest_length_is_forgotten_first(void **state) {
    (void)state;
    past_lengths p = {.n = 0};
    for (uint32_t i = 0; i < PAST_LENGTHS_MAX + 5; i++) past_lengths_add(&p, 1000 - i);
    past_lengths_sort(&p);
    assert_int_equal(p.n, PAST_LENGTHS_MAX);
    assert_int_equal(p.sorted[0], 1000 - PAST_LENGTHS_MAX - 4);
    assert_int_equal(p.sorted[PAST_LENGTHS_MAX - 1], 995);
}

static void start(step_driver *d, const char *policy_text, uint32_t n_device,
                  uint32_t block_tokens) {
    errbuf err = {0};
    scheduler_config config = scheduler_config_defaults();
    if (policy_parse(&config.policy, policy_text, &err) != ST_OK) fail_msg("%s", err.text);
    config.block_tokens = block_tokens;
    config.n_device_blocks = n_device;
    step_driver_init(d, &config);
}

static void add(step_driver *d, uint64_t id, uint32_t n_prompt, uint32_t n_output_max,
                uint32_t n_output) {
    request req = {.id = id, .n_prompt = n_prompt, .n_output_max = n_output_max};
    step_driver_add(d, &req, n_output);
}

static void run_step(step_driver *d, int64_t step) {
    errbuf err = {0};
    assert_int_equal(step_driver_schedule(d, step, &err), ST_OK);
    step_driver_complete(d, step);
    if (scheduler_check(d->scheduler, &err) != ST_OK) fail_msg("%s", err.text);
}

/* By their limits the second peak is 22 + 2 * 1505 tokens, by 1024 it is 22 + 2 * 1029. */
static void lengths_are_expected_shorter_while_the_pool_is_not_in_use(void **state) {
    (void)state;
    static const struct {
        const char *policy;
        uint32_t n_running;
    } cases[] = {{"lightllm", 1}, {"lightllm,router_token_ratio=0.9", 2}};
    for (int i = 0; i < 2; i++) {
        step_driver d;
        start(&d, cases[i].policy, 3000, 1);
        add(&d, 0, 10, 1500, 1);
        add(&d, 1, 10, 1500, 1);
        errbuf err = {0};
        assert_int_equal(step_driver_schedule(&d, 0, &err), ST_OK);
        assert_int_equal(d.scheduler->running.n, cases[i].n_running);
        step_driver_finish(&d);
    }
}

/* The case of three blocks asked for and two free, with ids that are not in order. */
static void past_future_pauses_the_highest_id_and_lightllm_the_last(void **state) {
    (void)state;
    static const struct {
        const char *policy;
        uint64_t paused;
    } cases[] = {{LIGHTLLM, 4}, {PAST_FUTURE, 5}};
    for (int i = 0; i < 2; i++) {
        step_driver d;
        start(&d, cases[i].policy, 5, 16);
        add(&d, 3, 10, 8, 8);
        add(&d, 5, 10, 8, 8);
        add(&d, 4, 10, 8, 8);
        for (int64_t step = 0; step < 7; step++) run_step(&d, step);
        assert_int_equal(d.n_preempted, 0);
        run_step(&d, 7);
        assert_int_equal(d.n_preempted, 1);
        assert_int_equal(seq_at(d.scheduler, d.scheduler->waiting.first)->req.id,
                         cases[i].paused);
        step_driver_finish(&d);
    }
}

/* Runs n requests that all end after 5 of 200 outputs; the most that ran at once. */
static uint32_t run_short_ones(step_driver *d, int64_t *step, uint64_t first_id, uint32_t n) {
    uint32_t n_running_max = 0;
    for (uint32_t i = 0; i < n; i++) add(d, first_id + i, 10, 200, 5);
    for (; scheduler_n_unfinished(d->scheduler) > 0; ++*step) {
        run_step(d, *step);
        if (n_running_max < d->scheduler->running.n) n_running_max = d->scheduler->running.n;
    }
    return n_running_max;
}

/* Before, a peak of two is 22 + 2 * 205 of 285 tokens. Once the last 200 lengths are 5 and
 * nobody runs, n new ones have a peak of n * (11 + 10): 13 fit. */
static void past_future_learns_from_those_who_finished(void **state) {
    (void)state;
    step_driver d;
    int64_t step = 0;
    start(&d, PAST_FUTURE, 300, 1);
    assert_int_equal(run_short_ones(&d, &step, 0, 2), 1);
    run_short_ones(&d, &step, 2, 198);
    assert_int_equal(d.n_ended, 200);
    for (uint32_t i = 0; i < 20; i++) add(&d, 200 + i, 10, 200, 5);
    errbuf err = {0};
    assert_int_equal(step_driver_schedule(&d, step, &err), ST_OK);
    assert_int_equal(d.scheduler->running.n, 13);
    step_driver_finish(&d);
}

/* Four that run have passed all lengths of the past, and each may end anywhere up to its limit
 * of 200: their own peak is above the pool. Expected to end like the others, they would leave
 * room for nine more. */
static void past_future_expects_more_from_those_beyond_the_past(void **state) {
    (void)state;
    step_driver d;
    int64_t step = 0;
    start(&d, PAST_FUTURE, 300, 1);
    run_short_ones(&d, &step, 0, 200);
    for (uint32_t i = 0; i < 4; i++) add(&d, 200 + i, 10, 200, 100);
    for (int i = 0; i < 6; i++) run_step(&d, step++);
    assert_int_equal(d.scheduler->running.n, 4);
    for (uint32_t i = 0; i < 20; i++) add(&d, 204 + i, 10, 200, 5);
    run_step(&d, step);
    assert_int_equal(d.scheduler->running.n, 4);
    step_driver_finish(&d);
}

int main(void) {
    enum { N = sizeof(scenarios) / sizeof(scenarios[0]) };
    const struct CMUnitTest others[] = {
        cmocka_unit_test(the_peak_is_that_of_the_longest_first),
        cmocka_unit_test(a_length_is_drawn_from_those_beyond_the_outputs_so_far),
        cmocka_unit_test(the_oldest_length_is_forgotten_first),
        cmocka_unit_test(lengths_are_expected_shorter_while_the_pool_is_not_in_use),
        cmocka_unit_test(past_future_pauses_the_highest_id_and_lightllm_the_last),
        cmocka_unit_test(past_future_learns_from_those_who_finished),
        cmocka_unit_test(past_future_expects_more_from_those_beyond_the_past),
    };
    enum { N_OTHERS = sizeof(others) / sizeof(others[0]) };
    struct CMUnitTest tests[N + N_OTHERS];
    for (int i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){.name = scenarios[i].name,
                                       .test_func = decides_as_worked_by_hand,
                                       .initial_state = (void *)&scenarios[i]};
    for (int i = 0; i < N_OTHERS; i++) tests[N + i] = others[i];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
