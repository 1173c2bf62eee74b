/* test_store.c - runs that are stored, thinned, killed, refused and written side by side. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine.h"
#include "store.h"
#include "stored_run.h"
#include "thinned_rows.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char folder[64], file[96];

static const run_info info = {.commit_hash = NULL,
                              .machine = "{\"cores\":2}",
                              .seed = UINT64_MAX,
                              .label = "night's",
                              .trace = "azure-conv",
                              .backend = "sim",
                              .device = "h200",
                              .model = "llama-3-8b",
                              .policy = "vllm-v1",
                              .settings = "{\"rate\":4.5}"};

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/test_store.XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(file, sizeof(file), "%s/results.db", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char name[128];
        snprintf(name, sizeof(name), "%s%s", file, suffixes[i]);
        unlink(name);
    }
    return rmdir(folder);
}

/* ------------------------------------------------------------ helpers */

static store *open_or_die(database_mode mode) {
    errbuf err = {0};
    store *s = NULL;
    status st = store_open(&s, file, mode, &err);
    if (st) fail_msg("%s", err.text);
    return s;
}

static request_row make_request(uint64_t id) {
    double t = (double)id;
    return (request_row){.request_id = id,
                         .arrival_s = t,
                         .first_scheduled_s = t + 1,
                         .first_token_s = t + 2,
                         .finish_s = t + 4,
                         .solo_s = 2,
                         .n_prompt = 100,
                         .n_output = 10,
                         .n_preemptions = 1,
                         .outcome = REQUEST_FINISHED};
}

/* A run with n requests and one sample. */
static store_run *begin_or_die(store *s, const run_info *of, size_t keep, uint64_t n) {
    store_run *run = NULL;
    assert_int_equal(store_begin_run(s, &run, of, keep, NULL), ST_OK);
    for (uint64_t id = 0; id < n; id++) {
        request_row row = make_request(id);
        assert_int_equal(store_add_request(run, &row, NULL), ST_OK);
    }
    sample_row sample = {.t_s = 0.5, .n_running = 3, .kv_used_blocks = 7, .kv_total_blocks = 9};
    assert_int_equal(store_add_sample(run, &sample, NULL), ST_OK);
    return run;
}

static int64_t commit_or_die(store_run *run) {
    run_figures figures = {0};
    errbuf err = {0};
    int64_t id = 0;
    status st = store_commit_run(run, &id, &figures, RUN_FINISHED, NULL, &err);
    if (st) fail_msg("%s", err.text);
    return id;
}

static double read_or_die(store *s, const char *sql) {
    statement *query;
    bool has_row = false;
    assert_int_equal(statement_create(&query, store_database(s), sql, NULL), ST_OK);
    assert_int_equal(statement_step(query, &has_row, NULL), ST_OK);
    assert_true(has_row);
    double value = statement_column_real(query, 0);
    statement_destroy(query);
    return value;
}

/* The exit status of a child; minus the signal if one ended it. */
static int wait_for(pid_t child) {
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

/* ------------------------------------------------------------ a run */

static void test_a_run_reads_back_as_it_was_stored(void **state) {
    (void)state;
    store *s = open_or_die(DATABASE_CREATE);
    store_run *run = begin_or_die(s, &info, STORE_KEEP_REQUESTS, 3);
    run_figures figures = {0};
    figures.known[FIG_n_requests] = figures.known[FIG_ttft_s_p99] = true;
    figures.value[FIG_n_requests] = 3;
    figures.value[FIG_ttft_s_p99] = 0.1;
    int64_t id = 0;
    assert_int_equal(store_commit_run(run, &id, &figures, RUN_ABORTED, "full", NULL), ST_OK);
    store_close(s);

    s = open_or_die(DATABASE_READ);
    stored_run got = {0};
    assert_int_equal(stored_run_read(&got, s, id, NULL), ST_OK);
    assert_true(got.seed == UINT64_MAX);
    assert_true(got.request_stride == 1);
    assert_null(got.commit_hash);
    assert_string_equal(got.machine, info.machine);
    assert_string_equal(got.label, info.label);
    assert_string_equal(got.trace, info.trace);
    assert_string_equal(got.backend, info.backend);
    assert_string_equal(got.device, info.device);
    assert_string_equal(got.model, info.model);
    assert_string_equal(got.policy, info.policy);
    assert_string_equal(got.settings, info.settings);
    assert_string_equal(got.outcome, "aborted");
    assert_string_equal(got.message, "full");
    assert_int_equal(strlen(got.created_utc), strlen("2024-01-31T12:00:00Z"));
    for (int i = 0; i < N_FIGURES; i++) assert_true(got.figures.known[i] == figures.known[i]);
    assert_true(got.figures.value[FIG_n_requests] == 3);
    assert_true(got.figures.value[FIG_ttft_s_p99] == 0.1);
    stored_run_finish(&got);
    store_close(s);
}

static void test_times_that_never_happened_are_null(void **state) {
    (void)state;
    store *s = open_or_die(DATABASE_CREATE);
    store_run *run = begin_or_die(s, &info, STORE_KEEP_REQUESTS, 0);
    request_row row = make_request(5);
    row.first_scheduled_s = row.first_token_s = row.finish_s = row.solo_s = (double)NAN;
    row.outcome = REQUEST_REJECTED;
    assert_int_equal(store_add_request(run, &row, NULL), ST_OK);
    commit_or_die(run);
    assert_true(read_or_die(s, "SELECT count(*) FROM request WHERE request_id = 5 AND "
                               "finish_s IS NULL AND first_token_s IS NULL AND solo_s IS NULL "
                               "AND first_scheduled_s IS NULL AND outcome = 'rejected'") == 1);
    store_close(s);
}

static void test_samples_keep_their_order_and_their_limit(void **state) {
    (void)state;
    enum { N = 5 * STORE_KEEP_SAMPLES };
    store *s = open_or_die(DATABASE_CREATE);
    store_run *run = NULL;
    assert_int_equal(store_begin_run(s, &run, &info, 0, NULL), ST_OK);
    for (int i = 0; i < N; i++) {
        sample_row row = {.t_s = i * 0.25, .n_running = (uint32_t)i};
        assert_int_equal(store_add_sample(run, &row, NULL), ST_OK);
    }
    commit_or_die(run);
    double n = read_or_die(s, "SELECT count(*) FROM sample");
    assert_true(n <= STORE_KEEP_SAMPLES && n >= STORE_KEEP_SAMPLES / 2);
    assert_true(read_or_die(s, "SELECT sum(t_s <> n_running * 0.25) FROM sample") == 0);
    assert_true(read_or_die(s, "SELECT max(n_running) FROM sample") >= N - 8);
    assert_true(read_or_die(s, "SELECT min(n_running) FROM sample") == 0);
    store_close(s);
}

static void test_a_long_run_keeps_an_even_part_and_counts_the_rest(void **state) {
    (void)state;
    store *s = open_or_die(DATABASE_CREATE);
    store_run *run = begin_or_die(s, &info, 100, 1000);
    assert_true(store_n_requests_dropped(run) == 1000 - 63); /* ids 0, 16, ... 992 */
    commit_or_die(run);
    assert_true(read_or_die(s, "SELECT request_stride FROM run") == 16);
    assert_true(read_or_die(s, "SELECT count(*) FROM request") == 63);
    assert_true(read_or_die(s, "SELECT sum(request_id % 16) FROM request") == 0);
    store_close(s);
}

static void test_keeping_none_stores_none(void **state) {
    (void)state;
    store *s = open_or_die(DATABASE_CREATE);
    store_run *run = begin_or_die(s, &info, 0, 10);
    assert_true(store_n_requests_dropped(run) == 10);
    commit_or_die(run);
    assert_true(read_or_die(s, "SELECT count(*) FROM request") == 0);
    assert_true(read_or_die(s, "SELECT request_stride FROM run") == 0);
    store_close(s);
}

/* Against the definition: with numbers in any order, what is kept is exactly the multiples of
 * the final stride. */
static void test_thinning_does_not_depend_on_the_order(void **state) {
    (void)state;
    for (uint64_t limit = 1; limit <= 9; limit++) {
        thinned_rows t;
        thinned_rows_init(&t, sizeof(uint64_t), limit);
        uint64_t n = 97;
        for (uint64_t i = 0; i < n; i++) {
            uint64_t number = i * 31 % n; /* 97 is prime: each number once */
            assert_int_equal(thinned_rows_add(&t, &number), ST_OK);
            assert_true(t.n <= limit);
        }
        assert_true(t.n_offered == n);
        assert_true(t.n == (n + t.stride - 1) / t.stride);
        thinned_rows_sort(&t);
        for (size_t i = 0; i < t.n; i++) {
            uint64_t number;
            memcpy(&number, t.rows + i * sizeof(number), sizeof(number));
            assert_true(number == i * t.stride);
        }
        thinned_rows_finish(&t);
    }
}

static void test_a_discarded_run_leaves_nothing(void **state) {
    (void)state;
    store *s = open_or_die(DATABASE_CREATE);
    store_discard_run(begin_or_die(s, &info, STORE_KEEP_REQUESTS, 10));
    store_discard_run(NULL);
    assert_true(read_or_die(s, "SELECT count(*) FROM run") == 0);
    store_close(s);
}

static void test_the_latest_runs_are_found_by_label(void **state) {
    (void)state;
    store *s = open_or_die(DATABASE_CREATE);
    run_info other = info;
    other.label = NULL;
    for (int i = 1; i <= 6; i++) commit_or_die(begin_or_die(s, i % 2 ? &info : &other, 10, 1));
    int64_t *ids = NULL;
    size_t n = 0;
    assert_int_equal(stored_run_find_latest(&ids, &n, s, NULL, 2, NULL), ST_OK);
    assert_int_equal(n, 2);
    assert_true(ids[0] == 5 && ids[1] == 6);
    free(ids);
    assert_int_equal(stored_run_find_latest(&ids, &n, s, info.label, 0, NULL), ST_OK);
    assert_int_equal(n, 3);
    assert_true(ids[0] == 1 && ids[1] == 3 && ids[2] == 5);
    free(ids);
    errbuf err = {0};
    assert_int_equal(stored_run_find_latest(&ids, &n, s, "none", 0, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "no run has the label 'none'"));
    stored_run run;
    assert_int_equal(stored_run_read(&run, s, 99, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "there is no run 99; it holds 6 runs, from 1 to 6"));
    store_close(s);
}

/* ------------------------------------------------------------ what goes wrong */

static void test_settings_that_are_not_json_are_refused(void **state) {
    (void)state;
    store *s = open_or_die(DATABASE_CREATE);
    run_info wrong = info;
    wrong.settings = "rate=4";
    store_run *run = begin_or_die(s, &wrong, 10, 1);
    run_figures figures = {0};
    int64_t id;
    errbuf err = {0};
    status st = store_commit_run(run, &id, &figures, RUN_FINISHED, NULL, &err);
    assert_int_equal(st, ST_INVALID);
    assert_non_null(strstr(err.text, "settings"));
    store_discard_run(run);
    assert_true(read_or_die(s, "SELECT count(*) FROM run") == 0);
    store_close(s);
}

static void test_a_killed_run_leaves_the_earlier_ones(void **state) {
    (void)state;
    store *s = open_or_die(DATABASE_CREATE);
    commit_or_die(begin_or_die(s, &info, 100, 10));
    store_close(s);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* Killed in the worst moment: in the transaction, with rows in the log. */
        s = open_or_die(DATABASE_CREATE);
        begin_or_die(s, &info, 100, 10);
        database *db = store_database(s);
        if (database_run(db, "PRAGMA cache_spill = 1; PRAGMA cache_size = 2", NULL)) _exit(1);
        if (database_begin(db, NULL)) _exit(1);
        if (database_run(db,
                         "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n "
                         "WHERE i < 20000) INSERT INTO request SELECT 1, i, 0, 1, 1, 0, 0, 0, "
                         "1, 0, 'finished' FROM n",
                         NULL))
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(wait_for(child), -SIGKILL);
    s = open_or_die(DATABASE_CREATE);
    assert_true(read_or_die(s, "SELECT count(*) FROM run") == 1);
    assert_true(read_or_die(s, "SELECT count(*) FROM request") == 10);
    assert_true(commit_or_die(begin_or_die(s, &info, 100, 10)) == 2);
    assert_true(read_or_die(s, "SELECT count(*) FROM pragma_integrity_check "
                               "WHERE integrity_check <> 'ok'") == 0);
    store_close(s);
}

static void test_two_processes_write_one_file(void **state) {
    (void)state;
    enum { N_RUNS = 10, N_REQUESTS = 500 };
    pid_t children[2];
    for (int c = 0; c < 2; c++) {
        children[c] = fork();
        assert_true(children[c] >= 0);
        if (children[c] > 0) continue;
        store *s = open_or_die(DATABASE_CREATE);
        for (int i = 0; i < N_RUNS; i++)
            commit_or_die(begin_or_die(s, &info, STORE_KEEP_REQUESTS, N_REQUESTS));
        store_close(s);
        _exit(0);
    }
    for (int c = 0; c < 2; c++) assert_int_equal(wait_for(children[c]), 0);
    store *s = open_or_die(DATABASE_READ);
    assert_true(read_or_die(s, "SELECT count(*) FROM run") == 2 * N_RUNS);
    assert_true(read_or_die(s, "SELECT count(*) FROM request") == 2 * N_RUNS * N_REQUESTS);
    store_close(s);
}

static void test_a_run_refused_by_a_lock_can_be_tried_again(void **state) {
    (void)state;
    store *owner = open_or_die(DATABASE_CREATE), *s = open_or_die(DATABASE_CREATE);
    assert_int_equal(database_begin(store_database(owner), NULL), ST_OK);
    store_set_busy_timeout(s, 0.02);
    store_run *run = begin_or_die(s, &info, 100, 10);
    run_figures figures = {0};
    int64_t id;
    errbuf err = {0};
    status st = store_commit_run(run, &id, &figures, RUN_FINISHED, NULL, &err);
    assert_int_equal(st, ST_BUSY);
    assert_non_null(strstr(err.text, file));
    database_rollback(store_database(owner));
    store_close(owner);
    assert_true(commit_or_die(run) == 1);
    assert_true(read_or_die(s, "SELECT count(*) FROM request") == 10);
    store_close(s);
}

static int commit_on_a_full_disk(void) {
    store *s = open_or_die(DATABASE_CREATE);
    store_run *run = begin_or_die(s, &info, STORE_KEEP_REQUESTS, 20000);
    struct rlimit limit = {128 * 1024, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    run_figures figures = {0};
    int64_t id;
    errbuf err = {0};
    if (store_commit_run(run, &id, &figures, RUN_FINISHED, NULL, &err) != ST_IO) return 2;
    if (!strstr(err.text, "what was stored before is intact")) return 3;
    if (read_or_die(s, "SELECT count(*) FROM run") != 1) return 4;
    limit.rlim_cur = RLIM_INFINITY; /* somebody makes room */
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 5;
    if (commit_or_die(run) != 2) return 6;
    store_close(s);
    return 0;
}

static void test_a_full_disk_leaves_the_earlier_runs_and_the_run(void **state) {
    (void)state;
    store *s = open_or_die(DATABASE_CREATE);
    commit_or_die(begin_or_die(s, &info, 100, 10));
    store_close(s);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(commit_on_a_full_disk());
    assert_int_equal(wait_for(child), 0);
    s = open_or_die(DATABASE_READ);
    assert_true(read_or_die(s, "SELECT count(*) FROM run") == 2);
    assert_true(read_or_die(s, "SELECT count(*) FROM request") == 20010);
    store_close(s);
}

static void test_damage_to_the_runs_is_told_on_opening(void **state) {
    (void)state;
    store *s = open_or_die(DATABASE_CREATE);
    for (int i = 0; i < 100; i++) commit_or_die(begin_or_die(s, &info, 10, 10));
    store_close(s);
    struct stat found;
    assert_int_equal(stat(file, &found), 0);
    FILE *out = fopen(file, "r+");
    assert_non_null(out);
    assert_int_equal(fseek(out, 4096, SEEK_SET), 0); /* behind the first page, the schema's */
    for (long i = 4096; i < found.st_size; i++) fputc(0xa5, out);
    assert_int_equal(fclose(out), 0);
    errbuf err = {0};
    assert_int_equal(store_open(&s, file, DATABASE_CREATE, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, file));
    assert_non_null(strstr(err.text, "move it away and run again"));
}

static void test_the_machine_is_described_without_its_name(void **state) {
    (void)state;
    char *text = machine_describe(), host[256] = "";
    assert_non_null(text);
    assert_non_null(strstr(text, "\"cpu\":"));
    assert_non_null(strstr(text, "\"cores\":"));
    assert_non_null(strstr(text, "\"kernel\":"));
    assert_non_null(strstr(text, "\"compiler\":"));
    if (gethostname(host, sizeof(host) - 1) == 0 && strlen(host) > 8)
        assert_null(strstr(text, host));
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_run_reads_back_as_it_was_stored),
        TEST(times_that_never_happened_are_null),
        TEST(samples_keep_their_order_and_their_limit),
        TEST(a_long_run_keeps_an_even_part_and_counts_the_rest),
        TEST(keeping_none_stores_none),
        cmocka_unit_test(test_thinning_does_not_depend_on_the_order),
        TEST(a_discarded_run_leaves_nothing),
        TEST(the_latest_runs_are_found_by_label),
        TEST(settings_that_are_not_json_are_refused),
        TEST(a_killed_run_leaves_the_earlier_ones),
        TEST(two_processes_write_one_file),
        TEST(a_run_refused_by_a_lock_can_be_tried_again),
        TEST(a_full_disk_leaves_the_earlier_runs_and_the_run),
        TEST(damage_to_the_runs_is_told_on_opening),
        cmocka_unit_test(test_the_machine_is_described_without_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
