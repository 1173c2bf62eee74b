/* test_upstream_vllm_v0.c - the scheduler tests of vLLM v0.6.3 (tests/core/test_scheduler.py,
 * test_chunked_prefill_scheduler.py and the block manager tests), as step traces.
 *
 * The last three follow from the source of the block managers and of the priority policy. What
 * upstream mocks (a pool that says no) is brought about here by a pool that is full, and
 * an abort by a request that ends. Left out: beam search, LoRA, copy-on-write, look-ahead. */
#include "scenario.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define DEFAULT "vllm-v0-recompute,block_manager=1", "vllm-v0-recompute,block_manager=2"
#define CHUNKED                                                                                \
    "vllm-v0-recompute,block_manager=1,chunked=on",                                            \
        "vllm-v0-recompute,block_manager=2,chunked=on"

static const scenario scenarios[] = {
    {.name = "equal prompts start together and decode together",
     .policies = {DEFAULT, CHUNKED},
     .n_device = 8,
     .n_host = 8,
     .max_seqs = 4,
     .requests = {{4, 2, 0, 0}, {4, 2, 0, 0}, {4, 2, 0, 0}, {4, 2, 0, 0}},
     .lines = {"s0 pf[0:4 1:4 2:4 3:4] R[0 1 2 3] 4/8", "s1 dec[0 1 2 3] R[0 1 2 3] 0/8"},
     .ended = "0 1 2 3"},
    {.name = "a new prompt goes before the decodes of others",
     .policies = {DEFAULT},
     .n_device = 16,
     .n_host = 16,
     .max_batched_tokens = 30,
     .max_seqs = 2,
     .max_model_len = 30,
     .requests = {{1, 2, 0, 0}, {30, 1, 1, 0}},
     .lines = {"s0 pf[0:1] R[0] 15/16", "s1 pf[1:30] R[0 1] 7/16", "s2 dec[0] R[0] 15/16"},
     .ended = "1 0"},
    {.name = "a preempted one starts over with its output when the other has gone",
     .policies = {DEFAULT},
     .n_device = 2,
     .n_host = 2,
     .max_seqs = 2,
     .requests = {{4, 2, 0, 0}, {4, 2, 0, 0}},
     .lines = {"s0 pf[0:4 1:4] R[0 1] 0/2", "s1 dec[0] W[1] R[0] 0/2", "s2 pf[1:5] R[1] 0/2"},
     .ended = "0 1"},
    {.name = "running ones take seats from new ones",
     .policies = {DEFAULT},
     .n_device = 8,
     .n_host = 8,
     .max_seqs = 2,
     .requests = {{4, 3, 0, 0}, {4, 1, 1, 0}, {4, 1, 1, 0}},
     .lines = {"s0 pf[0:4] R[0] 7/8", "s1 pf[1:4] W[2] R[0 1] 6/8", "s2 pf[2:4] R[0 2] 6/8",
               "s3 dec[0] R[0] 6/8", "s4 dec[0] R[0] 6/8"},
     .ended = "1 2 0"},
    {.name = "a prompt longer than the model takes is given up",
     .policies = {DEFAULT, CHUNKED},
     .n_device = 64,
     .n_host = 64,
     .max_model_len = 30,
     .requests = {{60, 1, 0, 0}},
     .lines = {"s0 IGN[0] 64/64"},
     .ended = "0"},
    {.name = "a prompt that the rest of the budget cannot hold waits whole",
     .policies = {DEFAULT},
     .n_device = 64,
     .n_host = 64,
     .max_batched_tokens = 60,
     .requests = {{30, 1, 0, 0}, {60, 1, 0, 0}},
     .lines = {"s0 pf[0:30] W[1] R[0] 56/64", "s1 pf[1:60] R[1] 49/64"},
     .ended = "0 1"},
    {.name = "two prompts that fill the budget exactly start together",
     .policies = {DEFAULT},
     .n_device = 64,
     .n_host = 64,
     .max_batched_tokens = 90,
     .requests = {{30, 1, 0, 0}, {60, 1, 0, 0}},
     .lines = {"s0 pf[0:30 1:60] R[0 1] 41/64"},
     .ended = "0 1"},
    {.name = "without a seat no prompt starts",
     .policies = {DEFAULT},
     .n_device = 64,
     .n_host = 64,
     .max_batched_tokens = 1000,
     .max_seqs = 2,
     .requests = {{60, 2, 0, 0}, {60, 2, 0, 0}, {60, 2, 0, 0}},
     .lines = {"s0 pf[0:60 1:60] W[2] R[0 1] 34/64", "s1 dec[0 1] W[2] R[0 1] 32/64",
               "s2 pf[2:60] R[2] 49/64", "s3 dec[2] R[2] 48/64"},
     .ended = "0 1 2"},
    {.name = "prompts that find no room wait",
     .policies = {DEFAULT},
     .n_device = 16,
     .n_host = 8,
     .requests = {{60, 2, 0, 0}, {60, 1, 1, 0}, {60, 1, 1, 0}, {60, 1, 1, 0}},
     .lines = {"s0 pf[0:60] R[0] 1/8", "s1 dec[0] W[1 2 3] R[0] 0/8",
               "s2 pf[1:60] W[2 3] R[1] 1/8", "s3 pf[2:60] W[3] R[2] 1/8",
               "s4 pf[3:60] R[3] 1/8"},
     .ended = "0 1 2 3"},
    {.name = "prompts larger than the pool are given up",
     .policies = {DEFAULT, CHUNKED},
     .n_device = 10,
     .n_host = 8,
     .requests = {{60, 1, 0, 0}, {60, 1, 0, 0}, {60, 1, 0, 0}},
     .lines = {"s0 IGN[0 1 2] 10/8"},
     .ended = "0 1 2"},
    {.name = "the last goes first, and one that finds nobody behind it goes itself",
     .policies = {DEFAULT},
     .n_device = 3,
     .n_host = 8,
     .requests = {{4, 2, 0, 0}, {4, 2, 0, 0}, {4, 2, 0, 0}},
     .lines = {"s0 pf[0:4 1:4 2:4] R[0 1 2] 0/8", "s1 dec[0] W[1 2] R[0] 1/8",
               "s2 pf[1:5] W[2] R[1] 1/8", "s3 pf[2:5] R[2] 1/8"},
     .ended = "0 1 2"},
    {.name = "chunked: the rest of the budget goes to a part of the next prompt",
     .policies = {CHUNKED},
     .n_device = 32,
     .n_host = 32,
     .max_seqs = 60,
     .max_model_len = 80,
     .requests = {{60, 2, 0, 0}, {60, 1, 0, 0}},
     .lines = {"s0 pf[0:60 1:4] R[0 1] 2/32", "s1 pf[1:56] dec[0] R[0 1] 1/32"},
     .ended = "0 1"},
    {.name = "chunked: decodes and begun prompts come before new ones",
     .policies = {CHUNKED},
     .n_device = 64,
     .n_host = 64,
     .max_seqs = 60,
     .max_model_len = 80,
     .requests = {{60, 3, 0, 0}, {60, 2, 0, 0}, {60, 1, 1, 0}, {60, 1, 1, 0}},
     .lines = {"s0 pf[0:60 1:4] R[0 1] 34/64", "s1 pf[2:7 1:56] dec[0] W[3] R[0 1 2] 18/64",
               "s2 pf[3:9 2:53] dec[0 1] R[0 1 2 3] 2/64", "s3 pf[3:51] R[3] 49/64"},
     .ended = "0 1 2 3"},
    {.name = "chunked: a small budget is used up by decodes",
     .policies = {CHUNKED},
     .n_device = 8,
     .n_host = 8,
     .max_batched_tokens = 2,
     .max_seqs = 2,
     .requests = {{2, 4, 0, 0}, {2, 3, 1, 0}, {2, 1, 3, 0}},
     .lines = {"s0 pf[0:2] R[0] 7/8", "s1 pf[1:1] dec[0] R[0 1] 6/8",
               "s2 pf[1:1] dec[0] R[0 1] 6/8", "s3 dec[0 1] W[2] R[0 1] 5/8",
               "s4 pf[2:1] dec[1] R[1 2] 6/8", "s5 pf[2:1] R[2] 7/8"},
     .ended = "0 1 2"},
    {.name = "chunked: a prompt may be longer than the budget",
     .policies = {CHUNKED},
     .n_device = 32,
     .n_host = 32,
     .max_batched_tokens = 32,
     .requests = {{48, 1, 0, 0}},
     .lines = {"s0 pf[0:32] R[0] 20/32", "s1 pf[0:16] R[0] 20/32"},
     .ended = "0"},
    {.name = "chunked: but not longer than the model takes",
     .policies = {CHUNKED},
     .n_device = 32,
     .n_host = 32,
     .max_model_len = 32,
     .requests = {{48, 1, 0, 0}},
     .lines = {"s0 IGN[0] 32/32"},
     .ended = "0"},
    {.name = "chunked: a preempted prompt starts from its beginning",
     .policies = {CHUNKED},
     .n_device = 16,
     .n_host = 16,
     .max_batched_tokens = 30,
     .requests = {{4, 2, 0, 0}, {60, 1, 0, 0}},
     .lines = {"s0 pf[0:4 1:26] R[0 1] 0/16", "s1 dec[0] W[1] R[0] 14/16",
               "s2 pf[1:30] R[1] 1/16", "s3 pf[1:30] R[1] 1/16"},
     .ended = "0 1"},
    {.name = "chunked: a begun prompt keeps its seat",
     .policies = {CHUNKED},
     .n_device = 64,
     .n_host = 64,
     .max_seqs = 2,
     .max_model_len = 80,
     .requests = {{65, 2, 0, 0}, {65, 1, 1, 0}, {65, 1, 2, 0}},
     .lines = {"s0 pf[0:64] R[0] 47/64", "s1 pf[1:63 0:1] R[0 1] 30/64",
               "s2 pf[1:2] dec[0] W[2] R[0 1] 30/64", "s3 pf[2:64] R[2] 47/64",
               "s4 pf[2:1] R[2] 47/64"},
     .ended = "0 1 2"},
    {.name = "chunked, manager 1: without a free block a begun prompt starts over, for ever",
     .policies = {"vllm-v0-recompute,block_manager=1,chunked=on"},
     .n_device = 4,
     .max_batched_tokens = 8,
     .requests = {{16, 1, 0, 0}},
     .lines = {"s0 pf[0:8] R[0] 0/0", "s1 W[0] 4/0", "s2 pf[0:8] R[0] 0/0", "s3 W[0] 4/0"},
     .goes_on = true},
    {.name = "chunked, manager 2: a begun prompt of whole blocks needs no free one",
     .policies = {"vllm-v0-recompute,block_manager=2,chunked=on"},
     .n_device = 4,
     .max_batched_tokens = 8,
     .requests = {{16, 1, 0, 0}},
     .lines = {"s0 pf[0:8] R[0] 0/0", "s1 pf[0:8] R[0] 0/0"},
     .ended = "0"},
    {.name = "priority: no more are evicted than the urgent one needs seats",
     .policies = {"vllm-v0-recompute,block_manager=1,order=priority",
                  "vllm-v0-recompute,block_manager=2,order=priority"},
     .n_device = 20,
     .max_seqs = 2,
     .requests = {{4, 3, 0, 5}, {4, 2, 0, 5}, {4, 2, 1, 0}},
     .lines = {"s0 pf[0:4 1:4] R[0 1] 18/0", "s1 dec[0] W[2 1] R[0] 18/0",
               "s2 pf[2:4] W[1] R[0 2] 17/0", "s3 dec[2 0] W[1] R[2 0] 16/0",
               "s4 pf[1:5] R[1] 18/0"},
     .ended = "2 0 1"},
};

static void decides_as_upstream(void **state) {
    errbuf err = {0};
    if (scenario_check(*state, &err) != ST_OK) fail_msg("%s", err.text);
}

typedef enum room { NEVER, LATER, NOW } room;

/* Upstream's can_allocate: the watermark stays free. */
static room can_allocate(uint32_t n, uint32_t n_free, uint32_t n_total, uint32_t reserve) {
    if (n + reserve > n_total) return NEVER;
    return n + reserve <= n_free ? NOW : LATER;
}

/* A second request of n blocks meets a first one that holds n_held. */
static scenario two_requests(char lines[2][48], uint32_t n_total, uint32_t n_held, uint32_t n,
                             room r) {
    uint32_t left = n_total - n_held;
    snprintf(lines[0], 48, "s0 pf[0:%u] R[0] %u/0", 2 * n_held, left);
    if (r == NOW)
        snprintf(lines[1], 48, "s1 pf[1:%u] R[0 1] %u/0", 2 * n, left - n);
    else /* the first one decodes, for which it takes a block */
        snprintf(lines[1], 48, "s1 dec[0] %s[1] R[0] %u/0", r == NEVER ? "IGN" : "W", left - 1);
    return (scenario){.n_device = n_total,
                      .block_tokens = 2,
                      .requests = {{2 * n_held, 9, 0, 0}, {2 * n, 9, 1, 0}},
                      .lines = {lines[0], lines[1]},
                      .ended = r == NEVER ? "1" : "",
                      .goes_on = true};
}

/* Every share of watermark, pool, holding and need in a small space. */
static void admits_a_prompt_now_later_or_never(void **state) {
    (void)state;
    static const struct {
        const char *policies[2];
        double watermark;
    } marks[] = {
        {{"vllm-v0-recompute,block_manager=1,watermark=0",
          "vllm-v0-recompute,block_manager=2,watermark=0"},
         0},
        {{"vllm-v0-recompute,block_manager=1,watermark=0.06",
          "vllm-v0-recompute,block_manager=2,watermark=0.06"},
         0.06},
        {{"vllm-v0-recompute,block_manager=1,watermark=0.3",
          "vllm-v0-recompute,block_manager=2,watermark=0.3"},
         0.3},
    };
    uint32_t n_seen[3] = {0};
    for (size_t m = 0; m < sizeof(marks) / sizeof(marks[0]); m++) {
        for (uint32_t n_total = 2; n_total <= 20; n_total++) {
            uint32_t reserve = (uint32_t)(marks[m].watermark * n_total);
            for (uint32_t n_held = 1; n_held + reserve < n_total; n_held++) {
                for (uint32_t n = 1; n <= n_total + 1; n++) {
                    char lines[2][48];
                    room r = can_allocate(n, n_total - n_held, n_total, reserve);
                    scenario s = two_requests(lines, n_total, n_held, n, r);
                    s.policies[0] = marks[m].policies[0];
                    s.policies[1] = marks[m].policies[1];
                    errbuf err = {0};
                    if (scenario_check(&s, &err) != ST_OK)
                        fail_msg("%u of %u blocks held, %u needed, %u reserved: %s", n_held,
                                 n_total, n, reserve, err.text);
                    n_seen[r]++;
                }
            }
        }
    }
    for (int r = NEVER; r <= NOW; r++) assert_true(n_seen[r] > 100);
}

int main(void) {
    enum { N = sizeof(scenarios) / sizeof(scenarios[0]) };
    struct CMUnitTest tests[N + 1];
    tests[N] = (struct CMUnitTest)cmocka_unit_test(admits_a_prompt_now_later_or_never);
    for (int i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){.name = scenarios[i].name,
                                       .test_func = decides_as_upstream,
                                       .initial_state = (void *)&scenarios[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
