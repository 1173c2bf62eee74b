/* test_trace_reader.c - formats, numbers and bad lines of trace files. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "trace_reader.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static trace_reader *open_text(const char *text, const trace_reader_options *options) {
    trace_reader *r = NULL;
    errbuf err = {0};
    trace_reader_options strict = trace_reader_options_defaults();
    status st = trace_reader_open_memory(&r, text, strlen(text), "t",
                                         options ? options : &strict, &err);
    if (st != ST_OK) fail_msg("%s", err.text);
    return r;
}

static void expect_record(trace_reader *r, int64_t time_ns, uint32_t n_prompt,
                          uint32_t n_output) {
    trace_record record;
    errbuf err = {0};
    if (trace_reader_next(r, &record, &err) != ST_OK) fail_msg("%s", err.text);
    assert_int_equal(record.time_ns, time_ns);
    assert_int_equal(record.n_prompt, n_prompt);
    assert_int_equal(record.n_output, n_output);
}

static void expect_end(trace_reader *r) {
    trace_record record;
    assert_int_equal(trace_reader_next(r, &record, NULL), ST_END);
    trace_reader_close(r);
}

/* Opening or reading the text must end in ST_FORMAT with this message. */
static void expect_bad(const char *text, const char *message) {
    trace_reader_options strict = trace_reader_options_defaults();
    trace_reader *r = NULL;
    trace_record record;
    errbuf err = {0};
    status st = trace_reader_open_memory(&r, text, strlen(text), "t", &strict, &err);
    while (st == ST_OK) st = trace_reader_next(r, &record, &err);
    if (st != ST_FORMAT || !strstr(err.text, message))
        fail_msg("wanted '%s', got '%s' (%s)", message, err.text, status_text(st));
    trace_reader_close(r);
}

static void azure_times_are_exact_over_midnight(void **state) {
    (void)state;
    trace_reader *r = open_text("TIMESTAMP,ContextTokens,GeneratedTokens\n"
                                "1970-01-01 23:59:59.9999999,10,20\r\n"
                                "1970-01-02 00:00:00,30,40\n"
                                "1970-01-02T00:00:01.5Z,1,2\n"
                                "1970-01-02 02:00:02.000000001+02:00,3,4",
                                NULL);
    assert_string_equal(trace_reader_format(r), "Azure CSV");
    expect_record(r, INT64_C(86399999999900), 10, 20);
    expect_record(r, INT64_C(86400000000000), 30, 40);
    expect_record(r, INT64_C(86401500000000), 1, 2);
    expect_record(r, INT64_C(86402000000001), 3, 4);
    expect_end(r);
}

static void dates_are_those_of_the_calendar(void **state) {
    (void)state;
    int64_t ns;
    assert_true(number_parse_clock(&ns, "2023-11-16 18:17:03.9799600"));
    assert_int_equal(ns, INT64_C(1700158623979960000)); /* date -u -d ... +%s */
    assert_true(number_parse_clock(&ns, "2024-02-29 00:00:00"));
    assert_int_equal(ns, INT64_C(1709164800000000000));
    assert_true(number_parse_clock(&ns, "2100-03-01 00:00:00"));
    assert_int_equal(ns, INT64_C(4107542400000000000));
    static const char *const wrong[] = {"",
                                        "2023-02-29 00:00:00",
                                        "2023-13-01 00:00:00",
                                        "2023-00-01 00:00:00",
                                        "2023-01-01",
                                        "2023-01-01 24:00:00",
                                        "2023-01-01 00:60:00",
                                        "2023-01-01 00:00:60",
                                        "2023-1-1 ",
                                        "2023-01-01 00:00:00.",
                                        "1969-12-31 23:59:59",
                                        "2023-01-01 00:00:00 ",
                                        "2100-02-29 00:00:00",
                                        "2023-01-01 00:00:00+2",
                                        "1970-01-01 00:00:00+01:00"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (number_parse_clock(&ns, wrong[i])) fail_msg("'%s' was taken", wrong[i]);
}

static void seconds_are_exact_to_the_nanosecond(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } right[] = {{"0", 0},
                 {"12", INT64_C(12000000000)},
                 {"0.1", 100000000},
                 {".5", 500000000},
                 {"3.", INT64_C(3000000000)},
                 {"123456.123456789", INT64_C(123456123456789)},
                 {"0.0000000014", 1},
                 {"0.0000000015", 2},
                 {"1e-05", 10000},
                 {"1.5E+3", INT64_C(1500000000000)},
                 {"9223372036.854775807", INT64_MAX},
                 {"0.10000000000000000000000000000000000001", 100000000},
                 {"1e-400", 0},
                 {"0e999999999999", 0}};
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        int64_t ns = -1;
        if (!number_parse_seconds(&ns, right[i].text) || ns != right[i].ns)
            fail_msg("'%s' gave %lld", right[i].text, (long long)ns);
    }
    static const char *const wrong[] = {
        "",     ".",       "-1", "+1", "1s",  " 1",   "1 ",  "1.2.3",
        "nan",  "inf",     "1e", "e5", "1e+", "0x10", "1,5", "9223372036.854775808",
        "1e30", "1e999999"};
    int64_t ns;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (number_parse_seconds(&ns, wrong[i])) fail_msg("'%s' was taken", wrong[i]);
}

static void whole_numbers_are_strict(void **state) {
    (void)state;
    uint64_t value;
    assert_true(number_parse_u64(&value, "18446744073709551615"));
    assert_true(value == UINT64_MAX);
    static const char *const wrong[] = {"",   "-1",  "+1",  " 1",
                                        "1 ", "1.0", "0x1", "18446744073709551616"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(number_parse_u64(&value, wrong[i]));
    int32_t small;
    assert_true(number_parse_i32(&small, "-2147483648"));
    assert_true(small == INT32_MIN);
    assert_false(number_parse_i32(&small, "2147483648"));
    assert_false(number_parse_i32(&small, "--1"));
}

static void failed_burstgpt_requests_are_counted(void **state) {
    (void)state;
    trace_reader *r =
        open_text("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
                  "5,ChatGPT,472,18,490,Conversation log\n"
                  "45.5,ChatGPT,1087,0,1087,API log\n"
                  "118,GPT-4,417,276,693,API log\n",
                  NULL);
    assert_string_equal(trace_reader_format(r), "BurstGPT CSV");
    expect_record(r, INT64_C(5000000000), 472, 18);
    expect_record(r, INT64_C(118000000000), 417, 276);
    assert_int_equal(trace_reader_n_failed(r), 1);
    assert_int_equal(trace_reader_n_bad(r), 0);
    expect_end(r);
}

static void mooncake_records_carry_their_prefix(void **state) {
    (void)state;
    trace_reader *r = open_text("{\"timestamp\": 27, \"input_length\": 1025, "
                                "\"output_length\": 4, \"hash_ids\": [7, 8, 9]}\n",
                                NULL);
    assert_string_equal(trace_reader_format(r), "Mooncake JSONL");
    trace_record record;
    assert_int_equal(trace_reader_next(r, &record, NULL), ST_OK);
    assert_int_equal(record.time_ns, 27000000);
    assert_int_equal(record.n_prompt, 1025);
    assert_int_equal(record.prefix_tokens, 512);
    assert_int_equal(record.n_prefix_ids, 3);
    assert_int_equal(record.prefix_ids[2], 9);
    expect_end(r);
}

static void a_length_table_has_no_arrivals(void **state) {
    (void)state;
    trace_reader *r = open_text("\xef\xbb\xbfpd_ratio,num_decode_tokens,num_prefill_tokens\r\n"
                                "0.5,2,4\r\n",
                                NULL);
    assert_string_equal(trace_reader_format(r), "length table");
    assert_false(trace_reader_has_arrivals(r));
    expect_record(r, 0, 4, 2);
    expect_end(r);
}

static void a_vidur_trace_has_its_times(void **state) {
    (void)state;
    trace_reader *r = open_text("arrived_at,num_prefill_tokens,num_decode_tokens\n"
                                "0.0,374,44\n0.13101,396,109\n1e1,879,55\n",
                                NULL);
    assert_string_equal(trace_reader_format(r), "Vidur CSV");
    assert_true(trace_reader_has_arrivals(r));
    expect_record(r, 0, 374, 44);
    expect_record(r, 131010000, 396, 109);
    expect_record(r, INT64_C(10000000000), 879, 55);
    expect_end(r);
}

static void native_columns_are_optional_and_have_defaults(void **state) {
    (void)state;
    trace_reader_options options = trace_reader_options_defaults();
    options.priority = -3;
    options.client = 9;
    trace_reader *r = open_text("arrival_s,n_prompt,n_output,client\n0.5,1,2,77\n", &options);
    trace_record record;
    assert_int_equal(trace_reader_next(r, &record, NULL), ST_OK);
    assert_int_equal(record.priority, -3);
    assert_int_equal(record.client, 77);
    expect_end(r);
    r = open_text("{\"arrival_s\": 0.000000001, \"n_prompt\": 1, \"n_output\": 2}\n", &options);
    assert_int_equal(trace_reader_next(r, &record, NULL), ST_OK);
    assert_int_equal(record.time_ns, 1);
    assert_int_equal(record.client, 9);
    expect_end(r);
}

#define NATIVE       "arrival_s,n_prompt,n_output\n"
#define VIDUR        "arrived_at,num_prefill_tokens,num_decode_tokens\n"
#define OBJECT(text) "{\"arrival_s\":0,\"n_prompt\":600,\"n_output\":1," text "}\n"

static void each_kind_of_bad_input_names_its_place_and_value(void **state) {
    (void)state;
    expect_bad("", "t: the file is empty");
    expect_bad("hello\n1,2\n", "t:1: 'hello' starts no known format");
    expect_bad("TIMESTAMP,ContextTokens\n", "t:1: the column 'GeneratedTokens'");
    expect_bad("arrival_s,n_prompt,n_output,prioriti\n", "did you mean 'priority'?");
    expect_bad("arrival_s,n_prompt,n_output,n_prompt\n",
               "the column 'n_prompt' is there twice");
    expect_bad(NATIVE "1,2,3\n1,2\n", "t:3: '1': fields: 2, but the header has 3");
    expect_bad(NATIVE "1,2,3,\n", "t:2: '1': fields: 4");
    expect_bad(NATIVE "\n", "t:2: '': fields: 1");
    expect_bad(NATIVE "0,,3\n", "t:2:n_prompt: '' is not a whole number");
    expect_bad(NATIVE "0,-2,3\n", "t:2:n_prompt: '-2' is not");
    expect_bad(NATIVE "0,2x,3\n", "t:2:n_prompt: '2x' is not");
    expect_bad(NATIVE "0,2,16777217\n", "t:2:n_output: '16777217' is not");
    expect_bad(NATIVE "0,0,3\n", "t:2:n_prompt: '0' is not a prompt of at least 1 token");
    expect_bad(NATIVE "0,3,0\n", "t:2:n_output: '0' is not an output of at least 1 token");
    expect_bad(NATIVE "nan,2,3\n", "t:2:arrival_s: 'nan' is not");
    expect_bad(NATIVE "inf,2,3\n", "t:2:arrival_s: 'inf' is not");
    expect_bad(NATIVE "-1,2,3\n", "t:2:arrival_s: '-1' is not");
    expect_bad(NATIVE "5,2,3\n4.5,2,3\n", "t:3:arrival_s: time runs backwards, 0.500000000 s");
    expect_bad(NATIVE "5,2,3\n4.5,2,3\n", "--skip-bad");
    expect_bad("arrived_at,num_prefill_tokens\n",
               "'num_decode_tokens' of a Vidur CSV is missing");
    expect_bad(VIDUR "2,1,1\n1,1,1\n", "t:3:arrived_at: time runs backwards");
    expect_bad(VIDUR "x,1,1\n", "t:2:arrived_at: 'x' is not a number of seconds");
    expect_bad("{\"timestamp\": 1, \n", "t:1: not JSON at byte");
    expect_bad("{\"a\": 1}\n", "t:1: '{\"a\": 1}' has no key of a known format");
    expect_bad("{\"timestamp\":0,\"input_length\":5}\n",
               "t:1:output_length: the key is missing");
    expect_bad("{\"timestamp\":0,\"input_length\":5.5,\"output_length\":1}\n",
               "t:1:input_length: '5.5' is not a whole number");
    expect_bad("{\"timestamp\":-1,\"input_length\":5,\"output_length\":1}\n",
               "t:1:timestamp: '-1' is not a time");
    expect_bad("{\"timestamp\":0,\"input_length\":5,\"output_length\":1}{}\n", "t:1: not JSON");
    expect_bad("{\"timestamp\":0,\"timestamp\":0,\"input_length\":5}\n", "t:1: not JSON");
    expect_bad(OBJECT("\"client\":\"x\""), "t:1:client: '\"x\"' is not a whole number");
    expect_bad(OBJECT("\"priorty\":1"), "no key 'priorty'; did you mean 'priority'?");
    expect_bad(OBJECT("\"prefix_ids\":[1,2]"), "t:1:prefix_tokens: the key is missing");
    expect_bad(OBJECT("\"prefix_tokens\":512"), "t:1:prefix_ids: the key is missing");
    expect_bad(OBJECT("\"prefix_tokens\":512,\"prefix_ids\":[1]"),
               "t:1:prefix_ids: 1 ids, but");
    expect_bad(OBJECT("\"prefix_tokens\":512,\"prefix_ids\":[1,-2]"), "'-2' is not an id");
}

static void bad_lines_are_skipped_and_counted_on_request(void **state) {
    (void)state;
    trace_reader_options options = trace_reader_options_defaults();
    options.skip_bad = true;
    trace_reader *r =
        open_text(NATIVE "0,1,1\nx,1,1\n2,1\n3,0,1\n9,2,2\n8,1,1\n9,3,3\n", &options);
    expect_record(r, 0, 1, 1);
    expect_record(r, INT64_C(9000000000), 2, 2);
    expect_record(r, INT64_C(9000000000), 3, 3);
    assert_int_equal(trace_reader_n_bad(r), 4);
    expect_end(r);
    r = open_text("{\"timestamp\": 0, \"inp\n{\"timestamp\":1,\"input_length\":2,"
                  "\"output_length\":3}\n",
                  &options);
    expect_record(r, 1000000, 2, 3);
    assert_int_equal(trace_reader_n_bad(r), 1);
    expect_end(r);
    trace_reader *none = NULL;
    errbuf err = {0};
    assert_int_equal(trace_reader_open_memory(&none, "a\nb\n", 4, "t", &options, &err),
                     ST_FORMAT);
    assert_non_null(strstr(err.text, "t:1: 'a' starts no known format"));
}

static void a_bad_line_leaves_the_reader_usable(void **state) {
    (void)state;
    trace_reader *r = open_text(NATIVE "0,1,1\nx,1,1\n2,1,1\n", NULL);
    expect_record(r, 0, 1, 1);
    trace_record record;
    assert_int_equal(trace_reader_next(r, &record, NULL), ST_FORMAT);
    expect_record(r, INT64_C(2000000000), 1, 1);
    expect_end(r);
}

static void a_file_can_be_described_as_it_is(void **state) {
    (void)state;
    trace_reader_options options = trace_reader_options_defaults();
    options.any_order = options.allow_empty = true;
    trace_reader *r = open_text(NATIVE "5,0,1\n4,1,0\n", &options);
    expect_record(r, INT64_C(5000000000), 0, 1);
    expect_record(r, INT64_C(4000000000), 1, 0);
    expect_end(r);
}

/* The times of the real Azure traces never run backwards, but for the sub-sample of 2024,
 * which is in order by the minute only. */
static void real_traces_read_to_their_end(void **state) {
    (void)state;
    static const struct {
        const char *file;
        uint64_t n, n_bad;
    } files[] = {{"azure_llm_2023_code.csv", 8819, 0},
                 {"azure_llm_2023_conv_first_half.csv", 9739, 0},
                 {"azure_llm_2024_subsample.csv", 2904, 2976},
                 {"burstgpt_excerpt_dense_first_half.csv", 53, 0},
                 {"burstgpt_excerpt_span30s_first_half.csv", 79, 0},
                 {"mooncake_conversation.jsonl", 12031, 0},
                 {"lengths_arxiv_summarization.csv", 28257, 0},
                 {"lengths_sharegpt_8k.csv", 30731, 0},
                 {"lengths_sharegpt_predicted.csv", 39987, 13}};
    const char *data = getenv("ADAPTIVELLM_SHARED_DATA");
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/traces/%s", data ? data : "", files[i].file);
        FILE *there = fopen(path, "rb");
        if (!there) {
            print_message("%s is not there: set ADAPTIVELLM_SHARED_DATA\n", path);
            skip();
        }
        fclose(there);
        trace_reader_options options = trace_reader_options_defaults();
        options.skip_bad = true;
        trace_reader *r = NULL;
        errbuf err = {0};
        if (trace_reader_open(&r, path, &options, &err) != ST_OK) fail_msg("%s", err.text);
        trace_record record;
        uint64_t n = 0;
        while (trace_reader_next(r, &record, &err) == ST_OK) n++;
        if (n != files[i].n || trace_reader_n_bad(r) != files[i].n_bad)
            fail_msg("%s: %llu read, %llu bad", path, (unsigned long long)n,
                     (unsigned long long)trace_reader_n_bad(r));
        trace_reader_close(r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(azure_times_are_exact_over_midnight),
        cmocka_unit_test(dates_are_those_of_the_calendar),
        cmocka_unit_test(seconds_are_exact_to_the_nanosecond),
        cmocka_unit_test(whole_numbers_are_strict),
        cmocka_unit_test(failed_burstgpt_requests_are_counted),
        cmocka_unit_test(mooncake_records_carry_their_prefix),
        cmocka_unit_test(a_length_table_has_no_arrivals),
        cmocka_unit_test(a_vidur_trace_has_its_times),
        cmocka_unit_test(native_columns_are_optional_and_have_defaults),
        cmocka_unit_test(each_kind_of_bad_input_names_its_place_and_value),
        cmocka_unit_test(bad_lines_are_skipped_and_counted_on_request),
        cmocka_unit_test(a_bad_line_leaves_the_reader_usable),
        cmocka_unit_test(a_file_can_be_described_as_it_is),
        cmocka_unit_test(real_traces_read_to_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
