/* test_solo.c - the prefix sums of solo times against a loop over every iteration. */
#include "rng.h"
#include "sim_rig.h"
#include "solo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const plain_latency plain = {.iteration_s = 1e-3,
                                    .sampled_s = 1e-4,
                                    .token_s = 1e-5,
                                    .kv_token_s = 1e-7,
                                    .pair_s = 1e-8,
                                    .copy_slowdown = 1};

/* Chunk after chunk, then token after token, each timed by the source. */
static double loop_s(const latency_source *l, uint32_t budget, uint32_t n_prompt,
                     uint32_t n_output) {
    double s = 0;
    for (uint32_t at = 0; at < n_prompt; at += budget) {
        uint32_t left = n_prompt - at;
        batch_shape b = {0};
        batch_shape_add_chunk(&b, at, left < budget ? left : budget, left <= budget);
        s += l->iteration_s(l->context, &b);
    }
    for (uint32_t i = 1; i < n_output; i++) {
        batch_shape b = {0};
        batch_shape_add_decodes(&b, 1, n_prompt + i, n_prompt + i);
        s += l->iteration_s(l->context, &b);
    }
    return s;
}

static void assert_is_loop(solo_times *t, uint32_t budget, uint32_t n_prompt,
                           uint32_t n_output) {
    latency_source l = plain_latency_source(&plain);
    double s, expected = loop_s(&l, budget, n_prompt, n_output);
    assert_int_equal(solo_service_s(t, &s, n_prompt, n_output), ST_OK);
    /* Differences of long sums: 1e-12 of 1e4 s is far below a nanosecond of a request. */
    if (fabs(s - expected) > 1e-9 + 1e-12 * expected)
        fail_msg("%u + %u tokens, budget %u: %.12g s, not %.12g", n_prompt, n_output, budget, s,
                 expected);
}

static void every_small_request_takes_what_the_loop_says(void **state) {
    (void)state;
    latency_source l = plain_latency_source(&plain);
    for (uint32_t budget = 1; budget <= 9; budget += 4) {
        solo_times *t;
        assert_int_equal(solo_times_create(&t, &l, budget), ST_OK);
        for (uint32_t n_prompt = 1; n_prompt <= 30; n_prompt++)
            for (uint32_t n_output = 1; n_output <= 30; n_output++)
                assert_is_loop(t, budget, n_prompt, n_output);
        solo_times_destroy(t);
    }
}

static void long_requests_in_any_order_take_what_the_loop_says(void **state) {
    (void)state;
    const char *text = getenv("SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : 1;
    printf("SEED=%llu\n", (unsigned long long)seed);
    latency_source l = plain_latency_source(&plain);
    solo_times *t;
    assert_int_equal(solo_times_create(&t, &l, 512), ST_OK);
    for (uint64_t i = 0; i < 300; i++)
        assert_is_loop(t, 512, 1 + (uint32_t)(rng_bits(seed, 1, i) % 20000),
                       1 + (uint32_t)(rng_bits(seed, 2, i) % 5000));
    solo_times_destroy(t);
}

static void a_run_with_one_request_takes_its_solo_time(void **state) {
    (void)state;
    request alone = {.arrival_ns = 5000000, .n_prompt = 100, .n_output_max = 50};
    uint32_t n_output = 40;
    sim_case c = sim_case_defaults("vllm-v1");
    c.config.n_device_blocks = 100;
    c.config.max_batched_tokens = 64;
    c.latency.sampled_s = 1e-3; /* by the last chunk of the prompt alone */
    c.requests = &alone;
    c.n_outputs = &n_output;
    c.n_requests = 1;
    sim_outcome o = sim_run(&c);
    assert_int_equal(o.result, ST_OK);
    const request_result *r = &o.requests[0];
    /* Each of the 41 iterations is rounded to a nanosecond. */
    assert_true(fabs(r->finish_s - r->arrival_s - r->solo_s) < 41e-9);
    sim_outcome_finish(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_small_request_takes_what_the_loop_says),
        cmocka_unit_test(long_requests_in_any_order_take_what_the_loop_says),
        cmocka_unit_test(a_run_with_one_request_takes_its_solo_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
