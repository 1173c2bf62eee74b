/* test_database.c - files that are new, foreign, old, damaged, locked, full or read-only. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "database.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const database_schema schema = {
    "number database", 0x4e554d42, 3,
    "CREATE TABLE number(id INTEGER PRIMARY KEY, value REAL, name TEXT) STRICT;"
    "CREATE TABLE part(number_id INTEGER NOT NULL REFERENCES number(id)) STRICT"};

static char folder[64], file[96];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/test_database.XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(file, sizeof(file), "%s/a#b%%20c?.db", folder); /* characters that URIs reserve */
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

static database *open_or_die(database_mode mode) {
    errbuf err = {0};
    database *db = NULL;
    status st = database_open(&db, file, mode, &schema, &err);
    if (st) fail_msg("%s", err.text);
    return db;
}

static void run_or_die(database *db, const char *sql) {
    errbuf err = {0};
    status st = database_run(db, sql, &err);
    if (st) fail_msg("%s", err.text);
}

static int64_t read_or_die(database *db, const char *sql) {
    statement *s;
    bool has_row = false;
    assert_int_equal(statement_create(&s, db, sql, NULL), ST_OK);
    assert_int_equal(statement_step(s, &has_row, NULL), ST_OK);
    assert_true(has_row);
    int64_t value = statement_column_integer(s, 0);
    statement_destroy(s);
    return value;
}

/* Opening must fail with that status and a message that holds the file and the advice. */
static void assert_refused(database_mode mode, const database_schema *wanted, status expected,
                           const char *advice) {
    errbuf err = {0};
    database *db = NULL;
    assert_int_equal(database_open(&db, file, mode, wanted, &err), expected);
    assert_null(db);
    assert_non_null(strstr(err.text, file));
    assert_non_null(strstr(err.text, advice));
}

static void write_bytes(long offset, const char *mode, const char *bytes, size_t n) {
    FILE *out = fopen(file, mode);
    assert_non_null(out);
    assert_int_equal(fseek(out, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static const char many_rows[] =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
    "INSERT INTO number(value, name) SELECT i, 'some text to fill the pages' FROM n";

/* The exit status of a child, which must not have died by a signal. */
static int wait_for(pid_t child) {
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    return WEXITSTATUS(how);
}

/* ------------------------------------------------------------ tests */

static void test_a_new_file_gets_the_schema_and_a_log(void **state) {
    (void)state;
    database *db = open_or_die(DATABASE_CREATE);
    assert_string_equal(database_path(db), file);
    assert_int_equal(read_or_die(db, "PRAGMA application_id"), schema.application_id);
    assert_int_equal(read_or_die(db, "PRAGMA user_version"), schema.version);
    assert_int_equal(read_or_die(db, "SELECT count(*) FROM number"), 0);
    statement *s;
    bool has_row = false;
    assert_int_equal(statement_create(&s, db, "PRAGMA journal_mode", NULL), ST_OK);
    assert_int_equal(statement_step(s, &has_row, NULL), ST_OK);
    assert_string_equal(statement_column_text(s, 0), "wal");
    statement_destroy(s);
    database_close(db);
}

static void test_values_come_back_as_they_were_bound(void **state) {
    (void)state;
    database *db = open_or_die(DATABASE_CREATE);
    statement *s;
    const char sql[] = "INSERT INTO number VALUES (?,?,?)";
    assert_int_equal(statement_create(&s, db, sql, NULL), ST_OK);
    statement_bind_integer(s, 1, INT64_MAX);
    statement_bind_real(s, 2, 0.1);
    statement_bind_text(s, 3, "it's");
    assert_int_equal(statement_run(s, NULL), ST_OK);
    statement_bind_integer(s, 1, 1);
    statement_bind_real(s, 2, (double)NAN);
    statement_bind_text(s, 3, NULL);
    assert_int_equal(statement_run(s, NULL), ST_OK);
    assert_int_equal(database_last_row_id(db), 1);
    statement_destroy(s);

    bool has_row = false;
    assert_int_equal(statement_create(&s, db, "SELECT * FROM number ORDER BY id", NULL), ST_OK);
    assert_int_equal(statement_step(s, &has_row, NULL), ST_OK);
    assert_true(statement_column_is_null(s, 1));
    assert_null(statement_column_text(s, 2));
    assert_int_equal(statement_step(s, &has_row, NULL), ST_OK);
    assert_int_equal(statement_column_integer(s, 0), INT64_MAX);
    assert_true(statement_column_real(s, 1) == 0.1);
    assert_string_equal(statement_column_text(s, 2), "it's");
    assert_int_equal(statement_step(s, &has_row, NULL), ST_OK);
    assert_false(has_row);
    statement_destroy(s);
    database_close(db);
}

static void test_wrong_sql_and_broken_constraints_are_invalid(void **state) {
    (void)state;
    database *db = open_or_die(DATABASE_CREATE);
    errbuf err = {0};
    assert_int_equal(database_run(db, "SELEC 1", &err), ST_INVALID);
    assert_non_null(strstr(err.text, "SELEC"));
    assert_int_equal(database_run(db, "INSERT INTO part VALUES (7)", &err), ST_INVALID);
    assert_non_null(strstr(err.text, "FOREIGN KEY"));
    assert_int_equal(database_run(db, "INSERT INTO number VALUES (1, 'x', 'y')", &err),
                     ST_INVALID);
    database_close(db);
}

static void test_a_rolled_back_transaction_leaves_nothing(void **state) {
    (void)state;
    database *db = open_or_die(DATABASE_CREATE);
    assert_int_equal(database_begin(db, NULL), ST_OK);
    run_or_die(db, "INSERT INTO number(value) VALUES (1)");
    database_rollback(db);
    database_rollback(db); /* nothing is open: nothing happens */
    assert_int_equal(read_or_die(db, "SELECT count(*) FROM number"), 0);
    database_close(db);
}

static void test_a_missing_or_empty_file_cannot_be_read(void **state) {
    (void)state;
    assert_refused(DATABASE_READ, &schema, ST_NOT_FOUND, "there is no such number database");
    write_bytes(0, "w", "", 0);
    assert_refused(DATABASE_READ, &schema, ST_NOT_FOUND, "nothing has been stored");
    database_close(open_or_die(DATABASE_CREATE)); /* but it can be filled */
}

static void test_a_missing_or_empty_file_is_not_made_by_an_update(void **state) {
    (void)state;
    assert_refused(DATABASE_UPDATE, &schema, ST_NOT_FOUND, "there is no such number database");
    assert_true(access(file, F_OK) != 0);
    write_bytes(0, "w", "", 0);
    assert_refused(DATABASE_UPDATE, &schema, ST_NOT_FOUND, "nothing has been stored");
    database_close(open_or_die(DATABASE_CREATE));
    database *db = open_or_die(DATABASE_UPDATE);
    run_or_die(db, many_rows);
    database_close(db);
}

static void test_a_missing_folder_is_named(void **state) {
    (void)state;
    errbuf err = {0};
    database *db;
    assert_int_equal(database_open(&db, "/nowhere/x.db", DATABASE_CREATE, &schema, &err),
                     ST_IO);
    assert_non_null(strstr(err.text, "/nowhere/x.db"));
    assert_non_null(strstr(err.text, "folder"));
    assert_int_equal(database_open(&db, "", DATABASE_CREATE, &schema, &err), ST_INVALID);
}

static void test_another_version_is_refused(void **state) {
    (void)state;
    database_close(open_or_die(DATABASE_CREATE));
    database_schema newer = schema;
    newer.version++;
    assert_refused(DATABASE_CREATE, &newer, ST_VERSION, "version 3");
    assert_refused(DATABASE_READ, &newer, ST_VERSION, "move it away");
}

static void test_a_database_of_another_program_is_refused(void **state) {
    (void)state;
    database_close(open_or_die(DATABASE_CREATE));
    database_schema other = schema;
    other.application_id++;
    assert_refused(DATABASE_CREATE, &other, ST_FORMAT, "another program");
}

static void test_another_kind_of_database_is_named(void **state) {
    (void)state;
    database_schema profiles = schema, results = schema;
    profiles.application_id = DATABASE_PROFILES_ID;
    results.application_id = DATABASE_RESULTS_ID;
    database *db = NULL;
    assert_int_equal(database_open(&db, file, DATABASE_CREATE, &profiles, NULL), ST_OK);
    database_close(db);
    assert_refused(DATABASE_READ, &results, ST_FORMAT, "is a profile database, not a number");
    assert_refused(DATABASE_CREATE, &results, ST_FORMAT, "name another file");
    assert_int_equal(unlink(file), 0);
    assert_int_equal(database_open(&db, file, DATABASE_CREATE, &results, NULL), ST_OK);
    database_close(db);
    assert_refused(DATABASE_READ, &profiles, ST_FORMAT, "is a results database, not a number");
}

static void test_a_text_file_is_refused_and_kept(void **state) {
    (void)state;
    static const char text[] = "TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,3\n";
    write_bytes(0, "w", text, strlen(text));
    assert_refused(DATABASE_CREATE, &schema, ST_FORMAT, "move it away");
    struct stat info;
    assert_int_equal(stat(file, &info), 0);
    assert_int_equal(info.st_size, strlen(text));
}

static void test_damage_in_the_middle_is_told_when_it_is_met(void **state) {
    (void)state;
    database *db = open_or_die(DATABASE_CREATE);
    run_or_die(db, many_rows);
    database_close(db);
    struct stat info;
    assert_int_equal(stat(file, &info), 0);
    char junk[3 * 4096];
    memset(junk, 0xa5, sizeof(junk));
    write_bytes(info.st_size / 2 / 4096 * 4096, "r+", junk, sizeof(junk));

    db = open_or_die(DATABASE_READ);
    statement *s;
    errbuf err = {0};
    bool has_row = true;
    status st = statement_create(&s, db, "SELECT sum(value) FROM number", &err);
    assert_int_equal(st, ST_OK);
    assert_int_equal(statement_step(s, &has_row, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "is damaged or not a number database"));
    assert_non_null(strstr(err.text, "move it away and run again"));
    statement_destroy(s);
    database_close(db);
}

static void test_a_locked_file_is_busy_until_it_is_released(void **state) {
    (void)state;
    database *owner = open_or_die(DATABASE_CREATE), *other = open_or_die(DATABASE_CREATE);
    assert_int_equal(database_begin(owner, NULL), ST_OK);
    errbuf err = {0};
    database_set_busy_timeout(other, 0.02);
    assert_int_equal(database_begin(other, &err), ST_BUSY);
    assert_non_null(strstr(err.text, "another process"));
    assert_int_equal(read_or_die(other, "SELECT count(*) FROM number"), 0); /* readers go on */
    assert_int_equal(database_commit(owner, NULL), ST_OK);
    assert_int_equal(database_begin(other, &err), ST_OK);
    database_rollback(other);
    database_close(owner);
    database_close(other);
}

static void test_a_full_disk_undoes_the_transaction_only(void **state) {
    (void)state;
    database *db = open_or_die(DATABASE_CREATE);
    run_or_die(db, "INSERT INTO number(value) VALUES (1)");
    run_or_die(db, "PRAGMA max_page_count = 6");
    errbuf err = {0};
    assert_int_equal(database_begin(db, NULL), ST_OK);
    assert_int_equal(database_run(db, many_rows, &err), ST_IO);
    assert_non_null(strstr(err.text, "free disk space"));
    database_rollback(db);
    assert_int_equal(read_or_die(db, "SELECT count(*) FROM number"), 1);
    database_close(db);
}

static int write_beyond_the_file_size_limit(void) {
    errbuf err = {0};
    database *db;
    if (database_open(&db, file, DATABASE_CREATE, &schema, &err)) return 1;
    struct rlimit limit = {64 * 1024, 64 * 1024};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    if (database_begin(db, &err)) return 3;
    status st = database_run(db, many_rows, &err);
    if (!st) st = database_commit(db, &err);
    if (st != ST_IO) return 4;
    if (!strstr(err.text, "what was stored before is intact")) return 5;
    database_rollback(db);
    bool intact = read_or_die(db, "SELECT count(*) FROM number") == 1;
    database_close(db);
    return intact ? 0 : 6;
}

static void test_a_failing_write_undoes_the_transaction_only(void **state) {
    (void)state;
    database *db = open_or_die(DATABASE_CREATE);
    run_or_die(db, "INSERT INTO number(value) VALUES (1)");
    database_close(db);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(write_beyond_the_file_size_limit());
    assert_int_equal(wait_for(child), 0);
    db = open_or_die(DATABASE_READ);
    assert_int_equal(read_or_die(db, "SELECT count(*) FROM number"), 1);
    database_close(db);
}

/* In a child, as somebody whom the rights of files bind. */
static int read_as_nobody(void) {
    if (geteuid() == 0 && setuid(65534) != 0) return 77;
    database *db;
    if (database_open(&db, file, DATABASE_CREATE, &schema, NULL) != ST_IO) return 1;
    errbuf err = {0};
    if (database_open(&db, file, DATABASE_READ, &schema, &err)) return 2;
    if (read_or_die(db, "SELECT count(*) FROM number") != 1) return 3;
    if (database_run(db, "DELETE FROM number", &err) != ST_IO) return 4;
    database_close(db);
    char name[128];
    snprintf(name, sizeof(name), "%s.new", file);
    if (database_open(&db, name, DATABASE_CREATE, &schema, &err) != ST_IO) return 5;
    return strstr(err.text, "Permission denied") ? 0 : 6;
}

static void test_a_file_in_a_read_only_folder_can_be_read(void **state) {
    (void)state;
    database *db = open_or_die(DATABASE_CREATE);
    run_or_die(db, "INSERT INTO number(value) VALUES (1)");
    database_close(db);
    assert_int_equal(chmod(file, 0444), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(read_as_nobody());
    int code = wait_for(child);
    assert_int_equal(chmod(folder, 0755), 0);
    if (code == 77) {
        print_message("cannot become another user here\n");
        skip();
    }
    assert_int_equal(code, 0);
}

static void test_reading_leaves_no_files_behind(void **state) {
    (void)state;
    database_close(open_or_die(DATABASE_CREATE));
    database *db = open_or_die(DATABASE_READ);
    assert_int_equal(read_or_die(db, "SELECT count(*) FROM number"), 0);
    assert_int_equal(database_run(db, "DELETE FROM number", NULL), ST_IO); /* not written */
    database_close(db);
    char log[128];
    snprintf(log, sizeof(log), "%s-wal", file);
    assert_int_not_equal(access(log, F_OK), 0);
}

static void test_processes_that_open_one_new_file_all_succeed(void **state) {
    (void)state;
    enum { N_CHILDREN = 8 };
    pid_t children[N_CHILDREN];
    for (int i = 0; i < N_CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] > 0) continue;
        errbuf err = {0};
        database *db;
        status st = database_open(&db, file, DATABASE_CREATE, &schema, &err);
        if (!st) st = database_run(db, "INSERT INTO number(value) VALUES (1)", &err);
        if (st) print_error("%s\n", err.text);
        _exit(st ? 1 : 0);
    }
    int n_failed = 0;
    for (int i = 0; i < N_CHILDREN; i++) n_failed += wait_for(children[i]);
    assert_int_equal(n_failed, 0);
    database *db = open_or_die(DATABASE_READ);
    assert_int_equal(read_or_die(db, "SELECT count(*) FROM number"), N_CHILDREN);
    database_close(db);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_new_file_gets_the_schema_and_a_log),
        TEST(values_come_back_as_they_were_bound),
        TEST(wrong_sql_and_broken_constraints_are_invalid),
        TEST(a_rolled_back_transaction_leaves_nothing),
        TEST(a_missing_or_empty_file_cannot_be_read),
        TEST(a_missing_or_empty_file_is_not_made_by_an_update),
        TEST(a_missing_folder_is_named),
        TEST(another_version_is_refused),
        TEST(a_database_of_another_program_is_refused),
        TEST(another_kind_of_database_is_named),
        TEST(a_text_file_is_refused_and_kept),
        TEST(damage_in_the_middle_is_told_when_it_is_met),
        TEST(a_locked_file_is_busy_until_it_is_released),
        TEST(a_full_disk_undoes_the_transaction_only),
        TEST(a_failing_write_undoes_the_transaction_only),
        TEST(a_file_in_a_read_only_folder_can_be_read),
        TEST(reading_leaves_no_files_behind),
        TEST(processes_that_open_one_new_file_all_succeed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
