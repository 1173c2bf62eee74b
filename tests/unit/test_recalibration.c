/* Follows a device that slows down, and stays calm when nothing happens. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "recalibration.h"
#include "rng.h"

#include <cmocka.h>

static const double NOISE = 0.005;

static double noisy(double s, uint64_t i) {
    return s * (1 + NOISE * rng_normal(11, 1, i));
}

static double predicted(uint64_t i) {
    return 0.005 + 0.02 * rng_uniform(11, 2, i);
}

static void noise_alone_is_no_drift(void **state) {
    (void)state;
    recalibration r;
    recalibration_init(&r, NOISE);
    for (uint64_t i = 0; i < 200000; i++) {
        recalibration_observe(&r, predicted(i), noisy(predicted(i), i));
        if (i > 100) assert_true(fabs(r.scale - 1) < 0.006);
    }
    assert_int_equal(r.n_drifts, 0);
}

static void a_slowdown_is_found_and_followed(void **state) {
    (void)state;
    for (int percent = -30; percent <= 30; percent += 10) {
        if (percent == 0) continue;
        double slower = 1 + percent / 100.0;
        recalibration r;
        recalibration_init(&r, NOISE);
        for (uint64_t i = 0; i < 1000; i++)
            recalibration_observe(&r, predicted(i), noisy(predicted(i), i));
        uint64_t settled = 0;
        for (uint64_t i = 1000; i < 1200; i++) {
            recalibration_observe(&r, predicted(i), noisy(predicted(i) * slower, i));
            if (fabs(r.scale / slower - 1) > 0.02) settled = i - 999;
        }
        assert_true(settled <= 10); /* the aim is 200 */
        assert_true(r.n_drifts >= 1 && r.n_drifts <= 2);
    }
}

static void a_slow_drift_is_followed(void **state) {
    (void)state;
    recalibration r;
    recalibration_init(&r, NOISE);
    for (uint64_t i = 0; i < 4000; i++) {
        double slower = 1 + 0.2 * (double)i / 4000;
        recalibration_observe(&r, predicted(i), noisy(predicted(i) * slower, i));
        if (i > 50) assert_true(fabs(r.scale / slower - 1) < 0.02);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_alone_is_no_drift),
        cmocka_unit_test(a_slowdown_is_found_and_followed),
        cmocka_unit_test(a_slow_drift_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
