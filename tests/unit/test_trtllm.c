/* test_trtllm.c - the two policies after TensorRT-LLM on examples worked by hand: upstream was
 * read, not run. The notation is scenario.h's; blocks hold 4 tokens. */
#include "scenario.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NO_EVICT "trtllm-no-evict"
#define MAX_UTIL "trtllm-max-utilization"

static const scenario scenarios[] = {
    /* Each needs 4 blocks for its 8 + 6 tokens: the third finds 1 of 9 that is not reserved,
     * although 5 are free. */
    {.name = "no-evict: blocks are kept for those who run until their limit",
     .policies = {NO_EVICT},
     .n_device = 9,
     .requests = {{8, 6, 0, 0}, {8, 6, 0, 0}, {8, 6, 0, 0}},
     .lines = {"s0 {0:8 1:8} W[2] R[0 1] 5", "s1 {0:1 1:1} W[2] R[0 1] 3",
               "s2 {0:1 1:1} W[2] R[0 1] 3", "s3 {0:1 1:1} W[2] R[0 1] 3",
               "s4 {0:1 1:1} W[2] R[0 1] 3", "s5 {0:1 1:1} W[2] R[0 1] 1", "s6 {2:8} R[2] 7",
               "s7 {2:1} R[2] 6", "s8 {2:1} R[2] 6", "s9 {2:1} R[2] 6", "s10 {2:1} R[2] 6",
               "s11 {2:1} R[2] 5"},
     .ended = "0 1 2"},
    {.name = "no-evict: nobody overtakes the first who finds no room",
     .policies = {NO_EVICT},
     .n_device = 5,
     .requests = {{8, 6, 0, 0}, {8, 6, 0, 0}, {2, 2, 0, 0}},
     .lines = {"s0 {0:8} W[1 2] R[0] 3", "s1 {0:1} W[1 2] R[0] 2", "s2 {0:1} W[1 2] R[0] 2",
               "s3 {0:1} W[1 2] R[0] 2", "s4 {0:1} W[1 2] R[0] 2", "s5 {0:1} W[1 2] R[0] 1",
               "s6 {1:8 2:2} R[1 2] 2", "s7 {1:1 2:1} R[1 2] 1", "s8 {1:1} R[1] 2",
               "s9 {1:1} R[1] 2", "s10 {1:1} R[1] 2", "s11 {1:1} R[1] 1"},
     .ended = "0 2 1"},
    /* Each needs 3 blocks for its 8 + 2 tokens: in s1 the first holds 2 and 3 are free, but one
     * of them is reserved. */
    {.name = "no-evict: who is not through with its prompt reserves, too",
     .policies = {NO_EVICT},
     .n_device = 5,
     .max_batched_tokens = 6,
     .requests = {{8, 2, 0, 0}, {8, 2, 0, 0}},
     .lines = {"s0 {0:6} W[1] R[0] 3", "s1 {0:2} W[1] R[0] 3", "s2 {0:1} W[1] R[0] 2",
               "s3 {1:6} R[1] 3", "s4 {1:2} R[1] 3", "s5 {1:1} R[1] 2"},
     .ended = "0 1"},
    {.name = "max-utilization: the last one goes and is computed anew",
     .policies = {MAX_UTIL},
     .n_device = 7,
     .requests = {{8, 6, 0, 0}, {8, 6, 0, 0}, {8, 6, 0, 0}},
     .lines = {"s0 {0:8 1:8 2:8} R[0 1 2] 1", "s1 {0:1 1:1} PRE[2] W[2] R[0 1] 1",
               "s2 {0:1 1:1} W[2] R[0 1] 1", "s3 {0:1 1:1} W[2] R[0 1] 1",
               "s4 {0:1 1:1} W[2] R[0 1] 1", "s5 {0:1} PRE[1] W[1 2] R[0] 3",
               "s6 {1:13 2:9} R[1 2] 0", "s7 {2:1} R[2] 4", "s8 {2:1} R[2] 4",
               "s9 {2:1} R[2] 4", "s10 {2:1} R[2] 3"},
     .ended = "0 1 2"},
    {.name = "max-utilization: the first chunk takes the blocks of the whole prompt",
     .policies = {MAX_UTIL},
     .n_device = 7,
     .max_batched_tokens = 8,
     .requests = {{10, 5, 0, 0}, {10, 5, 0, 0}, {10, 5, 0, 0}},
     .lines = {"s0 {0:8} W[1 2] R[0] 4", "s1 {0:2 1:6} W[2] R[0 1] 1",
               "s2 {0:1 1:4} W[2] R[0 1] 1", "s3 {0:1 1:1} W[2] R[0 1] 1",
               "s4 {0:1 1:1} W[2] R[0 1] 0", "s5 {0:1} PRE[1] W[1 2] R[0] 3",
               "s6 {1:8} W[2] R[1] 3", "s7 {1:5 2:3} R[1 2] 0", "s8 {1:1 2:7} R[1 2] 0",
               "s9 {2:1} R[2] 4", "s10 {2:1} R[2] 4", "s11 {2:1} R[2] 3", "s12 {2:1} R[2] 3"},
     .ended = "0 1 2"},
    {.name = "a limit is cut to what the pool holds, a prompt that fills it is ignored",
     .policies = {NO_EVICT, MAX_UTIL},
     .n_device = 2,
     .requests = {{8, 2, 0, 0}, {5, 30, 0, 0}, {9, 1, 0, 0}},
     .lines = {"s0 {1:5} R[1] 0", "s1 {1:1} R[1] 0", "s2 {1:1} R[1] 0"},
     .ended = "0 2 1"},
    {.name = "seats are given in order of arrival",
     .policies = {NO_EVICT, MAX_UTIL},
     .n_device = 30,
     .max_seqs = 2,
     .requests = {{4, 2, 0, 0}, {4, 2, 0, 0}, {4, 2, 0, 0}, {4, 2, 0, 0}},
     .lines = {"s0 {0:4 1:4} W[2 3] R[0 1] 28", "s1 {0:1 1:1} W[2 3] R[0 1] 26",
               "s2 {2:4 3:4} R[2 3] 28", "s3 {2:1 3:1} R[2 3] 26"},
     .ended = "0 1 2 3"},
};

static void decides_as_worked_by_hand(void **state) {
    errbuf err = {0};
    if (scenario_check(*state, &err) != ST_OK) fail_msg("%s", err.text);
}

int main(void) {
    enum { N = sizeof(scenarios) / sizeof(scenarios[0]) };
    struct CMUnitTest tests[N];
    for (int i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){.name = scenarios[i].name,
                                       .test_func = decides_as_worked_by_hand,
                                       .initial_state = (void *)&scenarios[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
