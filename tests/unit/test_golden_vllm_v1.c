/* test_golden_vllm_v1.c - golden traces of vLLM V1: what the upstream scheduler class (v0.25.1,
 * and v0.18.0 where full_isl is off) decided for a few requests, step by step. The notation is
 * scenario.h's; one block of each pool is upstream's null block. */
#include "scenario.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define V18  "vllm-v1,prefix_cache=off,full_isl=off"
#define V25  "vllm-v1,prefix_cache=off"
#define BOTH V25, V18

static const scenario scenarios[] = {
    {.name = "H1: the last in line goes and is computed anew",
     .policies = {BOTH},
     .n_device = 8,
     .requests = {{8, 6, 0, 0}, {8, 6, 0, 0}, {8, 6, 0, 0}},
     .lines = {"s0 {0:8 1:8 2:8} R[0 1 2] 1", "s1 {0:1 1:1} PRE[2] W[2] R[0 1] 1",
               "s2 {0:1 1:1} W[2] R[0 1] 1", "s3 {0:1 1:1} W[2] R[0 1] 1",
               "s4 {0:1 1:1} W[2] R[0 1] 1", "s5 {0:1} PRE[1] W[1 2] R[0] 3",
               "s6 {1:13 2:9} R[1 2] 0", "s7 {2:1} R[2] 4", "s8 {2:1} R[2] 4",
               "s9 {2:1} R[2] 4", "s10 {2:1} R[2] 3"},
     .ended = "0 1 2"},
    {.name = "H1 with prefix cache: what is still there is not computed again",
     .policies = {"vllm-v1", "vllm-v1,full_isl=off"},
     .n_device = 8,
     .requests = {{8, 6, 0, 0}, {8, 6, 0, 0}, {8, 6, 0, 0}},
     .lines = {"s0 {0:8 1:8 2:8} R[0 1 2] 1", "s1 {0:1 1:1} PRE[2] W[2] R[0 1] 1",
               "s2 {0:1 1:1} W[2] R[0 1] 1", "s3 {0:1 1:1} W[2] R[0 1] 1",
               "s4 {0:1 1:1} W[2] R[0 1] 1", "s5 {0:1} PRE[1] W[1 2] R[0] 3",
               "s6 {1:1 2:9} R[1 2] 0", "s7 {2:1} R[2] 4", "s8 {2:1} R[2] 4", "s9 {2:1} R[2] 4",
               "s10 {2:1} R[2] 3"},
     .ended = "0 1 2"},
    {.name = "H2 before v0.19: a chunk is let in without room for its prompt",
     .policies = {V18},
     .n_device = 8,
     .max_batched_tokens = 8,
     .requests = {{10, 5, 0, 0}, {10, 5, 0, 0}, {10, 5, 0, 0}},
     .lines = {"s0 {0:8} W[1 2] R[0] 5", "s1 {0:2 1:6} W[2] R[0 1] 2",
               "s2 {0:1 1:4 2:3} R[0 1 2] 0", "s3 {0:1 1:1} PRE[2] W[2] R[0 1] 1",
               "s4 {0:1 1:1} W[2] R[0 1] 0", "s5 {0:1} PRE[1] W[1 2] R[0] 3",
               "s6 {1:8} W[2] R[1] 5", "s7 {1:5 2:3} R[1 2] 2", "s8 {1:1 2:7} R[1 2] 0",
               "s9 {2:1} R[2] 4", "s10 {2:1} R[2] 4", "s11 {2:1} R[2] 3", "s12 {2:1} R[2] 3"},
     .ended = "0 1 2"},
    {.name = "H2 from v0.19: only with room for its whole prompt",
     .policies = {V25},
     .n_device = 8,
     .max_batched_tokens = 8,
     .requests = {{10, 5, 0, 0}, {10, 5, 0, 0}, {10, 5, 0, 0}},
     .lines = {"s0 {0:8} W[1 2] R[0] 5", "s1 {0:2 1:6} W[2] R[0 1] 2",
               "s2 {0:1 1:4} W[2] R[0 1] 1", "s3 {0:1 1:1} W[2] R[0 1] 1",
               "s4 {0:1 1:1} W[2] R[0 1] 0", "s5 {0:1} PRE[1] W[1 2] R[0] 3",
               "s6 {1:8} W[2] R[1] 5", "s7 {1:5 2:3} R[1 2] 2", "s8 {1:1 2:7} R[1 2] 0",
               "s9 {2:1} R[2] 4", "s10 {2:1} R[2] 4", "s11 {2:1} R[2] 3", "s12 {2:1} R[2] 3"},
     .ended = "0 1 2"},
    {.name = "H3: the least urgent goes",
     .policies = {"vllm-v1,prefix_cache=off,order=priority",
                  "vllm-v1,prefix_cache=off,order=priority,full_isl=off"},
     .n_device = 8,
     .requests = {{8, 6, 0, 5}, {8, 6, 0, 0}, {8, 6, 0, 1}},
     .lines = {"s0 {1:8 2:8 0:8} R[1 2 0] 1", "s1 {1:1 2:1} PRE[0] W[0] R[1 2] 1",
               "s2 {1:1 2:1} W[0] R[1 2] 1", "s3 {1:1 2:1} W[0] R[1 2] 1",
               "s4 {1:1 2:1} W[0] R[1 2] 1", "s5 {1:1} PRE[2] W[2 0] R[1] 3",
               "s6 {2:13 0:9} R[2 0] 0", "s7 {0:1} R[0] 4", "s8 {0:1} R[0] 4",
               "s9 {0:1} R[0] 4", "s10 {0:1} R[0] 3"},
     .ended = "1 2 0"},
    {.name = "H4: two victims in one step keep their order",
     .policies = {BOTH},
     .n_device = 9,
     .requests = {{8, 5, 0, 0}, {8, 5, 0, 0}, {8, 5, 0, 0}, {8, 5, 0, 0}},
     .lines = {"s0 {0:8 1:8 2:8 3:8} R[0 1 2 3] 0", "s1 {0:1 1:1} PRE[2 3] W[2 3] R[0 1] 2",
               "s2 {0:1 1:1} W[2 3] R[0 1] 2", "s3 {0:1 1:1} W[2 3] R[0 1] 2",
               "s4 {0:1 1:1} W[2 3] R[0 1] 2", "s5 {2:9 3:9} R[2 3] 2", "s6 {2:1 3:1} R[2 3] 2",
               "s7 {2:1 3:1} R[2 3] 2", "s8 {2:1 3:1} R[2 3] 2"},
     .ended = "0 1 2 3"},
    {.name = "H5: a long prompt computes no more than the threshold in a step",
     .policies = {"vllm-v1,prefix_cache=off,long_prefill_threshold=4",
                  "vllm-v1,prefix_cache=off,long_prefill_threshold=4,full_isl=off"},
     .n_device = 30,
     .max_batched_tokens = 12,
     .requests = {{10, 2, 0, 0}, {10, 2, 0, 0}, {3, 2, 0, 0}},
     .lines = {"s0 {0:4 1:4 2:3} R[0 1 2] 26", "s1 {0:4 1:4 2:1} R[0 1 2] 24",
               "s2 {0:2 1:2} R[0 1] 23", "s3 {0:1 1:1} R[0 1] 23"},
     .ended = "2 0 1"},
    {.name = "H6: seats are given in order of arrival",
     .policies = {BOTH},
     .n_device = 30,
     .max_seqs = 2,
     .requests = {{4, 2, 0, 0}, {4, 2, 0, 0}, {4, 2, 0, 0}, {4, 2, 0, 0}},
     .lines = {"s0 {0:4 1:4} W[2 3] R[0 1] 27", "s1 {0:1 1:1} W[2 3] R[0 1] 25",
               "s2 {2:4 3:4} R[2 3] 27", "s3 {2:1 3:1} R[2 3] 25"},
     .ended = "0 1 2 3"},
    {.name = "H7: a later request waits behind the preempted ones",
     .policies = {BOTH},
     .n_device = 8,
     .requests = {{8, 6, 0, 0}, {8, 6, 0, 0}, {8, 6, 0, 0}, {2, 6, 2, 0}},
     .lines = {"s0 {0:8 1:8 2:8} R[0 1 2] 1", "s1 {0:1 1:1} PRE[2] W[2] R[0 1] 1",
               "s2 {0:1 1:1} W[2 3] R[0 1] 1", "s3 {0:1 1:1} W[2 3] R[0 1] 1",
               "s4 {0:1 1:1} W[2 3] R[0 1] 1", "s5 {0:1} PRE[1] W[1 2 3] R[0] 3",
               "s6 {1:13 2:9} W[3] R[1 2] 0", "s7 {2:1 3:2} R[2 3] 3", "s8 {2:1 3:1} R[2 3] 3",
               "s9 {2:1 3:1} R[2 3] 3", "s10 {2:1 3:1} R[2 3] 1", "s11 {3:1} R[3] 5",
               "s12 {3:1} R[3] 5"},
     .ended = "0 1 2 3"},
    {.name = "H8: one that outgrows the pool never runs again",
     .policies = {BOTH},
     .n_device = 5,
     .requests = {{8, 30, 0, 0}},
     .lines = {"s0 {0:8} R[0] 2", "s1 {0:1} R[0] 1",  "s2 {0:1} R[0] 1", "s3 {0:1} R[0] 1",
               "s4 {0:1} R[0] 1", "s5 {0:1} R[0] 0",  "s6 {0:1} R[0] 0", "s7 {0:1} R[0] 0",
               "s8 {0:1} R[0] 0", "s9 PRE[0] W[0] 4", "s10 W[0] 4",      "s11 W[0] 4",
               "s12 W[0] 4",      "s13 W[0] 4",       "s14 W[0] 4",      "s15 W[0] 4",
               "s16 W[0] 4",      "s17 W[0] 4",       "s18 W[0] 4",      "s19 W[0] 4"},
     .goes_on = true},
    {.name = "H9 before v0.19: a prompt too long for the pool is computed over and over",
     .policies = {V18},
     .n_device = 5,
     .max_batched_tokens = 8,
     .requests = {{20, 2, 0, 0}},
     .lines = {"s0 {0:8} R[0] 2", "s1 {0:8} R[0] 0", "s2 PRE[0] W[0] 4", "s3 {0:8} R[0] 2",
               "s4 {0:8} R[0] 0", "s5 PRE[0] W[0] 4", "s6 {0:8} R[0] 2", "s7 {0:8} R[0] 0",
               "s8 PRE[0] W[0] 4", "s9 {0:8} R[0] 2", "s10 {0:8} R[0] 0", "s11 PRE[0] W[0] 4"},
     .goes_on = true},
    {.name = "H9 from v0.19: a prompt too long for the pool is never admitted",
     .policies = {V25},
     .n_device = 5,
     .max_batched_tokens = 8,
     .requests = {{20, 2, 0, 0}},
     .lines = {"s0 W[0] 4", "s1 W[0] 4", "s2 W[0] 4", "s3 W[0] 4", "s4 W[0] 4", "s5 W[0] 4",
               "s6 W[0] 4", "s7 W[0] 4", "s8 W[0] 4", "s9 W[0] 4"},
     .goes_on = true},
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
