/* test_length_estimate.c - estimates against the distributions that the lengths were drawn
 * from, and against sums over single tokens.
 *
 * SEED (default 1) changes all draws. Tolerances are at least four standard deviations of the
 * draws, or the stated width of a bucket. Calls of calloc come here (--wrap, see meson.build),
 * to be refused. */
#include "length_estimate.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "rng.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { PROMPT = 100, DRAWN_MAX = 4096 };

static uint64_t seed = 1;
static bool refuse_calloc;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size) {
    return refuse_calloc ? NULL : __real_calloc(n, size);
}

static length_estimate *make(uint32_t n_output_limit) {
    length_estimate *e = NULL;
    assert_int_equal(length_estimate_create(&e, n_output_limit), ST_OK);
    return e;
}

static void report_running(length_estimate *e, uint32_t n_prompt, uint32_t n_output) {
    for (uint32_t b = 0; b <= length_bucket(n_output); b++)
        length_estimate_reached(e, n_prompt, b);
}

static void report_finished(length_estimate *e, uint32_t n_prompt, uint32_t n_output) {
    report_running(e, n_prompt, n_output - 1);
    length_estimate_finished(e, n_prompt, n_output);
}

/* A length that ends at each token with the probability 1 / mean, at the latest at DRAWN_MAX.
 */
static uint32_t draw_geometric(double mean, uint64_t stream, uint64_t i) {
    double u = 1 - rng_uniform(seed, stream, i);
    double length = 1 + floor(log(u) / log1p(-1 / mean));
    return length < DRAWN_MAX ? (uint32_t)length : DRAWN_MAX;
}

static void expect_near(double value, double truth, double share) {
    if (!(fabs(value - truth) <= share * fabs(truth)))
        fail_msg("%g, expected %g within %g %%, SEED=%llu", value, truth, 100 * share,
                 (unsigned long long)seed);
}

static void expect_off(double value, double truth, double share) {
    if (!(fabs(value - truth) > share * fabs(truth)))
        fail_msg("%g is not off %g by %g %%", value, truth, 100 * share);
}

static void buckets_cut_all_counts_in_steps_of_a_third_of_an_octave(void **state) {
    (void)state;
    static const uint32_t first[] = {0,  1,  2,  3,  4,  5,  6,  8,  10,
                                     13, 16, 20, 25, 32, 40, 51, 64, 81};
    for (uint32_t b = 0; b < sizeof(first) / sizeof(first[0]); b++)
        assert_int_equal(length_bucket_start(b), first[b]);
    for (uint32_t b = 0; b < LENGTH_N_BUCKETS; b++) {
        uint32_t start = length_bucket_start(b);
        assert_int_equal(length_bucket(start), b);
        if (b > 0) assert_int_equal(length_bucket(start - 1), b - 1);
        if (b > 30) expect_near((double)start / length_bucket_start(b - 1), cbrt(2), 1e-3);
    }
    assert_int_equal(length_bucket(1 << 20), 58);
    assert_int_equal(length_bucket(UINT32_MAX), LENGTH_N_BUCKETS - 1);
}

static void before_any_finished_all_buckets_are_equally_probable(void **state) {
    (void)state;
    length_estimate *e = make(64); /* 16 buckets */
    for (uint32_t n_prompt = 1; n_prompt < 1u << 20; n_prompt *= 4)
        for (uint32_t b = 0; b < 16; b++)
            expect_near(length_estimate_ends_within(e, n_prompt, 0, length_bucket_start(b + 1)),
                        (b + 1) / 16.0, 1e-12);
    length_estimate_destroy(e);
}

static void a_constant_hazard_gives_constant_estimates(void **state) {
    (void)state;
    length_estimate *e = make(8192);
    for (uint32_t i = 0; i < 100000; i++) report_finished(e, PROMPT, draw_geometric(200, 1, i));
    /* Few end in the first buckets: from 10 tokens on. */
    for (uint32_t b = length_bucket(10); length_bucket_start(b) <= 400; b++) {
        uint32_t n = length_bucket_start(b);
        expect_near(length_estimate_remaining(e, PROMPT, n, 8192), 200, 0.1);
        expect_near(length_estimate_index(e, PROMPT, n, 1e7, 0) * 1e7, 1.0 / 200, 0.15);
    }
    /* Lengths spread evenly over a bucket have a hazard that rises to its end. */
    for (uint32_t n = 10; n <= 400; n++) {
        expect_near(length_estimate_remaining(e, PROMPT, n, 8192), 200, 0.15);
        expect_near(length_estimate_index(e, PROMPT, n, 1e7, 0) * 1e7, 1.0 / 200, 0.35);
    }
    expect_near(length_estimate_remaining(e, PROMPT, 0, 100), 200 * (1 - exp(-0.5)), 0.02);
    length_estimate_destroy(e);
}

static void uniform_lengths_are_more_urgent_the_further_they_are(void **state) {
    (void)state;
    length_estimate *e = make(1000);
    for (uint32_t i = 0; i < 20000; i++)
        report_finished(e, PROMPT, 1 + (uint32_t)(rng_uniform(seed, 2, i) * 1000));
    double before = 0;
    for (uint32_t n = 0; n < 950; n += 50) {
        expect_near(length_estimate_remaining(e, PROMPT, n, 1000), (1001 - n) / 2.0, 0.06);
        double index = length_estimate_index(e, PROMPT, n, 1e7, 0);
        assert_true(index > before);
        before = index;
    }
    length_estimate_destroy(e);
}

/* Log-uniform on [1, 100000]: E[L - a | L > a] = (m - a) / ln(m / a) - a. */
static void a_heavy_tail_has_the_more_to_come_the_more_came(void **state) {
    (void)state;
    const double m = 100000;
    length_estimate *e = make(1 << 18);
    for (uint32_t i = 0; i < 20000; i++)
        report_finished(e, PROMPT, (uint32_t)exp(rng_uniform(seed, 3, i) * log(m)));
    double remaining_before = 0, index_before = INFINITY;
    for (uint32_t a = 10; a <= 10000; a *= 5) {
        double remaining = length_estimate_remaining(e, PROMPT, a, 1 << 18);
        double index = length_estimate_index(e, PROMPT, a, 1e7, 0);
        expect_near(remaining, (m - a) / log(m / a) - a, 0.1);
        assert_true(remaining > remaining_before);
        assert_true(index < index_before);
        remaining_before = remaining;
        index_before = index;
    }
    length_estimate_destroy(e);
}

/* Mean length 300, all started together, now at their 208th token: half of them ended. */
static void half_that_still_run_do_not_make_lengths_look_short(void **state) {
    (void)state;
    enum { N = 4000, NOW = 208 };
    length_estimate *e = make(4096);
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < N; i++)
        if (draw_geometric(300, 4, i) > NOW) report_running(e, PROMPT, NOW);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t length = draw_geometric(300, 4, i);
        if (length > NOW) continue;
        report_finished(e, PROMPT, length);
        sum += length;
        n++;
    }
    expect_near(n, N / 2, 0.1);
    /* What none has come to cannot be known: compared up to 200 tokens. */
    double truth = 300 * (1 - exp(-200.0 / 300));
    expect_off(sum / n, truth, 0.3);
    expect_near(length_estimate_remaining(e, PROMPT, 0, 200), truth, 0.05);
    for (uint32_t until = 25; until <= 200; until += 25)
        expect_near(length_estimate_ends_within(e, PROMPT, 0, until), 1 - exp(-(until / 300.0)),
                    0.25);
    length_estimate_destroy(e);
}

/* Mean length 300, all started together, now in the middle of the bucket [203, 256). */
static void half_of_a_bucket_tells_half_of_its_hazard(void **state) {
    (void)state;
    enum { N = 40000, NOW = 229 };
    length_estimate *e = make(4096);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t length = draw_geometric(300, 11, i);
        if (length > NOW)
            report_running(e, PROMPT, NOW);
        else
            report_finished(e, PROMPT, length);
    }
    /* The estimates are up to 5 % of the finished ones behind. */
    for (uint32_t i = 0; i < N / 20; i++) report_finished(e, 1 << 20, 1);
    expect_near(length_estimate_ends_within(e, PROMPT, 203, 53), 1 - exp(-53.0 / 300), 0.15);
    length_estimate_destroy(e);
}

/* Mean length 300, started one after another over 478 tokens' time: half of them ended. */
static void half_of_an_arriving_stream_tells_the_mean_length(void **state) {
    (void)state;
    enum { N = 4000, NOW = 478 };
    length_estimate *e = make(1024);
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t length = draw_geometric(300, 5, i), age = i * NOW / N;
        if (length > age) {
            report_running(e, PROMPT, age);
            continue;
        }
        report_finished(e, PROMPT, length);
        sum += length;
        n++;
    }
    expect_near(n, N / 2, 0.1);
    double truth = 300 * (1 - exp(-1024.0 / 300));
    expect_off(sum / n, truth, 0.5);
    expect_near(length_estimate_remaining(e, PROMPT, 0, 1024), truth, 0.15);
    length_estimate_destroy(e);
}

/* Means of 50 and 795. The prior's share of a long tail is left out by own limits. */
static void a_class_of_prompts_borrows_until_it_has_samples(void **state) {
    (void)state;
    enum { SHORT = 20, LONG = 2000, NEW = 300 };
    length_estimate *e = make(8192);
    for (uint32_t i = 0; i < 2000; i++) report_finished(e, SHORT, draw_geometric(50, 6, i));
    /* Nobody else finished: what the others have is the pooled estimate. */
    double pooled = length_estimate_remaining(e, NEW, 0, 400);
    expect_near(pooled, 50, 0.15);
    assert_true(length_estimate_remaining(e, LONG, 0, 400) == pooled);
    for (uint32_t i = 0; i < 30; i++) report_finished(e, LONG, draw_geometric(800, 7, i));
    for (uint32_t i = 0; i < 200; i++) report_finished(e, SHORT, draw_geometric(50, 8, i));
    assert_true(length_estimate_remaining(e, LONG, 0, 4096) >
                3 * length_estimate_remaining(e, NEW, 0, 4096));
    for (uint32_t i = 0; i < 2000; i++) report_finished(e, LONG, draw_geometric(800, 9, i));
    expect_near(length_estimate_remaining(e, LONG, 0, 4096), 795, 0.15);
    expect_near(length_estimate_remaining(e, SHORT, 0, 400), 50, 0.15);
    expect_near(length_estimate_remaining(e, NEW, 0, 4096), (2200 * 50 + 2030 * 795) / 4230.0,
                0.15);
    length_estimate_destroy(e);
}

static void cutoffs_of_prompt_classes_are_powers_of_four(void **state) {
    (void)state;
    static const uint32_t cutoffs[] = {16, 64, 256, 1024, 4096, 16384};
    for (uint32_t i = 0; i < 6; i++) {
        length_estimate *e = make(100);
        for (uint32_t k = 0; k < 100; k++) report_finished(e, cutoffs[i], 10);
        for (uint32_t k = 0; k < 100; k++) report_finished(e, cutoffs[i] - 1, 90);
        assert_true(length_estimate_remaining(e, cutoffs[i], 0, 100) < 40);
        assert_true(length_estimate_remaining(e, cutoffs[i] - 1, 0, 100) > 60);
        length_estimate_destroy(e);
    }
}

/* A limit, lengths in a few lumps and uniform ones, in several classes; many still run. */
static length_estimate *draw_population(uint64_t stream, uint32_t *n_output_limit) {
    uint64_t i = 0;
    uint32_t limit = 1 + (uint32_t)(rng_uniform(seed, stream, i++) * 500);
    uint32_t n = (uint32_t)(rng_uniform(seed, stream, i++) * 400);
    uint32_t lumps[3];
    for (int k = 0; k < 3; k++)
        lumps[k] = 1 + (uint32_t)(rng_uniform(seed, stream, i++) * limit);
    length_estimate *e = make(limit);
    while (n-- > 0) {
        uint32_t n_prompt = 1u << (rng_bits(seed, stream, i++) % 16);
        uint32_t kind = rng_bits(seed, stream, i++) % 5;
        uint32_t length =
            kind < 3 ? lumps[kind] : 1 + (uint32_t)(rng_uniform(seed, stream, i++) * limit);
        if (kind == 4)
            report_running(e, n_prompt, length - 1);
        else
            report_finished(e, n_prompt, length);
    }
    *n_output_limit = limit;
    return e;
}

static void probabilities_of_an_end_rise_from_0_to_1(void **state) {
    (void)state;
    for (uint64_t stream = 100; stream < 200; stream++) {
        uint32_t limit;
        length_estimate *e = draw_population(stream, &limit);
        for (uint32_t a = 0; a < limit; a += 1 + limit / 7) {
            double before = 0;
            assert_true(length_estimate_ends_within(e, PROMPT, a, 0) == 0);
            for (uint32_t n_more = 1; a + n_more < limit; n_more++) {
                double p = length_estimate_ends_within(e, PROMPT, a, n_more);
                assert_true(p > before && p < 1);
                before = p;
            }
            assert_true(length_estimate_ends_within(e, PROMPT, a, limit - a) == 1);
            assert_true(length_estimate_ends_within(e, PROMPT, a, UINT32_MAX) == 1);
        }
        length_estimate_destroy(e);
    }
}

/* The sum over single tokens of the probability that they come. */
static double plain_remaining(const length_estimate *e, uint32_t a, uint32_t until) {
    double sum = 0;
    for (uint32_t x = a; x < until; x++)
        sum += 1 - length_estimate_ends_within(e, PROMPT, a, x - a);
    return sum;
}

static void remaining_is_the_sum_of_probabilities_up_to_the_own_limit(void **state) {
    (void)state;
    for (uint64_t stream = 200; stream < 260; stream++) {
        uint32_t limit;
        length_estimate *e = draw_population(stream, &limit);
        for (uint32_t a = 0; a < limit; a += 1 + limit / 11) {
            for (uint32_t n_max = a + 1; n_max <= limit; n_max += 1 + limit / 13) {
                double remaining = length_estimate_remaining(e, PROMPT, a, n_max);
                expect_near(remaining, plain_remaining(e, a, n_max), 1e-9);
                assert_true(remaining >= 1 && remaining <= n_max - a);
            }
            assert_true(length_estimate_remaining(e, PROMPT, a, UINT32_MAX) ==
                        length_estimate_remaining(e, PROMPT, a, limit));
        }
        length_estimate_destroy(e);
    }
}

/* The largest ratio over all stops d, token by token. */
static double plain_index(const length_estimate *e, uint32_t limit, uint32_t a, double start,
                          double setup) {
    double best = 0;
    for (uint32_t b = length_bucket(a) + 1;; b++) {
        uint32_t d = length_bucket_start(b) < limit ? length_bucket_start(b) : limit;
        double won = 0, ended = 0, work = setup;
        for (uint32_t length = a + 1; length <= d; length++) {
            work += 1 - ended;
            double now = length_estimate_ends_within(e, PROMPT, a, length - a);
            won += (now - ended) / (start + length);
            ended = now;
        }
        if (won / work > best) best = won / work;
        if (d == limit) return best;
    }
}

static void the_index_is_the_best_ratio_over_all_stops(void **state) {
    (void)state;
    static const double starts[] = {0, 0.5, 20, 3000}, setups[] = {0, 1, 150};
    for (uint64_t stream = 300; stream < 360; stream++) {
        uint32_t limit;
        length_estimate *e = draw_population(stream, &limit);
        for (uint32_t a = 0; a < limit; a += 1 + limit / 9)
            for (int i = 0; i < 12; i++) {
                double start = starts[i % 4], setup = setups[i / 4];
                /* In a bucket the mean weight is that of two points: close to 1e-4. */
                expect_near(length_estimate_index(e, PROMPT, a, start, setup),
                            plain_index(e, limit, a, start, setup), 2e-4);
            }
        length_estimate_destroy(e);
    }
}

static void estimates_change_with_the_version_only(void **state) {
    (void)state;
    length_estimate *e = make(4096);
    uint64_t version = length_estimate_version(e), n_refreshed = 0, n_since = 0;
    double remaining = length_estimate_remaining(e, PROMPT, 0, 4096);
    for (uint32_t i = 1; i <= 2000; i++, n_since++) {
        report_finished(e, PROMPT, draw_geometric(100, 10, i));
        double now = length_estimate_remaining(e, PROMPT, 0, 4096);
        if (length_estimate_version(e) == version) {
            assert_true(now == remaining);
            assert_true(n_since < 7 || n_since < i / 20);
            continue;
        }
        assert_true(length_estimate_version(e) > version && now != remaining);
        version = length_estimate_version(e);
        remaining = now;
        n_refreshed++;
        n_since = UINT64_MAX; /* 0 at the next */
    }
    /* 20 of 8 each, then 160 * 1.05^k up to 2000. */
    assert_in_range(n_refreshed, 65, 75);
    length_estimate_destroy(e);
}

static void lengths_that_the_limit_cuts_all_last_up_to_it(void **state) {
    (void)state;
    length_estimate *e = make(256);
    for (uint32_t i = 0; i < 1000; i++) report_running(e, PROMPT, 255);
    for (uint32_t i = 0; i < 8; i++) report_finished(e, PROMPT, 256);
    expect_near(length_estimate_remaining(e, PROMPT, 0, 256), 256, 0.02);
    expect_near(length_estimate_index(e, PROMPT, 0, 0, 0), 1.0 / 256 / 256, 0.15);
    length_estimate_destroy(e);
}

static void the_least_and_the_largest_limit_work(void **state) {
    (void)state;
    length_estimate *e = make(1);
    report_finished(e, PROMPT, 1);
    assert_true(length_estimate_remaining(e, PROMPT, 0, 1) == 1);
    assert_true(length_estimate_ends_within(e, PROMPT, 0, 1) == 1);
    expect_near(length_estimate_index(e, PROMPT, 0, 3, 1), 1.0 / 4 / 2, 1e-12);
    length_estimate_destroy(e);

    e = make(UINT32_MAX);
    for (uint32_t i = 0; i < 8; i++) report_finished(e, UINT32_MAX, UINT32_MAX);
    assert_true(length_estimate_remaining(e, 0, UINT32_MAX - 1, UINT32_MAX) == 1);
    assert_true(length_estimate_ends_within(e, 0, UINT32_MAX - 1, UINT32_MAX) == 1);
    assert_true(length_estimate_index(e, 0, 0, 0, 0) > 0);
    length_estimate_destroy(e);
}

static void a_refused_create_leaves_the_result_alone(void **state) {
    (void)state;
    length_estimate *untouched = (length_estimate *)&seed, *e = untouched;
    assert_int_equal(length_estimate_create(&e, 0), ST_INVALID);
    refuse_calloc = true;
    assert_int_equal(length_estimate_create(&e, 100), ST_NO_MEMORY);
    refuse_calloc = false;
    assert_ptr_equal(e, untouched);
    length_estimate_destroy(NULL);
}

int main(void) {
    const char *text = getenv("SEED");
    if (text) seed = strtoull(text, NULL, 10);
    print_message("SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_cut_all_counts_in_steps_of_a_third_of_an_octave),
        cmocka_unit_test(before_any_finished_all_buckets_are_equally_probable),
        cmocka_unit_test(a_constant_hazard_gives_constant_estimates),
        cmocka_unit_test(uniform_lengths_are_more_urgent_the_further_they_are),
        cmocka_unit_test(a_heavy_tail_has_the_more_to_come_the_more_came),
        cmocka_unit_test(half_that_still_run_do_not_make_lengths_look_short),
        cmocka_unit_test(half_of_a_bucket_tells_half_of_its_hazard),
        cmocka_unit_test(half_of_an_arriving_stream_tells_the_mean_length),
        cmocka_unit_test(a_class_of_prompts_borrows_until_it_has_samples),
        cmocka_unit_test(cutoffs_of_prompt_classes_are_powers_of_four),
        cmocka_unit_test(probabilities_of_an_end_rise_from_0_to_1),
        cmocka_unit_test(remaining_is_the_sum_of_probabilities_up_to_the_own_limit),
        cmocka_unit_test(the_index_is_the_best_ratio_over_all_stops),
        cmocka_unit_test(estimates_change_with_the_version_only),
        cmocka_unit_test(lengths_that_the_limit_cuts_all_last_up_to_it),
        cmocka_unit_test(the_least_and_the_largest_limit_work),
        cmocka_unit_test(a_refused_create_leaves_the_result_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
