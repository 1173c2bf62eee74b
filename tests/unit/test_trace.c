/* test_trace.c - files as request streams: times, order, limits, and what is written. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace.h"
#include "trace_writer.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static trace *open_trace(const trace_options *o) {
    trace *t = NULL;
    errbuf err = {0};
    if (trace_open(&t, o, &err) != ST_OK) fail_msg("%s", err.text);
    return t;
}

static trace_options of_workload(const char *spec) {
    trace_options o = trace_options_defaults();
    o.workload = spec;
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

static bool has_clients(const trace_options *o) {
    trace *t = open_trace(o);
    bool has = trace_has_clients(t);
    trace_close(t);
    return has;
}

static void clients_are_told_from_one_client(void **state) {
    (void)state;
    trace_options o = of_workload("fixed,n=5");
    assert_false(has_clients(&o));
    o.workload = "fixed,n=5,clients=2";
    assert_true(has_clients(&o));
    o = of_file(paths[0]);
    write_text(paths[0], HEAD "1,1,1\n2,1,1\n");
    assert_false(has_clients(&o));
    write_text(paths[0], "arrival_s,n_prompt,n_output,client\n1,1,1,7\n2,1,1,7\n3,1,1,8\n");
    assert_true(has_clients(&o));
    o.sort = true;
    assert_true(has_clients(&o));
    o.limit = 2; /* both of them are of 7 */
    assert_false(has_clients(&o));
    o = of_file(paths[1]);
    write_text(paths[1], "{\"arrival_s\":1,\"n_prompt\":1,\"n_output\":1}\n"
                         "{\"arrival_s\":2,\"n_prompt\":1,\"n_output\":1,\"client\":3}\n");
    assert_true(has_clients(&o));
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
        cmocka_unit_test_setup_teardown(clients_are_told_from_one_client, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(impossible_options_are_refused, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
