/* test_workload.c - generators, arrival processes, and traces and workloads as request streams.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"
#include "trace_stat.h"
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

static request next_of(request_source source, uint32_t *n_output) {
    request r;
    assert_int_equal(source.next(source.context, &r, n_output, NULL), ST_OK);
    return r;
}

static void clients_change_neither_lengths_nor_times(void **state) {
    (void)state;
    trace_options one = of_workload("sharegpt,n=5000,arrival=gamma,priorities=3");
    trace_options many = of_workload("sharegpt,n=5000,arrival=gamma,priorities=3,clients=40");
    trace *a = open_trace(&one), *b = open_trace(&many);
    for (int i = 0; i < 5000; i++) {
        uint32_t n_a, n_b;
        request x = next_of(trace_requests(a), &n_a), y = next_of(trace_requests(b), &n_b);
        assert_int_equal(x.arrival_ns, y.arrival_ns);
        assert_int_equal(x.n_prompt, y.n_prompt);
        assert_int_equal(x.priority, y.priority);
        assert_int_equal(n_a, n_b);
        assert_int_equal(x.client, 0);
        assert_true(y.client < 40);
    }
    trace_close(a);
    trace_close(b);
}

/* Client i of 4 has a share of 12 / 25 / (i + 1). */
static void the_first_clients_send_the_most(void **state) {
    (void)state;
    enum { N = 100000 };
    trace_options o = of_workload("fixed,n=100000,clients=4");
    trace *t = open_trace(&o);
    uint64_t n_of[4] = {0};
    uint32_t n_output;
    for (int i = 0; i < N; i++) n_of[next_of(trace_requests(t), &n_output).client]++;
    for (int i = 0; i < 4; i++)
        expect_near("requests", (double)n_of[i], 48000. / (i + 1), 0.03);
    trace_close(t);
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
        {"fixed,n=1,", "workload 'fixed': nothing is behind a comma"},
        {"fixed,,n=1", "workload 'fixed': nothing is behind a comma"},
        {"fixed,", "workload 'fixed': nothing is behind a comma"},
        {"fixed,cv=2", "arrival process 'poisson' has no key 'cv'; it has: rate"},
        {"fixed,cv=2,arrival=bursty",
         "arrival process 'bursty' has no key 'cv'; it has: rate on off"},
        {"fixed,arrival=all-at-once,rate=2",
         "arrival process 'all-at-once' has no key 'rate'; it has: none"},
        {"reasoning,prompt_mean=1000000", "makes lengths up to"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        trace_options o = of_workload(rows[i].spec);
        expect_refused(&o, ST_INVALID, rows[i].message);
    }
    trace_options o = of_workload("fixed");
    o.arrival = "gama,cv=2";
    expect_refused(&o, ST_INVALID, "there is no arrival process 'gama'; did you mean 'gamma'?");
    o.arrival = "poisson,rate=2,cv=2";
    expect_refused(&o, ST_INVALID, "'poisson' has no key 'cv'; it has: rate");
    o.arrival = "gamma,on=2";
    expect_refused(&o, ST_INVALID, "'gamma' has no key 'on'; it has: rate cv");
    o.arrival = "gamma,cv=2,";
    expect_refused(&o, ST_INVALID, "arrival process: nothing is behind a comma");
    o.arrival = NULL;
    o.n_output_max = 127;
    expect_refused(&o, ST_INVALID, "raise it with --output-limit");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_like_those_of_the_recordings),
        cmocka_unit_test(settings_scale_lengths_and_set_n),
        cmocka_unit_test(gaps_have_the_rate_and_cv_asked_for),
        cmocka_unit_test(clients_change_neither_lengths_nor_times),
        cmocka_unit_test(the_first_clients_send_the_most),
        cmocka_unit_test(all_at_once_is_all_at_0),
        cmocka_unit_test(wrong_settings_are_refused_with_a_suggestion),
    };
    return cmocka_run_group_tests(tests, read_seed, NULL);
}
