/* test_validate.c - reading measured runs, figuring both sides, and the runs of real servers
 * within their limits. */
#include "import.h"
#include "measured_settings.h"
#include "profile_store.h"
#include "validate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ------------------------------------------------------------ files */

static char folder[] = "/tmp/test_validate_XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    static const char *const names[] = {"f", "p.db", "p.db-wal", "p.db-shm"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)remove(path); /* not all are there */
    }
    return rmdir(folder);
}

/* The path of a file that holds the text; valid until the next call. */
static const char *file_of(const char *text) {
    static char path[128];
    snprintf(path, sizeof(path), "%s/f", folder);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    return path;
}

static void assert_near(double value, double expected) {
    if (!(fabs(value - expected) < 1e-6)) fail_msg("%.12g is not %.12g", value, expected);
}

/* The second is queued at once; the first was 10 ms late, and waits 50 ms more. */
static const char two_requests[] =
    "{\"request_id\": \"a\", \"input_toks\": 100, \"output_toks\": 11, \"arrival_time\": "
    "1000.5, "
    "\"queued_ts\": 50.51, \"scheduled_ts\": 50.56, \"first_token_ts\": 50.7, "
    "\"last_token_ts\": 51.7}\n"
    "{\"request_id\": \"b\", \"input_toks\": 20, \"output_toks\": 1, \"arrival_time\": 1000.0, "
    "\"queued_ts\": 50.0, \"scheduled_ts\": 50.0, \"first_token_ts\": 50.2, "
    "\"last_token_ts\": 50.2}\n";

static void two_clocks_are_joined_by_the_request_that_was_queued_at_once(void **state) {
    (void)state;
    measured_run got;
    errbuf err = {0};
    assert_int_equal(measured_run_read(&got, file_of(two_requests), &err), ST_OK);
    assert_int_equal(got.n, 2);
    assert_int_equal(got.requests[0].n_prompt, 20); /* by arrival */
    assert_near(got.requests[0].ttft_s, 0.2);
    assert_near(got.requests[1].arrival_s, 0.5);
    assert_near(got.requests[1].ttft_s, 0.2);
    assert_near(got.requests[1].e2e_s, 1.2);
    assert_near(got.requests[1].queue_s, 0.05);
    measured_run_finish(&got);
}

static void a_table_is_read_by_the_names_of_its_columns(void **state) {
    (void)state;
    measured_run got;
    errbuf err = {0};
    const char *path =
        file_of("e2e_s,ttft_s,queue_s,completion_tokens,prompt_tokens,arrival_s\n"
                "2.5,0.5,0.1,5,300,7\n"
                "1.5,0.25,0,3,200,4\n");
    assert_int_equal(measured_run_read(&got, path, &err), ST_OK);
    assert_int_equal(got.n, 2);
    assert_int_equal(got.requests[1].n_prompt, 300);
    assert_int_equal(got.requests[1].n_output, 5);
    assert_near(got.requests[1].arrival_s, 3);
    assert_near(got.requests[1].ttft_s, 0.5);
    measured_run_finish(&got);
}

static void wrong_input_is_named_with_its_line_and_value(void **state) {
    (void)state;
    static const struct {
        const char *text, *named;
    } cases[] = {
        {"", "no request"},
        {"arrival_s,prompt_tokens\n", ":1: there is no column 'completion_tokens'"},
        {"arrival_s,prompt_tokens,completion_tokens,queue_s,ttft_s,e2e_s\n0,5,x,0,1,2\n",
         ":2: column completion_tokens: 'x'"},
        {"arrival_s,prompt_tokens,completion_tokens,queue_s,ttft_s,e2e_s\n0,5,0,0,1,2\n",
         ":2: output tokens: 0"},
        {"arrival_s,prompt_tokens,completion_tokens,queue_s,ttft_s,e2e_s\n0,5,1,0,3,2\n",
         ":2: time to the last token: 2"},
        {"arrival_s,prompt_tokens,completion_tokens,queue_s,ttft_s,e2e_s\n0,5,1,0,nan,2\n",
         ":2: column ttft_s: 'nan'"},
        {"{\"input_toks\": 3}\n", ":1: there is no number in field arrival_time"},
        {"{\"input_toks\": \n", ":1: "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        measured_run got;
        errbuf err = {0};
        assert_int_equal(measured_run_read(&got, file_of(cases[i].text), &err), ST_FORMAT);
        if (!strstr(err.text, cases[i].named))
            fail_msg("case %zu: '%s' does not name '%s'", i, err.text, cases[i].named);
    }
    measured_run got;
    errbuf err = {0};
    assert_int_equal(measured_run_read(&got, "/nowhere/at/all", &err), ST_IO);
}

static void settings_are_what_the_engine_was_started_with(void **state) {
    (void)state;
    measured_settings s;
    errbuf err = {0};
    const char *path =
        file_of("{\"model\": \"m\", \"vllm_version\": \"0.19.1\", \"kv_cache\": "
                "{\"num_gpu_blocks\": 7},"
                " \"engine_kwargs\": {\"tensor_parallel_size\": 2, \"max_num_seqs\": 128,"
                " \"max_model_len\": null}}");
    assert_int_equal(measured_settings_read(&s, path, &err), ST_OK);
    assert_string_equal(s.model, "m");
    assert_int_equal(s.version, 19);
    assert_int_equal(s.tp, 2);
    assert_int_equal(s.max_seqs, 128);
    assert_int_equal(s.max_model_len, 0);
    assert_int_equal(s.kv_blocks, 7);
    path = file_of("{\"engine_kwargs\": {\"max_num_seqs\": \"many\"}}");
    assert_int_equal(measured_settings_read(&s, path, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "max_num_seqs"));
    assert_int_equal(measured_settings_read(&s, file_of("{"), &err), ST_FORMAT);
}

/* ------------------------------------------------------------ figures */

static double error_of(const validation *v, const char *name) {
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->rows[i].name, name) == 0) return v->rows[i].error;
    fail_msg("there is no figure %s", name);
    return NAN;
}

/* Five requests; the simulation takes a tenth longer to the first token and to the last. */
static void both_sides_are_figured_alike(void **state) {
    (void)state;
    measured_request requests[5];
    double ttft_s[5], e2e_s[5];
    for (int i = 0; i < 5; i++) {
        requests[i] = (measured_request){.arrival_s = i,
                                         .queue_s = i == 3 ? 2 : 0,
                                         .ttft_s = 1 + i,
                                         .e2e_s = 11 + i,
                                         .n_prompt = 10,
                                         .n_output = 6};
        ttft_s[i] = 1.1 * requests[i].ttft_s;
        e2e_s[i] = 1.1 * requests[i].e2e_s;
    }
    simulated_tick ticks[] = {{0.5, 1, 0}, {1.5, 3, 2}, {9, 0, 0}};
    measured_tick seen[] = {{1, 2, 0}, {2, 3, 1}};
    const measured_run m = {requests, 5};
    const measured_series series = {seen, 2};
    const simulated_run s = {
        .ttft_s = ttft_s, .e2e_s = e2e_s, .n = 5, .ticks = ticks, .n_ticks = 3};
    validation v;
    errbuf err = {0};
    assert_int_equal(validation_make(&v, &m, &series, &s, &err), ST_OK);
    assert_near(error_of(&v, "ttft_s_mean"), 0.1);
    assert_near(error_of(&v, "ttft_s_p90"), 0.1);
    assert_near(error_of(&v, "e2e_s_p99"), 0.1);
    assert_near(error_of(&v, "tpot_s_mean"), 0.1);
    assert_near(error_of(&v, "ttft_s_request_error_p90"), 0.1);
    assert_near(error_of(&v, "makespan_s"), (4 + 1.1 * 15) / (4 + 15) - 1);
    assert_near(error_of(&v, "running_difference_max"), 1);
    assert_near(error_of(&v, "waiting_difference_mean"), 0.5);
    assert_int_equal(v.n_unsaturated, 2); /* without the first; the fourth was queued */
    for (size_t i = 0; i < v.n; i++)
        if (strcmp(v.rows[i].name, "ttft_s_p90") == 0)
            assert_near(v.rows[i].measured, 4.6); /* rank 0.9 x 4 of 1 2 3 4 5 */
}

/* A policy that reserves up to the declared limit holds the second of two short requests back:
 * nothing tells it that they are short. */
static void policies_do_not_see_how_long_the_measured_outputs_were(void **state) {
    (void)state;
    measured_request requests[] = {{0, 0, 1, 2, 500, 20}, {0, 0, 1, 2, 500, 20}};
    const measured_run two = {requests, 2};
    run_settings settings = run_settings_defaults();
    settings.policy = "trtllm-no-evict";
    settings.kv_blocks = 200;
    settings.has_kv_blocks = true;
    simulated_run s;
    errbuf err = {0};
    if (simulated_run_make(&s, &two, &settings, &err) != ST_OK) fail_msg("%s", err.text);
    assert_true(s.ttft_s[1] > s.e2e_s[0]);
    simulated_run_finish(&s);
}

/* ------------------------------------------------------------ asynchronous scheduling */

/* TTFT of a request that arrives while another one decodes. */
static double ttft_of_late_arrival(const char *policy_text) {
    measured_request requests[] = {{0, 0, 1, 2, 2000, 200}, {0.2, 0, 1, 2, 50, 5}};
    const measured_run two = {requests, 2};
    run_settings settings = run_settings_defaults();
    settings.policy = policy_text;
    simulated_run s;
    errbuf err = {0};
    if (simulated_run_make(&s, &two, &settings, &err) != ST_OK) fail_msg("%s", err.text);
    double ttft_s = s.ttft_s[1], first_s = s.ttft_s[0];
    assert_true(first_s < 0.2);
    simulated_run_finish(&s);
    return ttft_s;
}

static void an_asynchronous_scheduler_lets_an_arrival_wait_one_more_iteration(void **state) {
    (void)state;
    double sync_s = ttft_of_late_arrival("vllm-v1");
    double async_s = ttft_of_late_arrival("vllm-v1,async=on");
    /* One decode of Llama-3-8B on an H200 more: about 5 ms. */
    assert_true(async_s > sync_s + 0.004 && async_s < sync_s + 0.007);
}

/* ------------------------------------------------------------ real servers */

static const char *shared_data(void) {
    const char *shared = getenv("ADAPTIVELLM_SHARED_DATA");
    char path[512];
    snprintf(path, sizeof(path), "%s/profiles/measured_runs", shared ? shared : ".");
    if (shared && access(path, R_OK) == 0) return shared;
    print_message("no shared data: skipped\n");
    skip();
    return NULL;
}

static void import_table_of(profile_store *store, const char *shared, const char *name) {
    char path[512], *files[] = {path};
    snprintf(path, sizeof(path), "%s/profiles/llmservingsim/rtxpro6000/%s", shared, name);
    imported all;
    import_options options = {0};
    errbuf err = {0};
    if (profile_read_format(&all, "llmservingsim", files, 1, &options, &err) != ST_OK)
        fail_msg("%s", err.text);
    const import_group *g = &all.groups[0];
    profile_info info = {
        .device = g->device, .model = g->model, .tp = g->tp, .source = g->source};
    bool added;
    if (profile_store_add(store, &added, &info, g->samples, g->n, &err) != ST_OK)
        fail_msg("%s", err.text);
    imported_finish(&all);
}

/* A database of the tables of the RTX PRO 6000. */
static const char *make_profile(const char *shared) {
    static const char *const names[] = {
        "llama-3.1-8b_tp1_attention.csv", "llama-3.1-8b_tp1_dense.csv",
        "llama-3.1-8b_tp1_per_sequence.csv", "llama-3.1-8b_tp1_skew.csv"};
    static char path[128];
    snprintf(path, sizeof(path), "%s/p.db", folder);
    profile_store *store;
    errbuf err = {0};
    assert_int_equal(profile_store_open(&store, path, DATABASE_CREATE, &err), ST_OK);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        import_table_of(store, shared, names[i]);
    profile_store_close(store);
    return path;
}

/* Limits of the figures of the Llama-3.1-8B run on an RTX PRO 6000; nothing is fitted to it. */
static const struct {
    const char *name;
    double limit;
} limits[] = {
    {"makespan_s", 0.02},           {"output_throughput_tokens_per_s", 0.02},
    {"tpot_s_mean", 0.02},          {"tpot_s_p50", 0.03},
    {"tpot_s_p99", 0.03},           {"e2e_s_mean", 0.025},
    {"e2e_s_p99", 0.025},           {"ttft_s_mean", 0.03},
    {"ttft_s_p50", 0.08},           {"ttft_s_p90", 0.03},
    {"ttft_s_p99", 0.03},           {"ttft_unsaturated_s_mean", 0.15},
    {"running_difference_mean", 3}, {"waiting_difference_mean", 3},
};

static void a_real_server_is_met_within_the_limits(void **state) {
    (void)state;
    const char *shared = shared_data();
    char requests[512], ticks[512];
    const char *place = "profiles/measured_runs/vllm_rtxpro6000_llama-3.1-8b";
    snprintf(requests, sizeof(requests), "%s/%s_requests.jsonl", shared, place);
    snprintf(ticks, sizeof(ticks), "%s/%s_timeseries.csv", shared, place);
    run_settings settings = run_settings_defaults();
    settings.device = "rtx-pro-6000";
    settings.latency = "measured";
    settings.profile = make_profile(shared);
    settings.policy = "vllm-v1,async=on";
    settings.max_seqs = 128;
    settings.max_batched_tokens = 2048;
    measured_run m;
    measured_series series;
    simulated_run s;
    validation v;
    errbuf err = {0};
    assert_int_equal(measured_run_read(&m, requests, &err), ST_OK);
    assert_int_equal(measured_series_read(&series, ticks, &err), ST_OK);
    if (simulated_run_make(&s, &m, &settings, &err) != ST_OK) fail_msg("%s", err.text);
    assert_int_equal(validation_make(&v, &m, &series, &s, &err), ST_OK);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        double error = error_of(&v, limits[i].name);
        if (fabs(error) > limits[i].limit)
            fail_msg("%s is off by %g, more than %g", limits[i].name, error, limits[i].limit);
    }
    measured_run_finish(&m);
    measured_series_finish(&series);
    simulated_run_finish(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_clocks_are_joined_by_the_request_that_was_queued_at_once),
        cmocka_unit_test(a_table_is_read_by_the_names_of_its_columns),
        cmocka_unit_test(wrong_input_is_named_with_its_line_and_value),
        cmocka_unit_test(settings_are_what_the_engine_was_started_with),
        cmocka_unit_test(both_sides_are_figured_alike),
        cmocka_unit_test(policies_do_not_see_how_long_the_measured_outputs_were),
        cmocka_unit_test(an_asynchronous_scheduler_lets_an_arrival_wait_one_more_iteration),
        cmocka_unit_test(a_real_server_is_met_within_the_limits),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
