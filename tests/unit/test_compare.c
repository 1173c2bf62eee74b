/* test_compare.c - the comparison of stored runs: table, warnings, JSON and the command. */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "compare.h"
#include "store.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char folder[64], file[96], out_file[96], err_file[96], json_file[96];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/test_compare.XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(file, sizeof(file), "%s/results.db", folder);
    snprintf(out_file, sizeof(out_file), "%s/out", folder);
    snprintf(err_file, sizeof(err_file), "%s/err", folder);
    snprintf(json_file, sizeof(json_file), "%s/json", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    const char *const names[] = {file, out_file, err_file, json_file};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) unlink(names[i]);
    return rmdir(folder);
}

/* ------------------------------------------------------------ helpers */

static void set_figure(run_figures *figures, figure_id id, double value) {
    figures->known[id] = true;
    figures->value[id] = value;
}

static char sharegpt[] = "sharegpt", azure[] = "azure-conv", finished[] = "finished",
            aborted[] = "aborted", llama[] = "llama-3-8b", h200[] = "h200", sim[] = "sim",
            v0[] = "vllm-v0-swap", v1[] = "vllm-v1", full[] = "the host pool is full";

static stored_run make_run(int64_t id, char *policy, double ttft_s) {
    stored_run run = {.id = id,
                      .seed = 1,
                      .policy = policy,
                      .trace = sharegpt,
                      .model = llama,
                      .device = h200,
                      .backend = sim,
                      .outcome = finished};
    set_figure(&run.figures, FIG_ttft_s_mean, ttft_s);
    set_figure(&run.figures, FIG_n_requests, 1234567);
    return run;
}

typedef void (*printer)(FILE *out, const stored_run *runs, size_t n);

static void print_chosen(FILE *out, const stored_run *runs, size_t n) {
    compare_print_table(out, runs, n, &(compare_view){0});
}

static void print_all(FILE *out, const stored_run *runs, size_t n) {
    compare_print_table(out, runs, n, &(compare_view){.all = true});
}

static void print_warnings(FILE *out, const stored_run *runs, size_t n) {
    compare_print_warnings(out, "! ", runs, n, &(compare_view){0});
}

static void print_validation(FILE *out, const stored_run *runs, size_t n) {
    compare_view view = {.errors = true};
    compare_print_warnings(out, "! ", runs, n, &view);
    compare_print_table(out, runs, n, &view);
}

/* What print writes; valid until the next call. */
static char *printed(printer print, const stored_run *runs, size_t n) {
    static char text[65536];
    text[0] = '\0'; /* a stream that gets nothing leaves it alone */
    FILE *out = fmemopen(text, sizeof(text), "w");
    assert_non_null(out);
    print(out, runs, n);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void assert_holds(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("'%s' is not in:\n%s", part, text);
}

/* ------------------------------------------------------------ table, warnings, JSON */

static void test_a_ratio_needs_both_figures_and_a_base(void **state) {
    (void)state;
    stored_run a = make_run(1, v0, 2), b = make_run(2, v1, 3);
    double ratio = -1;
    assert_true(compare_ratio(&ratio, &a, &b, FIG_ttft_s_mean));
    assert_true(ratio == 1.5);
    assert_false(compare_ratio(&ratio, &a, &b, FIG_tpot_s_mean));
    set_figure(&a.figures, FIG_n_preemptions, 0);
    set_figure(&b.figures, FIG_n_preemptions, 7);
    assert_false(compare_ratio(&ratio, &a, &b, FIG_n_preemptions));
    assert_true(ratio == 1.5);
}

static void test_the_table_shows_values_and_ratios(void **state) {
    (void)state;
    stored_run runs[] = {make_run(7, v0, 0.25), make_run(12, v1, 0.1)};
    char *text = printed(print_chosen, runs, 2);
    assert_holds(text, "\nTTFT, s, mean");
    assert_holds(text, "0.2500   0.1000   0.400x\n");
    assert_holds(text, "1234567  1234567   1.000x\n");
    assert_holds(text, "run 7");
    assert_holds(text, "to 7\n");
    assert_null(strstr(text, "TPOT")); /* nobody knows it */
    text = printed(print_all, runs, 2);
    assert_holds(text, "\nTPOT, s, mean");
    for (int i = 0; i < N_FIGURES; i++) assert_holds(text, figure_text((figure_id)i));
}

static void test_lines_of_the_table_are_aligned(void **state) {
    (void)state;
    stored_run runs[] = {make_run(1, v0, 0.25), make_run(2, v1, 123.456),
                         make_run(3, v0, 1e-7)};
    char *text = printed(print_chosen, runs, 3);
    char *table = strstr(text, "\n\n") + 2, *line = strtok(table, "\n");
    size_t length = strlen(line);
    for (; line; line = strtok(NULL, "\n")) assert_int_equal(strlen(line), length);
}

static void test_runs_that_differ_are_warned_about(void **state) {
    (void)state;
    stored_run runs[] = {make_run(1, v0, 1), make_run(2, v1, 1)};
    char *text = printed(print_warnings, runs, 2);
    assert_string_equal(text, ""); /* the policy is what is compared */
    runs[1].trace = azure;
    runs[1].model = NULL;
    runs[1].seed = UINT64_MAX;
    runs[1].outcome = aborted;
    runs[1].message = full;
    text = printed(print_warnings, runs, 2);
    assert_holds(text,
                 "! the runs differ in trace: run 1 has sharegpt, run 2 has azure-conv\n");
    assert_holds(text, "! the runs differ in model: run 1 has llama-3-8b, run 2 has -\n");
    assert_holds(text, "differ in seed: run 1 has 1, run 2 has 18446744073709551615\n");
    assert_holds(text, "! run 2 did not finish (aborted: the host pool is full)");
    assert_null(strstr(text, "device"));
}

static void test_settings_that_differ_are_named(void **state) {
    (void)state;
    static char settings[][160] = {
        "{\"seed\":1,\"rate\":40.0,\"tp\":1,\"kv_blocks\":800,\"noise\":0.1,\"drift\":null,"
        "\"policy\":\"a\",\"latency\":\"analytic\",\"horizon\":true}",
        "{\"seed\":2,\"rate\":40.0,\"tp\":2,\"kv_blocks\":600,\"noise\":0.1,"
        "\"policy\":\"b\",\"latency\":\"measured\",\"horizon\":false}",
        "{\"seed\":1,\"rate\":40.0,\"tp\":2,\"kv_blocks\":800,\"noise\":0.1,"
        "\"policy\":\"a\",\"latency\":\"analytic\",\"link_gbs\":20.5}",
        "{\"tp\":1,\"kv_blocks\":800,\"noise\":0.1,\"latency\":\"x\",\"threads\":2}"};
    stored_run runs[] = {make_run(1, v0, 1), make_run(2, v1, 1), make_run(3, v1, 1)};
    runs[0].settings = settings[0];
    assert_string_equal(printed(print_warnings, runs, 3), ""); /* of one run only: not known */
    for (int i = 0; i < 3; i++) runs[i].settings = settings[i];
    assert_string_equal(printed(print_warnings, runs, 3),
                        "! the runs differ in settings: tp (1, 2), kv_blocks (800, 600), "
                        "latency (analytic, measured), link_gbs (none, 20.5)\n");
    /* What one policy asks a predictor is none of the device's, unless times are looked up. */
    char asks[] =
        "{\"tp\":1,\"latency\":\"analytic\",\"profile\":\"p.db\",\"host_step_us\":0.0}";
    char asks_nobody[] = "{\"tp\":1,\"latency\":\"analytic\"}";
    char looks_up[] = "{\"tp\":1,\"latency\":\"measured\",\"profile\":\"q.db\"}";
    runs[0].settings = asks;
    runs[1].settings = asks_nobody;
    assert_string_equal(printed(print_warnings, runs, 2), "");
    runs[1].settings = looks_up;
    assert_holds(printed(print_warnings, runs, 2), "profile (p.db, q.db)");
    /* A measured run is not simulated, and its device has settings of its own. */
    char cpu[] = "cpu";
    stored_run pair[] = {make_run(1, v0, 1), make_run(2, v0, 1)};
    pair[0].backend = cpu;
    pair[0].settings = settings[3];
    pair[1].settings = settings[0];
    assert_null(strchr(printed(print_validation, pair, 2), '!'));
    pair[1].settings = settings[1];
    assert_holds(printed(print_validation, pair, 2),
                 "! the runs differ in settings: tp (1, 2), kv_blocks (800, 600)\n");
}

static void test_a_validation_shows_errors(void **state) {
    (void)state;
    char cpu[] = "cpu";
    stored_run runs[] = {make_run(1, v0, 0.25), make_run(2, v0, 0.24)};
    runs[0].backend = runs[0].device = cpu;
    char *text = printed(print_validation, runs, 2);
    assert_null(strchr(text, '!')); /* backend and device are what is compared */
    assert_holds(text, "-4.00%");
    assert_holds(text, "error\n");
    runs[1].policy = v1;
    assert_holds(printed(print_validation, runs, 2),
                 "! the runs differ in policy: run 1 has vllm-v0-swap, run 2 has vllm-v1\n");
}

static void write_json(FILE *out, const stored_run *runs, size_t n) {
    assert_int_equal(compare_write_json(out, runs, n), ST_OK);
}

static void test_json_holds_all_figures_and_ratios(void **state) {
    (void)state;
    stored_run runs[] = {make_run(1, v0, 0.25), make_run(2, v1, 0.1)};
    char settings[] = "{\"rate\":4}";
    runs[0].settings = settings;
    char *text = printed(write_json, runs, 2);
    json_t *json = json_loads(text, 0, NULL), *list = json_object_get(json, "runs");
    json_t *first = json_array_get(list, 0), *figures = json_object_get(first, "figures");
    assert_int_equal(json_array_size(list), 2);
    assert_int_equal(json_object_size(figures), N_FIGURES);
    assert_true(json_real_value(json_object_get(figures, "ttft_s_mean")) == 0.25);
    assert_int_equal(json_integer_value(json_object_get(figures, "n_requests")), 1234567);
    assert_true(json_is_null(json_object_get(figures, "tpot_s_mean")));
    assert_true(json_is_object(json_object_get(first, "settings")));
    assert_true(json_is_null(json_object_get(first, "label")));
    json_t *ratio = json_array_get(json_object_get(json, "ratios"), 0);
    assert_int_equal(json_integer_value(json_object_get(ratio, "run")), 2);
    assert_int_equal(json_integer_value(json_object_get(ratio, "base")), 1);
    figures = json_object_get(ratio, "figures");
    assert_true(json_real_value(json_object_get(figures, "ttft_s_mean")) == 0.1 / 0.25);
    assert_true(json_is_null(json_object_get(figures, "tpot_s_mean")));
    json_decref(json);
}

/* ------------------------------------------------------------ command */

static void store_run_of(const char *policy, const char *label, uint64_t seed) {
    store *s = NULL;
    store_run *run = NULL;
    run_info info = {.policy = policy, .label = label, .seed = seed, .trace = "sharegpt"};
    run_figures figures = {0};
    set_figure(&figures, FIG_n_requests, 100);
    int64_t id;
    assert_int_equal(store_open(&s, file, DATABASE_CREATE, NULL), ST_OK);
    assert_int_equal(store_begin_run(s, &run, &info, 0, NULL), ST_OK);
    errbuf err = {0};
    status st = store_commit_run(run, &id, &figures, RUN_FINISHED, NULL, &err);
    if (st) fail_msg("%s", err.text);
    store_close(s);
}

static void send_to(int fd, const char *path) {
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (to < 0 || dup2(to, fd) < 0) _exit(99);
}

/* Exit status of `compare` with these words, which end with NULL; output goes to the files. */
static int run_command(char **words) {
    char *argv[16] = {(char[]){"compare"}};
    int argc = 1;
    while (*words) argv[argc++] = *words++;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        send_to(STDOUT_FILENO, out_file);
        send_to(STDERR_FILENO, err_file);
        int code = cmd_compare(argc, argv);
        fflush(NULL);
        _exit(code);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    return WEXITSTATUS(how);
}

#define RUN(...)         run_command((char *[]){__VA_ARGS__, NULL})
#define RUN_ON_FILE(...) RUN("--results", file, __VA_ARGS__)

static void assert_file_holds(const char *path, const char *part) {
    char text[16384];
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
    fclose(in);
    assert_holds(text, part);
}

static void test_the_command_takes_the_latest_runs(void **state) {
    (void)state;
    for (uint64_t i = 1; i <= 4; i++) store_run_of("vllm-v1", i < 4 ? "a" : "b", i);
    assert_int_equal(RUN("--results", file), EXIT_DONE);
    assert_file_holds(out_file, "run 3");
    assert_file_holds(out_file, "run 4");
    assert_file_holds(err_file, "warning: the runs differ in seed: run 3 has 3, run 4 has 4");
    assert_int_equal(RUN_ON_FILE("--label", "a"), EXIT_DONE);
    assert_file_holds(out_file, "run 1");
    assert_file_holds(out_file, "run 3");
    assert_int_equal(RUN_ON_FILE("--last", "3"), EXIT_DONE);
    assert_file_holds(out_file, "run 2");
    assert_int_equal(RUN_ON_FILE("4", "1"), EXIT_DONE);
    assert_file_holds(out_file, "to 4");
    assert_int_equal(RUN_ON_FILE("--json", json_file), EXIT_DONE);
    assert_file_holds(json_file, "\"ratios\"");
    assert_file_holds(out_file, "requests");
    assert_int_equal(RUN_ON_FILE("--json", "-"), EXIT_DONE);
    json_error_t error;
    json_t *json = json_load_file(out_file, 0, &error); /* nothing else is in it */
    assert_non_null(json);
    json_decref(json);
}

static void test_the_command_says_what_is_wrong(void **state) {
    (void)state;
    assert_int_equal(RUN("--results", file), EXIT_FAILED);
    assert_file_holds(err_file, "there is no such results database");
    store_run_of("vllm-v1", "a", 1);
    assert_int_equal(RUN("--results", file), EXIT_FAILED);
    assert_file_holds(err_file, "only run 1 is there");
    assert_int_equal(RUN_ON_FILE("1", "5"), EXIT_FAILED);
    assert_file_holds(err_file, "there is no run 5");
    assert_int_equal(RUN_ON_FILE("--label", "none"), EXIT_FAILED);
    assert_file_holds(err_file, "no run has the label 'none'");
    assert_int_equal(RUN_ON_FILE("1", "1", "--json", "/nowhere/x"), EXIT_FAILED);
    assert_file_holds(err_file, "/nowhere/x: cannot be written");
    assert_int_equal(RUN("1", "2"), EXIT_MISUSE);
    assert_file_holds(err_file, "--results DB is missing");
    assert_int_equal(RUN_ON_FILE("one", "2"), EXIT_MISUSE);
    assert_file_holds(err_file, "not the number of a run: one");
    assert_int_equal(RUN_ON_FILE("1"), EXIT_MISUSE);
    assert_int_equal(RUN_ON_FILE("1", "2", "--last", "2"), EXIT_MISUSE);
    assert_int_equal(RUN_ON_FILE("--last", "0"), EXIT_MISUSE);
    assert_int_equal(RUN("--validate"), EXIT_MISUSE);
    assert_int_equal(RUN("--help"), EXIT_DONE);
    assert_file_holds(out_file, "--results DB");
}

#define TEST(name) cmocka_unit_test(test_##name)
#define TEST_OF_COMMAND(name)                                                                  \
    cmocka_unit_test_setup_teardown(test_##name, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_ratio_needs_both_figures_and_a_base),
        TEST(the_table_shows_values_and_ratios),
        TEST(lines_of_the_table_are_aligned),
        TEST(runs_that_differ_are_warned_about),
        TEST(settings_that_differ_are_named),
        TEST(a_validation_shows_errors),
        TEST(json_holds_all_figures_and_ratios),
        TEST_OF_COMMAND(the_command_takes_the_latest_runs),
        TEST_OF_COMMAND(the_command_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
