/* test_workload.c - generators, arrival processes, and traces and workloads as request streams.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace.h"
#include "trace_stat.h"
#include "trace_writer.h"
#include "workload.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Draws are random, but the seed of each test is fixed; SEED sets another. */
static uint64_t seed = 1;

static int read_seed(void **state) {
    (void)state;
    const char *given = getenv("SEED");
    if (given) seed = strtoull(given, NULL, 10);
    print_message("SEED=%llu\n", (unsigned long long)seed);
    return 0;
}

static trace *open_trace(const trace_options *o) {
    trace *t = NULL;
    errbuf err = {0};
    if (trace_open(&t, o, &err) != ST_OK) fail_msg("%s", err.text);
    return t;
}

static trace_options of_workload(const char *spec) {
    trace_options o = trace_options_defaults();
    o.workload = spec;
    o.seed = seed;
    return o;
}

static void expect_refused(const trace_options *o, status wanted, const char *message) {
    trace *t = NULL;
    errbuf err = {0};
    status st = trace_open(&t, o, &err);
    if (st != wanted || !strstr(err.text, message))
        fail_msg("wanted '%s', got '%s' (%s)", message, err.text, status_text(st));
    assert_null(t);
}

static trace_summary summary_of(const char *spec, uint64_t n) {
    trace_options o = of_workload(spec);
    o.limit = n;
    trace *t = open_trace(&o);
    assert_int_equal(trace_n_requests(t), n);
    request_source source = trace_requests(t);
    trace_stat *s = NULL;
    assert_int_equal(trace_stat_create(&s, NULL), ST_OK);
    request r;
    uint32_t n_output;
    uint64_t id = 0;
    while (source.next(source.context, &r, &n_output, NULL) == ST_OK) {
        assert_int_equal(r.id, id++);
        assert_true(r.n_prompt >= 1 && n_output >= 1 && n_output <= r.n_output_max);
        trace_record record = {
            .time_ns = r.arrival_ns, .n_prompt = r.n_prompt, .n_output = n_output};
        assert_int_equal(trace_stat_add(s, &record, NULL), ST_OK);
    }
    trace_summary sum = trace_stat_summary(s);
    assert_int_equal(sum.n, n);
    assert_int_equal(sum.n_backwards, 0);
    trace_stat_destroy(s);
    trace_close(t);
    return sum;
}

static void expect_near(const char *what, double value, double wanted, double share) {
    if (fabs(value - wanted) > share * wanted)
        fail_msg("%s: %g, wanted %g", what, value, wanted);
}

/* mean, p50, p90, p99 as the data README has them (alpaca: the means of its source). */
static void lengths_are_like_those_of_the_recordings(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double prompt[4], output[4];
    } rows[] = {{"sharegpt", {251, 35, 772, 2862}, {323, 282, 680, 1000}},
                {"azure-conv", {1237, 1035, 4075, 4122}, {221, 140, 428, 612}},
                {"azure-code", {2048, 1469, 5188, 7436}, {28, 13, 55, 251}},
                {"longdoc", {2588, 2730, 3702, 3933}, {291, 167, 372, 3271}},
                {"reasoning", {1268, 208, 2092, 23423}, {1527, 792, 3432, 12607}},
                {"alpaca", {19.31, 0, 0, 0}, {58.45, 0, 0, 0}}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        trace_summary sum = summary_of(rows[i].name, 300000);
        const double got[] = {sum.prompt.mean, sum.prompt.p50, sum.prompt.p90, sum.prompt.p99,
                              sum.output.mean, sum.output.p50, sum.output.p90, sum.output.p99};
        /* The tables miss means by up to 6.3 %; the rest is the spread of 300,000 draws. */
        for (int j = 0; j < 8; j++) {
            double wanted = j < 4 ? rows[i].prompt[j] : rows[i].output[j - 4];
            if (wanted > 0) expect_near(rows[i].name, got[j], wanted, 0.085);
        }
    }
}

static void settings_scale_lengths_and_set_n(void **state) {
    (void)state;
    trace_summary sum = summary_of("sharegpt,prompt_mean=1000,output_mean=50", 300000);
    expect_near("prompt mean", sum.prompt.mean, 1000, 0.02);
    expect_near("output mean", sum.output.mean, 50, 0.02);
    sum = summary_of("fixed,prompt=7,output=9", 100);
    assert_int_equal(sum.prompt.min, 7);
    assert_int_equal(sum.prompt.max, 7);
    assert_float_equal(sum.output.mean, 9, 0);
    trace_options o = of_workload("fixed,n=123");
    trace *t = open_trace(&o);
    assert_int_equal(trace_n_requests(t), 123);
    trace_close(t);
}

static void gaps_have_the_rate_and_cv_asked_for(void **state) {
    (void)state;
    static const struct {
        const char *spec;
        double cv;
    } rows[] = {{"fixed,rate=20", 1},
                {"fixed,rate=20,arrival=gamma,cv=2.5", 2.5},
                {"fixed,rate=20,arrival=gamma,cv=0.3", 0.3},
                {"fixed,rate=20,arrival=weibull,cv=2", 2},
                {"fixed,rate=20,arrival=weibull,cv=0.5", 0.5}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        trace_summary sum = summary_of(rows[i].spec, 1000000);
        expect_near(rows[i].spec, sum.rate_per_s, 20, 0.015);
        expect_near(rows[i].spec, sum.gap_cv, rows[i].cv, 0.03);
    }
    /* Interrupted Poisson process (Kuczura, 1973): at rate a when on, leaving on at rate b and
     * off at rate c, CV^2 = 1 + 2 a b / (b + c)^2. Here a = 80, b = 1, c = 1/3. */
    trace_summary sum = summary_of("fixed,rate=20,arrival=bursty,on=1,off=3", 1000000);
    expect_near("bursty", sum.rate_per_s, 20, 0.03);
    expect_near("bursty", sum.gap_cv, sqrt(91), 0.05);
}

static void all_at_once_is_all_at_0(void **state) {
    (void)state;
    trace_summary sum = summary_of("fixed,arrival=all-at-once", 1000);
    assert_float_equal(sum.duration_s, 0, 0);
}

static void wrong_settings_are_refused_with_a_suggestion(void **state) {
    (void)state;
    static const struct {
        const char *spec, *message;
    } rows[] = {
        {"sharegtp", "there is no workload 'sharegtp'; did you mean 'sharegpt'?"},
        {"xxxxxxxx", "there is: sharegpt alpaca"},
        {"", "does not start with the name of a workload"},
        {"fixed,promt=1", "workload 'fixed': there is no key 'promt'; did you mean 'prompt'?"},
        {"sharegpt,prompt=1", "workload 'sharegpt': there is no key 'prompt'"},
        {"fixed,arrival=posson", "did you mean 'poisson'?"},
        {"fixed,n=0", "n=0 is not a whole number from 1"},
        {"fixed,rate=-1", "rate=-1 is not a number"},
        {"fixed,rate=nan", "rate=nan is not a number"},
        {"fixed,n", "'n' is not key=value"},
        {"fixed,n=", "'n=' is not key=value"},
        {"fixed,n=1,n=2", "n is given twice"},
        {"reasoning,prompt_mean=1000000", "makes lengths up to"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        trace_options o = of_workload(rows[i].spec);
        expect_refused(&o, ST_INVALID, rows[i].message);
    }
    trace_options o = of_workload("fixed");
    o.arrival = "gama,cv=2";
    expect_refused(&o, ST_INVALID, "there is no arrival process 'gama'; did you mean 'gamma'?");
    o.arrival = NULL;
    o.n_output_max = 127;
    expect_refused(&o, ST_INVALID, "raise it with --output-limit");
}

/* ------------------------------------------------------------ files */

static char folder[] = "/tmp/test_workload.XXXXXX";
static char paths[3][128];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    if (!mkdtemp(folder)) return -1;
    static const char *const names[] = {"a.csv", "b.jsonl.gz", "c.csv"};
    for (int i = 0; i < 3; i++) snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder, names[i]);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) unlink(paths[i]);
    return rmdir(folder); /* fails when something else was left there */
}

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void convert(const trace_options *o, const char *path, trace_output_format format) {
    trace *t = open_trace(o);
    trace_writer *w = NULL;
    errbuf err = {0};
    if (trace_writer_open(&w, path, format, &err) != ST_OK) fail_msg("%s", err.text);
    request_source source = trace_requests(t);
    request r;
    uint32_t n_output;
    while (source.next(source.context, &r, &n_output, &err) == ST_OK)
        assert_int_equal(trace_writer_add(w, &r, n_output, &err), ST_OK);
    assert_int_equal(trace_writer_commit(w, &err), ST_OK);
    trace_writer_close(w);
    trace_close(t);
}

static bool equal_files(const char *a, const char *b) {
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    assert_true(f && g);
    int x, y;
    do {
        x = fgetc(f);
        y = fgetc(g);
    } while (x == y && x != EOF);
    fclose(f);
    fclose(g);
    return x == y;
}

static trace_options of_file(const char *path) {
    trace_options o = trace_options_defaults();
    o.file = path;
    return o;
}

static void what_is_written_reads_back_the_same(void **state) {
    (void)state;
    trace_options o =
        of_workload("reasoning,n=5000,clients=9,priorities=3,arrival=gamma,rate=40");
    convert(&o, paths[0], TRACE_OUTPUT_CSV);
    o = of_file(paths[0]);
    convert(&o, paths[1], TRACE_OUTPUT_JSONL);
    o = of_file(paths[1]);
    convert(&o, paths[2], TRACE_OUTPUT_CSV);
    assert_true(equal_files(paths[0], paths[2]));
}

static void equal_seeds_give_equal_bytes(void **state) {
    (void)state;
    trace_options o = of_workload("sharegpt,clients=4");
    convert(&o, paths[0], TRACE_OUTPUT_CSV);
    convert(&o, paths[2], TRACE_OUTPUT_CSV);
    assert_true(equal_files(paths[0], paths[2]));
    o.seed++;
    convert(&o, paths[2], TRACE_OUTPUT_CSV);
    assert_false(equal_files(paths[0], paths[2]));
}

static void prefixes_survive_jsonl_and_are_refused_by_csv(void **state) {
    (void)state;
    write_text(paths[0], "{\"arrival_s\":5,\"n_prompt\":5,\"n_output\":1,\"prefix_tokens\":4,"
                         "\"prefix_ids\":[9223372036854775807,0]}\n");
    trace_options o = of_file(paths[0]);
    convert(&o, paths[1], TRACE_OUTPUT_JSONL);
    o = of_file(paths[1]);
    trace *t = open_trace(&o);
    request_source source = trace_requests(t);
    request r;
    uint32_t n_output;
    assert_int_equal(source.next(source.context, &r, &n_output, NULL), ST_OK);
    assert_int_equal(r.arrival_ns, 0); /* from the first request */
    assert_int_equal(r.prefix_tokens, 4);
    assert_int_equal(r.n_prefix_ids, 2);
    assert_true(r.prefix_ids[0] == INT64_MAX && r.prefix_ids[1] == 0);
    trace_writer *w = NULL;
    assert_int_equal(trace_writer_open(&w, paths[2], TRACE_OUTPUT_CSV, NULL), ST_OK);
    assert_int_equal(trace_writer_add(w, &r, n_output, NULL), ST_INVALID);
    trace_writer_close(w);
    assert_int_not_equal(access(paths[2], F_OK), 0); /* nothing half-written is left */
    trace_close(t);
}

/* The arrival times of all requests, ns; n of them are wanted. */
static void expect_times(const trace_options *o, const int64_t *times, uint64_t n) {
    trace *t = open_trace(o);
    assert_int_equal(trace_n_requests(t), n);
    request_source source = trace_requests(t);
    for (int pass = 0; pass < 2; pass++) {
        request r;
        uint32_t n_output;
        for (uint64_t i = 0; i < n; i++) {
            assert_int_equal(source.next(source.context, &r, &n_output, NULL), ST_OK);
            assert_int_equal(r.id, i);
            assert_int_equal(r.arrival_ns, times[i]);
        }
        assert_int_equal(source.next(source.context, &r, &n_output, NULL), ST_END);
        assert_int_equal(trace_rewind(t, NULL), ST_OK);
    }
    trace_close(t);
}

#define HEAD "arrival_s,n_prompt,n_output\n"

static void times_are_relative_limited_and_stretched(void **state) {
    (void)state;
    write_text(paths[0], HEAD "10,1,1\n11,1,1\n14,1,1\n100,1,1\n");
    trace_options o = of_file(paths[0]);
    const int64_t second = 1000000000;
    expect_times(&o, (int64_t[]){0, second, 4 * second, 90 * second}, 4);
    o.limit = 3;
    expect_times(&o, (int64_t[]){0, second, 4 * second}, 3);
    o.rate_per_s = 5; /* of the first three: 2 gaps in 0.4 s */
    expect_times(&o, (int64_t[]){0, second / 10, 4 * second / 10}, 3);
    o = of_file(paths[0]);
    o.arrival = "all-at-once";
    expect_times(&o, (int64_t[]){0, 0, 0, 0}, 4);
}

static void sorting_is_by_time_then_place(void **state) {
    (void)state;
    write_text(paths[0], HEAD "3,1,1\n1,2,1\n2,3,1\n1,4,1\n");
    trace_options o = of_file(paths[0]);
    expect_refused(&o, ST_FORMAT, "a.csv:3:arrival_s: time runs backwards");
    o.sort = true;
    const int64_t second = 1000000000;
    expect_times(&o, (int64_t[]){0, 0, second, 2 * second}, 4);
    trace *t = open_trace(&o);
    request_source source = trace_requests(t);
    static const uint32_t prompts[] = {2, 4, 3, 1};
    for (int i = 0; i < 4; i++) {
        request r;
        uint32_t n_output;
        assert_int_equal(source.next(source.context, &r, &n_output, NULL), ST_OK);
        assert_int_equal(r.n_prompt, prompts[i]);
    }
    trace_close(t);
}

static void a_bad_line_is_found_before_the_first_request(void **state) {
    (void)state;
    write_text(paths[0], HEAD "1,1,1\n2,1,x\n3,1,1\n");
    trace_options o = of_file(paths[0]);
    expect_refused(&o, ST_FORMAT, "a.csv:3:n_output: 'x' is not");
    o.skip_bad = true;
    trace *t = open_trace(&o);
    assert_int_equal(trace_n_requests(t), 2);
    assert_int_equal(trace_n_bad(t), 1);
    trace_close(t);
    write_text(paths[0], HEAD);
    expect_refused(&o, ST_FORMAT, "there is no request in it");
    write_text(paths[0], HEAD "1,1,200\n");
    o = of_file(paths[0]);
    o.n_output_max = 100;
    expect_refused(&o, ST_FORMAT, "a.csv:2:n_output: an output of 200 tokens is over");
}

static void impossible_options_are_refused(void **state) {
    (void)state;
    trace_options o = trace_options_defaults();
    expect_refused(&o, ST_INVALID, "give one of");
    write_text(paths[0], HEAD "1,1,1\n1,1,1\n");
    o.file = paths[0];
    o.rate_per_s = 5;
    expect_refused(&o, ST_INVALID, "all requests arrive at once");
    o.workload = "fixed";
    expect_refused(&o, ST_INVALID, "give one of");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_like_those_of_the_recordings),
        cmocka_unit_test(settings_scale_lengths_and_set_n),
        cmocka_unit_test(gaps_have_the_rate_and_cv_asked_for),
        cmocka_unit_test(all_at_once_is_all_at_0),
        cmocka_unit_test(wrong_settings_are_refused_with_a_suggestion),
        cmocka_unit_test_setup_teardown(what_is_written_reads_back_the_same, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(equal_seeds_give_equal_bytes, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(prefixes_survive_jsonl_and_are_refused_by_csv,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(times_are_relative_limited_and_stretched, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(sorting_is_by_time_then_place, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_bad_line_is_found_before_the_first_request,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(impossible_options_are_refused, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, read_seed, NULL);
}
