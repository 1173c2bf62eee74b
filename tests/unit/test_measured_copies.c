/* test_measured_copies.c - what is read off samples of copies, and what stands in for those
 * that are not there. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "measured_copies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static double analytic_s(void *context, link_direction direction, double n_bytes,
                         uint32_t n_segments, bool beside_compute) {
    (void)context, (void)direction;
    assert_false(beside_compute);
    return 1e-3 + n_bytes * 1e-9 + n_segments * 1e-6;
}

static double analytic_slowdown(void *context) {
    (void)context;
    return 1.25;
}

static const latency_source analytic = {.copy_s = analytic_s,
                                        .copy_slowdown = analytic_slowdown};

static sample copy(operation op, double bytes, uint32_t n_segments, bool other, bool beside,
                   double seconds) {
    return (sample){.op = op,
                    .tp = 1,
                    .bytes = bytes,
                    .n_segments = n_segments,
                    .other_direction_busy = other,
                    .compute_busy = beside,
                    .seconds = seconds,
                    .n_repeats = 1};
}

static measured_copies *made(const sample *samples, size_t n) {
    measured_copies *m = NULL;
    assert_int_equal(measured_copies_create(&m, &analytic, (sample_list){samples, n}), ST_OK);
    return m;
}

static void assert_near(double got, double wanted) {
    if (fabs(got - wanted) > 1e-9 * fabs(wanted)) fail_msg("%g, not %g", got, wanted);
}

static void each_load_is_read_off_its_own_samples(void **state) {
    (void)state;
    const sample samples[] = {
        copy(OP_SWAP_OUT, 1e6, 1, false, false, 1e-3),
        copy(OP_SWAP_OUT, 3e6, 1, false, false, 3e-3),
        copy(OP_SWAP_OUT, 2e6, 11, false, false, 2e-3 + 10 * 5e-6),
        copy(OP_SWAP_OUT, 3e6, 11, false, false, 3e-3 + 10 * 7e-6),
        copy(OP_SWAP_OUT, 3e6, 5, false, false, 3e-3 + 4 * 9e-6),
        copy(OP_SWAP_OUT, 2e6, 1, true, false, 2e-3 * 1.5),
        copy(OP_SWAP_OUT, 2e6, 1, false, true, 2e-3 * 1.2),
        copy(OP_SWAP_OUT, 2e6, 1, true, true, 9), /* of both loads: read by nobody */
    };
    measured_copies *m = made(samples, sizeof(samples) / sizeof(samples[0]));
    assert_near(measured_copies_s(m, LINK_TO_HOST, 2e6, 1, false), 2e-3);
    assert_near(measured_copies_s(m, LINK_TO_HOST, 2e6, 3, false), 2e-3 + 2 * 7e-6);
    assert_near(measured_copies_s(m, LINK_TO_HOST, 2e6, 1, true), 2.4e-3);
    assert_near(measured_copies_slowdown(m), 1.5);
    /* The other direction was not measured. */
    assert_near(measured_copies_s(m, LINK_TO_DEVICE, 2e6, 1, true), 1e-3 + 2e-3 + 1e-6);
    measured_copies_destroy(m);
}

static void what_was_not_measured_is_analytic(void **state) {
    (void)state;
    const sample single = copy(OP_SWAP_IN, 1e6, 1, false, false, 4e-3);
    measured_copies *m = made(&single, 1);
    assert_near(measured_copies_s(m, LINK_TO_DEVICE, 1e6, 1, true), 4e-3);
    assert_near(measured_copies_s(m, LINK_TO_DEVICE, 1e6, 6, false), 4e-3 + 5e-6);
    assert_near(measured_copies_slowdown(m), 1.25);
    measured_copies_destroy(m);
    m = made(NULL, 0);
    assert_near(measured_copies_s(m, LINK_TO_HOST, 1e6, 2, false), 1e-3 + 1e-3 + 2e-6);
    measured_copies_destroy(m);
}

/* Noise must not make copies faster the more goes on. */
static void loads_never_speed_up_the_link(void **state) {
    (void)state;
    const sample samples[] = {copy(OP_SWAP_IN, 1e6, 1, false, false, 1e-3),
                              copy(OP_SWAP_IN, 1e6, 9, false, false, 0.9e-3),
                              copy(OP_SWAP_IN, 1e6, 1, true, false, 0.9e-3)};
    measured_copies *m = made(samples, 3);
    assert_near(measured_copies_s(m, LINK_TO_DEVICE, 1e6, 9, false), 1e-3);
    assert_near(measured_copies_slowdown(m), 1);
    measured_copies_destroy(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_load_is_read_off_its_own_samples),
        cmocka_unit_test(what_was_not_measured_is_analytic),
        cmocka_unit_test(loads_never_speed_up_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
