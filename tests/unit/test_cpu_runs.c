/* test_cpu_runs.c - whole runs of the CPU engine say what a plain loop says. */
#include "cpu_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { N_REQUESTS = 6 };

/* All at once, so that those who fit at first outgrow the pool later. */
static void fill_requests(request *requests, uint32_t *n_outputs) {
    for (uint32_t i = 0; i < N_REQUESTS; i++) {
        requests[i] = (request){.id = i, .n_prompt = 3 + 2 * i, .n_output_max = 30};
        n_outputs[i] = 30 - 2 * i;
    }
}

static void assert_same_outputs(const cpu_outcome *a, const cpu_outcome *b) {
    assert_int_equal(a->n_finished, b->n_finished);
    for (uint32_t i = 0; i < N_REQUESTS; i++) {
        assert_int_equal(a->outputs[i].n, b->outputs[i].n);
        if (a->outputs[i].n > 0)
            assert_memory_equal(a->outputs[i].tokens, b->outputs[i].tokens,
                                a->outputs[i].n * sizeof(uint32_t));
    }
}

static void check_run(const char *policy_text, uint32_t n_device, bool stops_at_eos,
                      bool is_tight) {
    request requests[N_REQUESTS];
    uint32_t n_outputs[N_REQUESTS];
    fill_requests(requests, n_outputs);
    cpu_case c = cpu_case_defaults(policy_text);
    model *m = cpu_rig_model(ARCH_QWEN3, 2);
    c.engine.model = m;
    c.engine.common.stops_at_eos = stops_at_eos;
    c.config.n_device_blocks = n_device;
    c.config.n_host_blocks = 64;
    c.requests = requests;
    c.n_outputs = n_outputs;
    c.n_requests = N_REQUESTS;
    cpu_outcome run = cpu_run(&c), alone = cpu_run_alone(&c);
    if (run.result != ST_OK) fail_msg("%s: %s", policy_text, run.err.text);
    assert_int_equal(run.n_finished, N_REQUESTS);
    assert_same_outputs(&run, &alone);
    assert_int_equal(run.n_preempted > 0, is_tight);
    cpu_outcome_finish(&run, N_REQUESTS);
    cpu_outcome_finish(&alone, N_REQUESTS);
    model_close(m);
}

static void test_roomy_run_says_what_each_request_says_alone(void **state) {
    (void)state;
    check_run("vllm-v1", 200, false, false);
}

static void test_swapped_run_says_what_each_request_says_alone(void **state) {
    (void)state;
    check_run("vllm-v0-swap", 20, false, true);
}

static void test_recomputed_run_says_what_each_request_says_alone(void **state) {
    (void)state;
    check_run("vllm-v0-recompute", 20, false, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roomy_run_says_what_each_request_says_alone),
        cmocka_unit_test(test_swapped_run_says_what_each_request_says_alone),
        cmocka_unit_test(test_recomputed_run_says_what_each_request_says_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
