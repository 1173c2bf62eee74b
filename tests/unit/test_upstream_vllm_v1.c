/* test_upstream_vllm_v1.c - the scheduler tests of vLLM V1 (tests/v1/core/test_scheduler.py),
 * as step traces. Left out: connectors, speculative decoding, asynchronous scheduling. */
#include "scenario.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FCFS "vllm-v1,prefix_cache=off", "vllm-v1", "vllm-v1,prefix_cache=off,full_isl=off"
#define PRIORITY                                                                               \
    "vllm-v1,prefix_cache=off,order=priority", "vllm-v1,order=priority",                       \
        "vllm-v1,prefix_cache=off,full_isl=off,order=priority"

static const scenario scenarios[] = {
    {.name = "all that fit run at once, in order of arrival",
     .policies = {FCFS},
     .n_device = 21,
     .max_batched_tokens = 1024,
     .max_seqs = 16,
     .block_tokens = 16,
     .requests = {{10, 1, 0, 0},
                  {10, 1, 0, 0},
                  {10, 1, 0, 0},
                  {10, 1, 0, 0},
                  {10, 1, 0, 0},
                  {10, 1, 0, 0},
                  {10, 1, 0, 0},
                  {10, 1, 0, 0},
                  {10, 1, 0, 0},
                  {10, 1, 0, 0}},
     .lines =
         {"s0 {0:10 1:10 2:10 3:10 4:10 5:10 6:10 7:10 8:10 9:10} R[0 1 2 3 4 5 6 7 8 9] 10"},
     .ended = "0 1 2 3 4 5 6 7 8 9"},
    {.name = "a threshold shares the budget between long prompts",
     .policies = {"vllm-v1,prefix_cache=off,long_prefill_threshold=400",
                  "vllm-v1,long_prefill_threshold=400"},
     .n_device = 201,
     .max_batched_tokens = 1024,
     .max_model_len = 2048,
     .block_tokens = 16,
     .requests = {{800, 2, 0, 0}, {800, 2, 0, 0}, {800, 1, 0, 0}},
     .lines = {"s0 {0:400 1:400 2:224} R[0 1 2] 136", "s1 {0:400 1:400 2:224} R[0 1 2] 72",
               "s2 {0:1 1:1 2:352} R[0 1 2] 48"},
     .ended = "0 1 2"},
    {.name = "short prompts do not overtake a long one",
     .policies = {FCFS},
     .n_device = 201,
     .max_batched_tokens = 1024,
     .max_model_len = 2048,
     .block_tokens = 16,
     .requests = {{800, 1, 0, 0}, {800, 1, 0, 0}, {10, 1, 0, 0}, {10, 1, 0, 0}},
     .lines = {"s0 {0:800 1:224} W[2 3] R[0 1] 136", "s1 {1:576 2:10 3:10} R[1 2 3] 148"},
     .ended = "0 1 2 3"},
    {.name = "priority decides who starts first",
     .policies = {PRIORITY},
     .n_device = 21,
     .block_tokens = 16,
     .requests = {{10, 1, 0, 2}, {10, 1, 0, 0}, {10, 1, 0, 1}},
     .lines = {"s0 {1:10 2:10 0:10} R[1 2 0] 17"},
     .ended = "1 2 0"},
    {.name = "equal priorities go by arrival",
     .policies = {PRIORITY},
     .n_device = 21,
     .block_tokens = 16,
     .requests = {{10, 1, 0, 1}, {10, 1, 0, 1}, {10, 1, 0, 1}},
     .lines = {"s0 {0:10 1:10 2:10} R[0 1 2] 17"},
     .ended = "0 1 2"},
    {.name = "priority first, then arrival",
     .policies = {PRIORITY},
     .n_device = 21,
     .block_tokens = 16,
     .requests = {{10, 1, 0, 2}, {10, 1, 0, 1}, {10, 1, 0, 1}, {10, 1, 0, 0}},
     .lines = {"s0 {3:10 1:10 2:10 0:10} R[3 1 2 0] 16"},
     .ended = "3 1 2 0"},
    {.name = "the urgent one takes the blocks of another that was planned already",
     .policies = {"vllm-v1,prefix_cache=off,order=priority",
                  "vllm-v1,prefix_cache=off,full_isl=off,order=priority"},
     .n_device = 5,
     .block_tokens = 16,
     .requests = {{30, 3, 0, 1}, {32, 3, 1, 0}},
     .lines = {"s0 {0:30} R[0] 2", "s1 {0:1 1:32} R[0 1] 0", "s2 {1:1} PRE[0] W[0] R[1] 1",
               "s3 {1:1} W[0] R[1] 1", "s4 {0:32} R[0] 2"},
     .ended = "1 0"},
    {.name = "the urgent take the seats, and who is preempted waits by priority",
     .policies = {"vllm-v1,prefix_cache=off,order=priority",
                  "vllm-v1,prefix_cache=off,full_isl=off,order=priority"},
     .n_device = 5,
     .max_seqs = 2,
     .requests = {{8, 2, 0, 3}, {8, 2, 0, 1}, {8, 2, 0, 2}, {8, 2, 0, 0}},
     .lines = {"s0 {3:8 1:8} W[2 0] R[3 1] 0", "s1 {3:1} PRE[1] W[1 2 0] R[3] 1",
               "s2 {1:9} W[2 0] R[1] 1", "s3 {2:8 0:8} R[2 0] 0", "s4 {2:1} PRE[0] W[0] R[2] 1",
               "s5 {0:9} R[0] 1"},
     .ended = "3 1 2 0"},
    {.name = "what a victim had been given in this step goes to those behind it",
     .policies = {"vllm-v1,prefix_cache=off,full_isl=off,order=priority"},
     .n_device = 7,
     .max_batched_tokens = 8,
     .requests = {{12, 3, 0, 5}, {4, 2, 2, 0}, {10, 1, 2, 1}},
     .lines = {"s0 {0:8} R[0] 4", "s1 {0:4} R[0] 3", "s2 {0:1 1:4 2:3} R[0 1 2] 0",
               "s3 {1:1 2:7} PRE[0] W[0] R[1 2] 1", "s4 {0:8} R[0] 4", "s5 {0:6} R[0] 2"},
     .ended = "1 2 0"},
    {.name = "the watermark does not hold for one that runs alone",
     .policies = {"vllm-v1,prefix_cache=off,watermark=0.3", "vllm-v1,watermark=0.3"},
     .n_device = 8,
     .requests = {{28, 1, 0, 0}, {4, 1, 0, 0}},
     .lines = {"s0 {0:28} W[1] R[0] 0", "s1 {1:4} R[1] 6"},
     .ended = "0 1"},
    {.name = "the watermark stays free when others run",
     .policies = {"vllm-v1,prefix_cache=off,watermark=0.3", "vllm-v1,watermark=0.3"},
     .n_device = 8,
     .requests = {{16, 2, 0, 0}, {8, 1, 0, 0}},
     .lines = {"s0 {0:16} W[1] R[0] 3", "s1 {0:1} W[1] R[0] 2", "s2 {1:8} R[1] 5"},
     .ended = "0 1"},
};

static void decides_as_upstream(void **state) {
    errbuf err = {0};
    if (scenario_check(*state, &err) != ST_OK) fail_msg("%s", err.text);
}

int main(void) {
    enum { N = sizeof(scenarios) / sizeof(scenarios[0]) };
    struct CMUnitTest tests[N];
    for (int i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){.name = scenarios[i].name,
                                       .test_func = decides_as_upstream,
                                       .initial_state = (void *)&scenarios[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
