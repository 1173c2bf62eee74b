/* test_trace_stat.c - statistics: by hand, and of the real traces as their README has them. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace_reader.h"
#include "trace_stat.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static trace_stat *make_stat(void) {
    trace_stat *s = NULL;
    assert_int_equal(trace_stat_create(&s, NULL), ST_OK);
    return s;
}

static void add(trace_stat *s, int64_t time_s, uint32_t n_prompt, uint32_t n_output) {
    trace_record record = {
        .time_ns = time_s * 1000000000, .n_prompt = n_prompt, .n_output = n_output};
    assert_int_equal(trace_stat_add(s, &record, NULL), ST_OK);
}

static void quantiles_lie_between_neighbours(void **state) {
    (void)state;
    trace_stat *s = make_stat();
    static const uint32_t lengths[] = {40, 10, 30, 20};
    for (int i = 0; i < 4; i++) add(s, i, lengths[i], 1);
    trace_summary sum = trace_stat_summary(s);
    assert_int_equal(sum.n, 4);
    assert_float_equal(sum.prompt.mean, 25, 1e-12);
    assert_float_equal(sum.prompt.p50, 25, 1e-12);
    assert_float_equal(sum.prompt.p90, 37, 1e-12);
    assert_float_equal(sum.prompt.p99, 39.7, 1e-12);
    assert_int_equal(sum.prompt.min, 10);
    assert_int_equal(sum.prompt.max, 40);
    assert_float_equal(sum.output.p99, 1, 0);
    trace_stat_destroy(s);
}

static void rate_and_cv_are_of_the_gaps(void **state) {
    (void)state;
    trace_stat *s = make_stat();
    static const int64_t times[] = {100, 101, 104, 104, 108}; /* gaps 1, 3, 0, 4 */
    for (int i = 0; i < 5; i++) add(s, times[i], 1, 1);
    trace_summary sum = trace_stat_summary(s);
    assert_true(sum.rate_known);
    assert_float_equal(sum.duration_s, 8, 1e-12);
    assert_float_equal(sum.rate_per_s, 0.5, 1e-12);
    assert_float_equal(sum.gap_cv, sqrt(10.0 / 4) / 2, 1e-12);
    trace_stat_destroy(s);
}

static void the_rate_is_unknown_when_time_runs_backwards_or_stands_still(void **state) {
    (void)state;
    trace_stat *s = make_stat();
    assert_int_equal(trace_stat_summary(s).n, 0);
    assert_false(trace_stat_summary(s).rate_known);
    add(s, 5, 1, 1);
    add(s, 5, 0, 1);
    assert_false(trace_stat_summary(s).rate_known);
    add(s, 9, 1, 0);
    assert_true(trace_stat_summary(s).rate_known);
    add(s, 3, 1, 1);
    trace_summary sum = trace_stat_summary(s);
    assert_false(sum.rate_known);
    assert_float_equal(sum.duration_s, 6, 1e-12);
    assert_int_equal(sum.n_backwards, 1);
    assert_int_equal(sum.n_empty, 2);
    trace_stat_destroy(s);
}

static void bins_are_powers_of_two(void **state) {
    (void)state;
    trace_stat *s = make_stat();
    static const uint32_t lengths[] = {0, 1, 2, 3, 4, 1023, 1024, TRACE_MAX_TOKENS};
    for (int i = 0; i < 8; i++) add(s, i, lengths[i], 1);
    uint64_t prompt[TRACE_STAT_N_BINS], output[TRACE_STAT_N_BINS];
    trace_stat_bins(s, prompt, output);
    assert_int_equal(prompt[0], 2);
    assert_int_equal(prompt[1], 2);
    assert_int_equal(prompt[2], 1);
    assert_int_equal(prompt[9], 1);
    assert_int_equal(prompt[10], 1);
    assert_int_equal(prompt[24], 1);
    assert_int_equal(output[0], 8);
    trace_stat_destroy(s);
}

static void distinct_prefix_ids_are_counted(void **state) {
    (void)state;
    trace_stat *s = make_stat();
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t ids[] = {0, i, i % 1000, UINT64_MAX - i};
        trace_record record = {
            .n_prompt = 1, .n_output = 1, .prefix_ids = ids, .n_prefix_ids = 4};
        assert_int_equal(trace_stat_add(s, &record, NULL), ST_OK);
    }
    trace_summary sum = trace_stat_summary(s);
    assert_int_equal(sum.n_prefix_ids, 20000);
    assert_int_equal(sum.n_distinct_prefix_ids, 10000);
    trace_stat_destroy(s);
}

static void distinct_clients_are_counted(void **state) {
    (void)state;
    trace_stat *s = make_stat();
    assert_int_equal(trace_stat_summary(s).n_clients, 0);
    add(s, 0, 1, 1);
    add(s, 1, 1, 1);
    assert_int_equal(trace_stat_summary(s).n_clients, 1);
    for (uint32_t i = 0; i < 3000; i++) {
        trace_record record = {.n_prompt = 1, .n_output = 1, .client = UINT32_MAX - i % 1000};
        assert_int_equal(trace_stat_add(s, &record, NULL), ST_OK);
    }
    assert_int_equal(trace_stat_summary(s).n_clients, 1001);
    trace_stat_destroy(s);
}

/* ------------------------------------------------------------ the real traces */

/* A row of "Statistics of the traces", as it is printed there. */
typedef struct row {
    const char *file;
    uint64_t n;
    double duration_s;           /* -1: none */
    double prompt[4], output[4]; /* mean, p50, p90, p99 */
    double rate_per_s, gap_cv;   /* -1: none */
} row;

static const row rows[] = {
    {"azure_llm_2023_code.csv",
     8819,
     3435.9,
     {2048, 1469, 5188, 7436},
     {28, 13, 55, 251},
     2.566,
     13.15},
    {"azure_llm_2023_conv_first_half.csv",
     9739,
     1750.8,
     {1237, 1035, 4075, 4122},
     {221, 140, 428, 612},
     5.562,
     1.07},
    {"azure_llm_2024_subsample.csv",
     5880,
     93550.0,
     {547, 399, 1108, 2605},
     {116, 90, 223, 477},
     -1,
     -1},
    {"burstgpt_excerpt_dense_first_half.csv",
     53,
     1.0,
     {293, 255, 453, 692},
     {3, 1, 4, 13},
     52.000,
     7.14},
    {"burstgpt_excerpt_span30s_first_half.csv",
     79,
     14.0,
     {64, 63, 68, 75},
     {4, 3, 7, 7},
     5.571,
     2.14},
    {"mooncake_conversation.jsonl",
     12031,
     3537.0,
     {12035, 6909, 27367, 85400},
     {343, 350, 597, 1119},
     3.401,
     3.03},
    {"lengths_arxiv_summarization.csv",
     28257,
     -1,
     {2588, 2730, 3702, 3933},
     {291, 167, 372, 3271},
     -1,
     -1},
    {"lengths_sharegpt_8k.csv",
     30731,
     -1,
     {2340, 1730, 5696, 7434},
     {439, 415, 834, 998},
     -1,
     -1},
    {"lengths_sharegpt_predicted.csv",
     40000,
     -1,
     {251, 35, 772, 2862},
     {323, 282, 680, 1000},
     -1,
     -1},
};

/* NULL where the data is not there. */
static trace_reader *open_real(const char *file) {
    const char *data = getenv("ADAPTIVELLM_SHARED_DATA");
    char path[4096];
    snprintf(path, sizeof(path), "%s/traces/%s", data ? data : "", file);
    trace_reader_options options = trace_reader_options_defaults();
    options.any_order = options.allow_empty = true;
    trace_reader *r = NULL;
    errbuf err = {0};
    status st = trace_reader_open(&r, path, &options, &err);
    if (st != ST_OK && st != ST_IO) fail_msg("%s", err.text);
    if (st == ST_IO) print_message("%s: set ADAPTIVELLM_SHARED_DATA\n", err.text);
    return st == ST_OK ? r : NULL;
}

/* Both as the table prints them. */
static void expect_printed(const char *what, double value, double wanted, int decimals) {
    double unit = pow(10, -decimals);
    if (fabs(round(value / unit) * unit - wanted) > unit / 100)
        fail_msg("%s: %.9g, the table has %.*f", what, value, decimals, wanted);
}

static void expect_lengths(const char *file, const length_summary *l, const double wanted[4]) {
    expect_printed(file, l->mean, wanted[0], 0);
    expect_printed(file, l->p50, wanted[1], 0);
    expect_printed(file, l->p90, wanted[2], 0);
    expect_printed(file, l->p99, wanted[3], 0);
}

static void check_row(const row *want, trace_reader *r) {
    trace_stat *s = make_stat();
    trace_record record;
    errbuf err = {0};
    status st;
    while ((st = trace_reader_next(r, &record, &err)) == ST_OK)
        assert_int_equal(trace_stat_add(s, &record, NULL), ST_OK);
    if (st != ST_END) fail_msg("%s", err.text);
    trace_summary sum = trace_stat_summary(s);
    assert_int_equal(sum.n, want->n);
    expect_lengths(want->file, &sum.prompt, want->prompt);
    expect_lengths(want->file, &sum.output, want->output);
    assert_int_equal(trace_reader_has_arrivals(r), want->duration_s >= 0);
    if (want->duration_s >= 0) expect_printed(want->file, sum.duration_s, want->duration_s, 1);
    assert_int_equal(sum.rate_known, want->rate_per_s >= 0);
    if (want->rate_per_s >= 0) {
        expect_printed(want->file, sum.rate_per_s, want->rate_per_s, 3);
        expect_printed(want->file, sum.gap_cv, want->gap_cv, 2);
    }
    if (strcmp(want->file, "mooncake_conversation.jsonl") == 0) {
        assert_int_equal(sum.n_distinct_prefix_ids, 182790);
        expect_printed("reuse, %",
                       100 - 100 * (double)sum.n_distinct_prefix_ids / (double)sum.n_prefix_ids,
                       36.6, 1);
    }
    trace_stat_destroy(s);
}

static void statistics_equal_the_table_of_the_data(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        trace_reader *r = open_real(rows[i].file);
        if (!r) skip();
        check_row(&rows[i], r);
        trace_reader_close(r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_lie_between_neighbours),
        cmocka_unit_test(rate_and_cv_are_of_the_gaps),
        cmocka_unit_test(the_rate_is_unknown_when_time_runs_backwards_or_stands_still),
        cmocka_unit_test(bins_are_powers_of_two),
        cmocka_unit_test(distinct_prefix_ids_are_counted),
        cmocka_unit_test(distinct_clients_are_counted),
        cmocka_unit_test(statistics_equal_the_table_of_the_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
