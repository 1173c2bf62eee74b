/* test_sglang.c - the policy after SGLang on examples worked by hand: upstream was read, not
 * run. The notation is scenario.h's; blocks hold 4 tokens unless said otherwise. */
#include "sglang.h"

#include <math.h>

#include "scenario.h"
#include "scheduler_state.h"
#include "step_driver.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const scenario scenarios[] = {
    /* Needs of 14, 14 and 4 tokens: 30 - 8 - 6 = 16 are left for the second, 2 for the third.
     * In s1 it would fit (14 free, less than 10 reserved), but the batch is closed. */
    {.name = "the first that does not fit closes the batch until it shrinks",
     .policies = {"sglang"},
     .n_device = 30,
     .block_tokens = 1,
     .requests = {{8, 6, 0, 0}, {8, 6, 0, 0}, {2, 2, 0, 0}},
     .lines = {"s0 pf[0:8 1:8] W[2] R[0 1] 14", "s1 dec[0 1] W[2] R[0 1] 12",
               "s2 dec[0 1] W[2] R[0 1] 10", "s3 dec[0 1] W[2] R[0 1] 8",
               "s4 dec[0 1] W[2] R[0 1] 6", "s5 dec[0 1] W[2] R[0 1] 4", "s6 pf[2:2] R[2] 28",
               "s7 dec[2] R[2] 27"},
     .ended = "0 1 2"},
    /* Exactly as many tokens left as needed are too few: 10 + 6 of 16. */
    {.name = "a sequence needs less than what is left",
     .policies = {"sglang"},
     .n_device = 26,
     .block_tokens = 1,
     .requests = {{4, 6, 0, 0}, {10, 6, 0, 0}},
     .lines = {"s0 pf[0:4] W[1] R[0] 22", "s1 dec[0] W[1] R[0] 21", "s2 dec[0] W[1] R[0] 20",
               "s3 dec[0] W[1] R[0] 19", "s4 dec[0] W[1] R[0] 18", "s5 dec[0] W[1] R[0] 17",
               "s6 pf[1:10] R[1] 16", "s7 dec[1] R[1] 15", "s8 dec[1] R[1] 14",
               "s9 dec[1] R[1] 13", "s10 dec[1] R[1] 12", "s11 dec[1] R[1] 11"},
     .ended = "0 1"},
    {.name = "a sequence that ends in a decode opens the batch one decode later",
     .policies = {"sglang"},
     .n_device = 32,
     .block_tokens = 1,
     .requests = {{8, 2, 0, 0}, {8, 6, 0, 0}, {8, 6, 0, 0}},
     .lines = {"s0 pf[0:8 1:8] W[2] R[0 1] 16", "s1 dec[0 1] W[2] R[0 1] 14",
               "s2 dec[1] W[2] R[1] 22", "s3 pf[2:8] R[1 2] 14", "s4 dec[1 2] R[1 2] 12",
               "s5 dec[1 2] R[1 2] 10", "s6 dec[1 2] R[1 2] 8", "s7 dec[2] R[2] 20",
               "s8 dec[2] R[2] 19"},
     .ended = "0 1 2"},
    {.name = "a sequence that ends in its prefill opens the batch at once",
     .policies = {"sglang"},
     .n_device = 24,
     .block_tokens = 1,
     .requests = {{8, 1, 0, 0}, {8, 4, 0, 0}, {8, 2, 0, 0}},
     .lines = {"s0 pf[0:8 1:8] W[2] R[0 1] 8", "s1 pf[2:8] R[1 2] 8", "s2 dec[1 2] R[1 2] 6",
               "s3 dec[1] R[1] 14", "s4 dec[1] R[1] 13"},
     .ended = "0 2 1"},
    /* In s7 0, 1 and 2 have 6, 4 and 4 outputs. The ratio becomes 1: in s8 the 13 tokens that 2
     * needs are not there beside 9 reserved for the others, and the batch closes again. */
    {.name = "the fewest outputs go, among equals the longest prompt",
     .policies = {"sglang,conservativeness=0.1"},
     .n_device = 24,
     .block_tokens = 1,
     .requests = {{4, 12, 0, 0}, {4, 8, 2, 0}, {5, 8, 3, 0}},
     .lines = {"s0 pf[0:4] R[0] 20", "s1 dec[0] R[0] 19", "s2 pf[1:4] R[0 1] 15",
               "s3 pf[2:5] R[0 1 2] 10", "s4 dec[0 1 2] R[0 1 2] 7", "s5 dec[0 1 2] R[0 1 2] 4",
               "s6 dec[0 1 2] R[0 1 2] 1", "s7 dec[0 1] PRE[2] W[2] R[0 1] 7",
               "s8 dec[0 1] W[2] R[0 1] 5", "s9 dec[0 1] W[2] R[0 1] 3",
               "s10 dec[0 1] W[2] R[0 1] 1", "s11 dec[0] W[2] R[0] 11",
               "s12 dec[0] W[2] R[0] 10", "s13 dec[0] W[2] R[0] 9", "s14 pf[2:9] R[2] 15",
               "s15 dec[2] R[2] 14", "s16 dec[2] R[2] 13", "s17 dec[2] R[2] 12"},
     .ended = "1 0 2"},
    /* As above with the prompts of 1 and 2 exchanged, and a fourth that waits: 1 goes although
     * it is not the last, and behind the fourth. */
    {.name = "the retracted go to the tail of the queue",
     .policies = {"sglang,conservativeness=0.1"},
     .n_device = 24,
     .block_tokens = 1,
     .requests = {{4, 12, 0, 0}, {5, 8, 2, 0}, {4, 8, 3, 0}, {9, 9, 4, 0}},
     .lines = {"s0 pf[0:4] R[0] 20", "s1 dec[0] R[0] 19", "s2 pf[1:5] R[0 1] 14",
               "s3 pf[2:4] R[0 1 2] 10", "s4 dec[0 1 2] W[3] R[0 1 2] 7",
               "s5 dec[0 1 2] W[3] R[0 1 2] 4", "s6 dec[0 1 2] W[3] R[0 1 2] 1",
               "s7 dec[0 2] PRE[1] W[3 1] R[0 2] 7"},
     .ended = "",
     .goes_on = true},
    {.name = "one prompt at a time is in chunks, and nobody decodes before its last",
     .policies = {"sglang"},
     .n_device = 20,
     .max_batched_tokens = 6,
     .requests = {{4, 3, 0, 0}, {14, 2, 1, 0}},
     .lines = {"s0 pf[0:4] R[0] 19", "s1 pf[1:6] W[1] R[0] 17", "s2 pf[1:6] W[1] R[0] 16",
               "s3 pf[1:2] R[0 1] 15", "s4 dec[0 1] R[0 1] 14", "s5 dec[0] R[0] 18"},
     .ended = "1 0"},
    {.name = "what the budget leaves goes to a chunk of the next",
     .policies = {"sglang"},
     .n_device = 10,
     .max_batched_tokens = 6,
     .requests = {{4, 2, 0, 0}, {4, 2, 0, 0}, {2, 2, 0, 0}},
     .lines = {"s0 pf[0:4 1:2] W[1 2] R[0] 8", "s1 pf[1:2 2:2] R[0 1 2] 7",
               "s2 dec[0 1 2] R[0 1 2] 5"},
     .ended = "0 1 2"},
    {.name = "no more run than there are seats",
     .policies = {"sglang"},
     .n_device = 30,
     .max_seqs = 2,
     .requests = {{4, 2, 0, 0}, {4, 2, 0, 0}, {4, 2, 0, 0}},
     .lines = {"s0 pf[0:4 1:4] W[2] R[0 1] 28", "s1 dec[0 1] W[2] R[0 1] 26",
               "s2 pf[2:4] R[2] 29", "s3 dec[2] R[2] 28"},
     .ended = "0 1 2"},
    {.name =
         "a limit is cut below what the pool holds, a prompt that leaves no room is ignored",
     .policies = {"sglang"},
     .n_device = 2,
     .requests = {{8, 2, 0, 0}, {5, 30, 0, 0}, {7, 1, 0, 0}},
     .lines = {"s0 pf[1:5] W[2] R[1] 0", "s1 dec[1] W[2] R[1] 0", "s2 2"},
     .ended = "0 1 2"},
};

static void decides_as_worked_by_hand(void **state) {
    errbuf err = {0};
    if (scenario_check(*state, &err) != ST_OK) fail_msg("%s", err.text);
}

static void start(step_driver *d, const char *policy_text, uint32_t n_device) {
    errbuf err = {0};
    scheduler_config config = scheduler_config_defaults();
    if (policy_parse(&config.policy, policy_text, &err) != ST_OK) fail_msg("%s", err.text);
    config.block_tokens = 1;
    config.n_device_blocks = n_device;
    step_driver_init(d, &config);
}

static void add(step_driver *d, uint64_t id, uint32_t n_prompt, uint32_t n_output) {
    request req = {.id = id, .n_prompt = n_prompt, .n_output_max = n_output};
    step_driver_add(d, &req, n_output);
}

static void run_step(step_driver *d, int64_t *step) {
    errbuf err = {0};
    assert_int_equal(step_driver_schedule(d, *step, &err), ST_OK);
    step_driver_complete(d, (*step)++);
    if (scheduler_check(d->scheduler, &err) != ST_OK) fail_msg("%s", err.text);
}

static bool is_near(double a, double b) {
    return fabs(a - b) < 1e-9;
}

/* From 0.7 to 0.14 * 0.7 in 600 decodes; prefills do not count. */
static void the_ratio_falls_with_each_decode_and_starts_again_at_rest(void **state) {
    (void)state;
    step_driver d;
    int64_t step = 0;
    start(&d, "sglang", 2000);
    add(&d, 0, 10, 800);
    run_step(&d, &step);
    assert_true(is_near(sglang_ratio(d.scheduler), 0.7));
    for (int i = 0; i < 300; i++) run_step(&d, &step);
    assert_true(is_near(sglang_ratio(d.scheduler), (0.7 + 0.098) / 2));
    add(&d, 1, 10, 2);
    run_step(&d, &step);
    assert_int_equal(d.plan->n_chunks, 1);
    assert_true(is_near(sglang_ratio(d.scheduler), (0.7 + 0.098) / 2));
    for (int i = 0; i < 499; i++) run_step(&d, &step);
    assert_true(is_near(sglang_ratio(d.scheduler), 0.098));
    assert_int_equal(d.n_ended, 2);
    add(&d, 2, 10, 2);
    run_step(&d, &step);
    assert_true(is_near(sglang_ratio(d.scheduler), 0.7));
    step_driver_finish(&d);
}

/* Both have 141 outputs when 20 + 2 * 140 tokens fill the pool. The last one goes; what is left
 * is expected to end 20 tokens later: (141 + 20) / (200 + 1). */
static void a_retraction_sets_the_ratio_from_those_who_stay(void **state) {
    (void)state;
    step_driver d;
    int64_t step = 0;
    start(&d, "sglang,conservativeness=0.1", 300);
    add(&d, 0, 10, 200);
    run_step(&d, &step);
    add(&d, 1, 10, 200);
    for (int i = 0; i < 141; i++) run_step(&d, &step);
    assert_int_equal(d.n_preempted, 0);
    assert_int_equal(scheduler_n_free_device(d.scheduler), 0);
    assert_true(is_near(sglang_ratio(d.scheduler), 0.07 - 140 * (0.07 - 0.0098) / 600));
    run_step(&d, &step);
    assert_int_equal(d.n_preempted, 1);
    assert_int_equal(seq_at(d.scheduler, d.scheduler->waiting.first)->req.id, 1);
    assert_true(is_near(sglang_ratio(d.scheduler), 161.0 / 201));
    step_driver_finish(&d);
}

/* Of 5000 outputs to come 4096 are counted: beside the first, 8213 - 4106 = 4107 tokens are
 * left, and the second needs 4106. */
static void nobody_looks_further_than_4096_outputs_ahead(void **state) {
    (void)state;
    static const struct { uint32_t n_device, n_running; } cases[] = {{8213, 2}, {8212, 1}};
    for (int i = 0; i < 2; i++) {
        step_driver d;
        int64_t step = 0;
        start(&d, "sglang", cases[i].n_device);
        add(&d, 0, 10, 5000);
        add(&d, 1, 10, 5000);
        run_step(&d, &step);
        assert_int_equal(d.scheduler->running.n, cases[i].n_running);
        step_driver_finish(&d);
    }
}

int main(void) {
    enum { N = sizeof(scenarios) / sizeof(scenarios[0]) };
    const struct CMUnitTest others[] = {
        cmocka_unit_test(the_ratio_falls_with_each_decode_and_starts_again_at_rest),
        cmocka_unit_test(a_retraction_sets_the_ratio_from_those_who_stay),
        cmocka_unit_test(nobody_looks_further_than_4096_outputs_ahead),
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
