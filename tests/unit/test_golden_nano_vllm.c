/* test_golden_nano_vllm.c - golden traces of nano-vllm: what the upstream scheduler class
 * (bb823b3) decided for a few requests, step by step. The notation is scenario.h's. */
#include <string.h>

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
    {.name = "N1: the last in line goes, and what is still there is not computed again",
     .policies = {"nano-vllm"},
     .n_device = 7,
     .requests = {{8, 6, 0, 0}, {8, 6, 0, 0}, {8, 6, 0, 0}},
     .lines = {"s0 pf[0:8 1:8 2:8] R[0 1 2] 1", "s1 dec[0 1] PRE[2] W[2] R[0 1] 1",
               "s2 dec[0 1] W[2] R[0 1] 1", "s3 dec[0 1] W[2] R[0 1] 1",
               "s4 dec[0 1] W[2] R[0 1] 1", "s5 dec[0] PRE[1] W[1 2] R[0] 3",
               "s6 pf[1:1 2:9] R[1 2] 0", "s7 dec[2] R[2] 4", "s8 dec[2] R[2] 4",
               "s9 dec[2] R[2] 4", "s10 dec[2] R[2] 3"},
     .ended = "0 1 2"},
    {.name = "N2: one prompt at a time is split, and keeps its place while it is",
     .policies = {"nano-vllm"},
     .n_device = 7,
     .max_batched_tokens = 8,
     .requests = {{10, 5, 0, 0}, {10, 5, 0, 0}, {10, 5, 0, 0}},
     .lines = {"s0 pf[0:8] W[0 1 2] 4", "s1 pf[0:2] W[1 2] R[0] 4", "s2 pf[1:8] W[1 2] R[0] 1",
               "s3 pf[1:2] W[2] R[0 1] 1", "s4 dec[0 1] W[2] R[0 1] 1",
               "s5 dec[0 1] W[2] R[0 1] 1", "s6 dec[0] PRE[1] W[1 2] R[0] 3",
               "s7 dec[0] W[1 2] R[0] 3", "s8 pf[1:1] W[2] R[1] 3", "s9 pf[2:8] W[2] R[1] 0",
               "s10 pf[2:2] R[1 2] 0", "s11 dec[1 2] R[1 2] 0", "s12 dec[2] R[2] 4",
               "s13 dec[2] R[2] 3", "s14 dec[2] R[2] 3"},
     .ended = "0 1 2"},
    {.name = "N3: one that outgrows the pool ends the run",
     .policies = {"nano-vllm"},
     .n_device = 4,
     .requests = {{8, 30, 0, 0}},
     .lines = {"s0 pf[0:8] R[0] 2", "s1 dec[0] R[0] 1", "s2 dec[0] R[0] 1", "s3 dec[0] R[0] 1",
               "s4 dec[0] R[0] 1", "s5 dec[0] R[0] 0", "s6 dec[0] R[0] 0", "s7 dec[0] R[0] 0",
               "s8 dec[0] R[0] 0", "s9 aborted"}},
    {.name = "N4: two victims in one step keep their order",
     .policies = {"nano-vllm"},
     .n_device = 8,
     .requests = {{8, 5, 0, 0}, {8, 5, 0, 0}, {8, 5, 0, 0}, {8, 5, 0, 0}},
     .lines = {"s0 pf[0:8 1:8 2:8 3:8] R[0 1 2 3] 0", "s1 dec[0 1] PRE[2 3] W[2 3] R[0 1] 2",
               "s2 dec[0 1] W[2 3] R[0 1] 2", "s3 dec[0 1] W[2 3] R[0 1] 2",
               "s4 dec[0 1] W[2 3] R[0 1] 2", "s5 pf[2:1 3:9] R[2 3] 2", "s6 dec[2 3] R[2 3] 2",
               "s7 dec[2 3] R[2 3] 2", "s8 dec[2 3] R[2 3] 2"},
     .ended = "0 1 2 3"},
};

static void decides_as_upstream(void **state) {
    errbuf err = {0};
    if (scenario_check(*state, &err) != ST_OK) fail_msg("%s", err.text);
}

/* Hand-worked, for what the traces do not show. Blocks of 4 tokens. */
static step_driver drive(uint32_t n_device_blocks, uint32_t max_seqs) {
    errbuf err = {0};
    scheduler_config config = scheduler_config_defaults();
    assert_int_equal(policy_parse(&config.policy, "nano-vllm", &err), ST_OK);
    config.block_tokens = 4;
    config.n_device_blocks = n_device_blocks;
    config.max_seqs = max_seqs;
    step_driver d;
    step_driver_init(&d, &config);
    return d;
}

static void add_shared(step_driver *d, uint64_t id, uint32_t n_prompt, uint32_t n_output) {
    static const uint64_t pieces[] = {11, 12};
    request req = {.id = id,
                   .n_prompt = n_prompt,
                   .n_output_max = n_output,
                   .prefix_ids = pieces,
                   .n_prefix_ids = 2,
                   .prefix_tokens = 4};
    step_driver_add(d, &req, n_output);
}

static void step(step_driver *d, int64_t at, uint32_t expected_tokens) {
    errbuf err = {0};
    assert_int_equal(step_driver_schedule(d, at, &err), ST_OK);
    assert_int_equal(d->plan->n_tokens, expected_tokens);
    step_driver_complete(d, at);
    if (scheduler_check(d->scheduler, &err) != ST_OK) fail_msg("%s", err.text);
}

static void who_is_admitted_in_the_same_step_shares_nothing(void **state) {
    (void)state;
    step_driver d = drive(20, 8);
    add_shared(&d, 0, 10, 3);
    add_shared(&d, 1, 10, 3);
    step(&d, 0, 20); /* both compute the two blocks that they have in common */
    assert_int_equal(scheduler_n_free_device(d.scheduler), 20 - 3 - 3);
    add_shared(&d, 2, 10, 3);
    step(&d, 1, 2);
    assert_int_equal(scheduler_n_hit_tokens(d.scheduler), 8);
    assert_int_equal(scheduler_n_free_device(d.scheduler), 20 - 3 - 3 - 1);
    step_driver_finish(&d);
}

/* Upstream's index maps a content to the block that got it last. */
static void a_content_is_found_on_the_block_that_got_it_last(void **state) {
    (void)state;
    step_driver d = drive(20, 8);
    add_shared(&d, 0, 10, 3);
    add_shared(&d, 1, 10, 3);
    step(&d, 0, 20);
    add_shared(&d, 2, 10, 3);
    step(&d, 1, 2);
    const sequence *seqs = scheduler_table(d.scheduler)->seqs;
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_not_equal(seqs[0].slots[i].device, seqs[1].slots[i].device);
        assert_int_equal(seqs[2].slots[i].device, seqs[1].slots[i].device);
    }
    step_driver_finish(&d);
}

/* The limit of sequences holds for a step: who came later decodes when others have ended. */
static void more_may_run_than_decode_in_a_step(void **state) {
    (void)state;
    step_driver d = drive(20, 2);
    for (uint64_t id = 0; id < 3; id++) {
        request req = {.id = id, .n_prompt = 3, .n_output_max = 3};
        step_driver_add(&d, &req, 3);
    }
    static const uint32_t n_tokens[] = {3 + 3, 3, 2, 2, 1, 1};
    static const uint32_t n_running[] = {2, 3, 3, 1, 1, 0};
    for (int i = 0; i < 6; i++) {
        step(&d, i, n_tokens[i]);
        assert_int_equal(d.scheduler->running.n, n_running[i]);
    }
    assert_int_equal(scheduler_n_unfinished(d.scheduler), 0);
    step_driver_finish(&d);
}

static void a_prompt_too_long_for_the_pool_is_named(void **state) {
    (void)state;
    errbuf err = {0};
    step_driver d = drive(2, 8);
    request req = {.id = 7, .n_prompt = 9, .n_output_max = 1};
    step_driver_add(&d, &req, 1);
    assert_int_equal(step_driver_schedule(&d, 0, &err), ST_ABORTED);
    assert_non_null(
        strstr(err.text, "request 7 needs 3 KV blocks for its 9 tokens and the device has 2"));
    step_driver_finish(&d);
}

int main(void) {
    enum { N = sizeof(scenarios) / sizeof(scenarios[0]), N_BY_HAND = 4 };
    struct CMUnitTest tests[N_BY_HAND + N] = {
        cmocka_unit_test(who_is_admitted_in_the_same_step_shares_nothing),
        cmocka_unit_test(a_content_is_found_on_the_block_that_got_it_last),
        cmocka_unit_test(more_may_run_than_decode_in_a_step),
        cmocka_unit_test(a_prompt_too_long_for_the_pool_is_named),
    };
    for (int i = 0; i < N; i++)
        tests[N_BY_HAND + i] = (struct CMUnitTest){.name = scenarios[i].name,
                                                   .test_func = decides_as_upstream,
                                                   .initial_state = (void *)&scenarios[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
