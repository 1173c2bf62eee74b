/* test_core.c - status texts, histogram, random numbers and name suggestions of base/core. */
#include "histogram.h"
#include "nearest.h"
#include "rng.h"
#include "status.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* after status.h: it makes fail() a macro, so (fail)() is ours */

static uint64_t seed = 1;

/* ---- status ---- */

static void each_status_has_a_text_of_its_own(void **state) {
    (void)state;
    static const status all[] = {
#define X(code, text) code,
        STATUS_LIST(X)
#undef X
    };
    enum { N = sizeof(all) / sizeof(all[0]) };
    assert_int_equal(ST_OK, 0);
    for (size_t i = 0; i < N; i++) {
        assert_true(strlen(status_text(all[i])) > 0);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(status_text(all[i]), status_text(all[j]));
    }
}

static void fail_writes_the_message_and_returns_its_code(void **state) {
    (void)state;
    errbuf err = {0};
    assert_int_equal((fail)(&err, ST_FORMAT, "%s:%d: bad", "a.csv", 7), ST_FORMAT);
    assert_string_equal(err.text, "a.csv:7: bad");
    assert_int_equal((fail)(NULL, ST_IO, "nobody listens"), ST_IO);
}

static void fail_cuts_a_message_that_is_too_long(void **state) {
    (void)state;
    errbuf err;
    memset(&err, 'x', sizeof(err));
    assert_int_equal((fail)(&err, ST_IO, "%*d", 2 * (int)sizeof(err.text), 1), ST_IO);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

/* ---- histogram ---- */

static histogram *new_histogram(void) {
    histogram *h = NULL;
    assert_int_equal(histogram_create(&h), ST_OK);
    return h;
}

static void histogram_of_nothing_is_zero(void **state) {
    (void)state;
    histogram *h = new_histogram();
    histogram_add(h, 5, 0);
    assert_int_equal(histogram_count(h), 0);
    assert_true(histogram_sum(h) == 0);
    assert_true(histogram_mean(h) == 0);
    assert_true(histogram_max(h) == 0);
    assert_true(histogram_quantile(h, 0.5) == 0);
    histogram_destroy(h);
    histogram_destroy(NULL);
}

typedef struct observation {
    double value;
    uint64_t weight;
} observation;

static int by_value(const void *a, const void *b) {
    double x = ((const observation *)a)->value, y = ((const observation *)b)->value;
    return (x > y) - (x < y);
}

/* The smallest value at which at least the share q of the weight is at or below it. */
static double exact_quantile(const observation *sorted, size_t n, uint64_t total, double q) {
    uint64_t seen = 0;
    for (size_t i = 0; i < n; i++) {
        seen += sorted[i].weight;
        if ((double)seen >= q * (double)total) return sorted[i].value;
    }
    return sorted[n - 1].value;
}

/* Values over many powers of two; every third case only a few distinct ones, so that ties and
 * weights matter. */
static observation random_observation(uint64_t round, uint64_t i) {
    double exponent = 60 * rng_uniform(seed, 10 + round, 2 * i) - 30;
    if (round % 3 == 0) exponent = floor(exponent / 10);
    uint64_t weight = 1 + rng_bits(seed, 10 + round, 2 * i + 1) % (round % 2 ? 1 : 1000);
    return (observation){exp2(exponent), weight};
}

static void histogram_quantiles_are_within_a_thousandth(void **state) {
    (void)state;
    static const double shares[] = {0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    static observation all[5000];
    for (uint64_t round = 0; round < 30; round++) {
        size_t n = 1 + rng_bits(seed, 1, round) % 5000;
        histogram *h = new_histogram();
        uint64_t total = 0;
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            all[i] = random_observation(round, i);
            histogram_add(h, all[i].value, all[i].weight);
            total += all[i].weight;
            sum += all[i].value * (double)all[i].weight;
        }
        qsort(all, n, sizeof(all[0]), by_value);
        assert_int_equal(histogram_count(h), total);
        assert_true(histogram_sum(h) == sum);
        assert_true(histogram_mean(h) == sum / (double)total);
        assert_true(histogram_max(h) == all[n - 1].value);
        for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
            double want = exact_quantile(all, n, total, shares[i]);
            double got = histogram_quantile(h, shares[i]);
            assert_true(fabs(got - want) <= want * 0.001);
            assert_true(got <= histogram_max(h));
        }
        histogram_destroy(h);
    }
}

static void histogram_keeps_values_beyond_its_range_in_its_end_buckets(void **state) {
    (void)state;
    histogram *h = new_histogram();
    histogram_add(h, 0, 3);
    histogram_add(h, -2, 1);
    histogram_add(h, 1e-20, 1);
    assert_true(histogram_quantile(h, 0.5) == 0);
    assert_true(histogram_max(h) == 1e-20);
    histogram_add(h, 1e30, 5);
    assert_int_equal(histogram_count(h), 10);
    assert_true(histogram_max(h) == 1e30);
    assert_true(histogram_quantile(h, 0.5) == 0);
    assert_true(histogram_quantile(h, 1) > 0x1p39);
    assert_true(histogram_quantile(h, 1) <= 1e30);
    histogram_destroy(h);
}

/* ---- random numbers ---- */

enum { N_DRAWS = 200000 };

/* Bounds below are six standard errors: one false alarm in 5e8 checks of a fair generator. */
static void assert_near(double got, double want, double standard_error) {
    if (fabs(got - want) > 6 * standard_error) {
        print_error("got %g, expected %g within %g\n", got, want, 6 * standard_error);
        fail();
    }
}

static void uniform_draws_have_the_moments_of_a_uniform(void **state) {
    (void)state;
    double sum = 0, squares = 0, neighbours = 0, streams = 0, seeds = 0;
    for (uint64_t i = 0; i < N_DRAWS; i++) {
        double u = rng_uniform(seed, 3, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
        squares += u * u;
        neighbours += (u - 0.5) * (rng_uniform(seed, 3, i + 1) - 0.5);
        streams += (u - 0.5) * (rng_uniform(seed, 4, i) - 0.5);
        seeds += (u - 0.5) * (rng_uniform(seed + 1, 3, i) - 0.5);
    }
    double n = N_DRAWS, root = sqrt(n);
    assert_near(sum / n, 0.5, sqrt(1.0 / 12) / root);
    assert_near(squares / n, 1.0 / 3, sqrt(4.0 / 45) / root);
    assert_near(neighbours / n, 0, 1.0 / 12 / root);
    assert_near(streams / n, 0, 1.0 / 12 / root);
    assert_near(seeds / n, 0, 1.0 / 12 / root);
}

static void normal_draws_have_mean_0_variance_1_and_a_bound(void **state) {
    (void)state;
    double sum = 0, squares = 0, cubes = 0;
    for (uint64_t i = 0; i < N_DRAWS; i++) {
        double z = rng_normal(seed, 5, i);
        assert_true(fabs(z) <= 3.47);
        sum += z;
        squares += z * z;
        cubes += z * z * z;
    }
    /* A sum of four uniforms has the fourth moment 3 - 1.2 / 4 = 2.7 and the sixth below 15. */
    double n = N_DRAWS, root = sqrt(n);
    assert_near(sum / n, 0, 1 / root);
    assert_near(squares / n, 1, sqrt(2.7 - 1) / root);
    assert_near(cubes / n, 0, sqrt(15) / root);
}

static void a_draw_does_not_depend_on_the_draws_before_it(void **state) {
    (void)state;
    enum { N = 1000 };
    uint64_t forward[N];
    for (uint64_t i = 0; i < N; i++) forward[i] = rng_bits(seed, 6, i);
    for (uint64_t i = N; i-- > 0;) {
        (void)rng_bits(seed, 7, i);
        assert_int_equal(rng_bits(seed, 6, i), forward[i]);
    }
}

static int by_bits(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void near_seeds_streams_and_indices_do_not_collide(void **state) {
    (void)state;
    enum { SIDE = 32, N = SIDE * SIDE * SIDE };
    static uint64_t bits[N];
    size_t n = 0;
    for (uint64_t s = 0; s < SIDE; s++)
        for (uint64_t stream = 0; stream < SIDE; stream++)
            for (uint64_t i = 0; i < SIDE; i++) bits[n++] = rng_bits(s, stream, i);
    qsort(bits, N, sizeof(bits[0]), by_bits);
    for (size_t i = 1; i < N; i++) assert_int_not_equal(bits[i - 1], bits[i]);
}

/* ---- name suggestions ---- */

static const char *const names[] = {"replay", "compare", "trace", "rate", "policies"};
enum { N_NAMES = sizeof(names) / sizeof(names[0]) };

static void nearest_name_mends_small_slips(void **state) {
    (void)state;
    assert_string_equal(nearest_name("replay", names, N_NAMES), "replay");
    assert_string_equal(nearest_name("repaly", names, N_NAMES), "replay");
    assert_string_equal(nearest_name("compre", names, N_NAMES), "compare");
    assert_string_equal(nearest_name("traces", names, N_NAMES), "trace");
    assert_string_equal(nearest_name("policy", names, N_NAMES), "policies");
}

static void nearest_name_prefers_the_earlier_of_equals(void **state) {
    (void)state;
    static const char *const twins[] = {"cat", "car"};
    assert_string_equal(nearest_name("cab", twins, 2), "cat");
}

static void nearest_name_suggests_nothing_absurd(void **state) {
    (void)state;
    char long_word[500];
    memset(long_word, 'r', sizeof(long_word));
    long_word[sizeof(long_word) - 1] = '\0';
    assert_null(nearest_name("xyzzy", names, N_NAMES));
    assert_null(nearest_name("plan", names, N_NAMES)); /* three of four letters from replay */
    assert_null(nearest_name("", names, N_NAMES));
    assert_null(nearest_name(long_word, names, N_NAMES));
    assert_null(nearest_name("replay", names, 0));
}

int main(void) {
    const char *text = getenv("SEED");
    if (text) seed = strtoull(text, NULL, 10);
    printf("SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_status_has_a_text_of_its_own),
        cmocka_unit_test(fail_writes_the_message_and_returns_its_code),
        cmocka_unit_test(fail_cuts_a_message_that_is_too_long),
        cmocka_unit_test(histogram_of_nothing_is_zero),
        cmocka_unit_test(histogram_quantiles_are_within_a_thousandth),
        cmocka_unit_test(histogram_keeps_values_beyond_its_range_in_its_end_buckets),
        cmocka_unit_test(uniform_draws_have_the_moments_of_a_uniform),
        cmocka_unit_test(normal_draws_have_mean_0_variance_1_and_a_bound),
        cmocka_unit_test(a_draw_does_not_depend_on_the_draws_before_it),
        cmocka_unit_test(near_seeds_streams_and_indices_do_not_collide),
        cmocka_unit_test(nearest_name_mends_small_slips),
        cmocka_unit_test(nearest_name_prefers_the_earlier_of_equals),
        cmocka_unit_test(nearest_name_suggests_nothing_absurd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
