/* test_line_reader.c - lines of plain, compressed and damaged files. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "line_reader.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char path[] = "/tmp/test_line_reader.XXXXXX";

static int make_file(void **state) {
    (void)state;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

/* A compressed file of n_lines numbered lines; returns its size. */
static size_t write_gzip(int n_lines) {
    gzFile f = gzopen(path, "wb");
    for (int i = 1; i <= n_lines; i++) assert_true(gzprintf(f, "line %d\n", i) > 0);
    assert_int_equal(gzclose(f), Z_OK);
    FILE *plain = fopen(path, "rb");
    fseek(plain, 0, SEEK_END);
    long n = ftell(plain);
    fclose(plain);
    return (size_t)n;
}

static line_reader *open_bytes(const void *bytes, size_t n) {
    line_reader *r = NULL;
    assert_int_equal(line_reader_open_memory(&r, bytes, n, "bytes", NULL), ST_OK);
    return r;
}

static void expect_line(line_reader *r, const char *wanted) {
    errbuf err = {0};
    char *line;
    size_t n;
    assert_int_equal(line_reader_next(r, &line, &n, &err), ST_OK);
    assert_string_equal(line, wanted);
    assert_int_equal(n, strlen(wanted));
}

static void expect_status(line_reader *r, status wanted, const char *message) {
    errbuf err = {0};
    char *line;
    size_t n;
    assert_int_equal(line_reader_next(r, &line, &n, &err), wanted);
    if (message && !strstr(err.text, message)) fail_msg("'%s' in '%s'", message, err.text);
}

static void every_line_end_is_taken_off(void **state) {
    (void)state;
    static const char text[] = "a\nbb\r\n\n\r\nc\rd\nlast";
    line_reader *r = open_bytes(text, sizeof(text) - 1);
    static const char *const lines[] = {"a", "bb", "", "", "c\rd", "last"};
    for (size_t i = 0; i < 6; i++) {
        expect_line(r, lines[i]);
        assert_int_equal(line_reader_line(r), i + 1);
    }
    expect_status(r, ST_END, NULL);
    expect_status(r, ST_END, NULL);
    line_reader_close(r);
}

static void an_empty_input_has_no_line(void **state) {
    (void)state;
    line_reader *r = open_bytes("", 0);
    expect_status(r, ST_END, NULL);
    line_reader_close(r);
}

static void a_nul_byte_spoils_only_its_line(void **state) {
    (void)state;
    static const char text[] = "a\nb\0c\nd\n";
    line_reader *r = open_bytes(text, sizeof(text) - 1);
    expect_line(r, "a");
    expect_status(r, ST_FORMAT, "bytes:2: byte 2 of the line is NUL");
    expect_line(r, "d");
    line_reader_close(r);
}

/* A line of n bytes between two short ones, ended by end. */
static void check_long_line(size_t n, const char *end, bool fits) {
    char *text = malloc(n + 32);
    size_t used = (size_t)sprintf(text, "first\n");
    memset(text + used, 'x', n);
    used += n;
    used += (size_t)sprintf(text + used, "%slast", end);
    line_reader *r = open_bytes(text, used);
    expect_line(r, "first");
    if (fits) {
        char *line;
        size_t length;
        assert_int_equal(line_reader_next(r, &line, &length, NULL), ST_OK);
        assert_int_equal(length, n);
    } else
        expect_status(r, ST_FORMAT, "bytes:2: the line is longer than 1048576 bytes");
    expect_line(r, "last");
    assert_int_equal(line_reader_line(r), 3);
    expect_status(r, ST_END, NULL);
    line_reader_close(r);
    free(text);
}

static void a_line_of_one_mebibyte_is_the_longest(void **state) {
    (void)state;
    check_long_line(LINE_READER_MAX_BYTES, "\n", true);
    check_long_line(LINE_READER_MAX_BYTES, "\r\n", true);
    check_long_line(LINE_READER_MAX_BYTES + 1, "\n", false);
    check_long_line(LINE_READER_MAX_BYTES + 1, "\r\n", false);
    check_long_line(5 * LINE_READER_MAX_BYTES, "\n", false);
}

static void lines_across_buffer_ends_stay_whole(void **state) {
    (void)state;
    enum { N = 200000 };
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < N; i++) fprintf(f, "%0*d\n", 1 + i % 97, i);
    fclose(f);
    line_reader *r = NULL;
    assert_int_equal(line_reader_open(&r, path, NULL), ST_OK);
    for (int i = 0; i < N; i++) {
        char wanted[128];
        snprintf(wanted, sizeof(wanted), "%0*d", 1 + i % 97, i);
        expect_line(r, wanted);
    }
    expect_status(r, ST_END, NULL);
    line_reader_close(r);
}

static void a_compressed_file_reads_like_a_plain_one(void **state) {
    (void)state;
    write_gzip(1000);
    line_reader *r = NULL;
    assert_int_equal(line_reader_open(&r, path, NULL), ST_OK);
    for (int i = 1; i <= 1000; i++) {
        char wanted[32];
        snprintf(wanted, sizeof(wanted), "line %d", i);
        expect_line(r, wanted);
    }
    expect_status(r, ST_END, NULL);
    line_reader_close(r);
}

/* Reads to the end; ST_END when the file is whole. */
static status read_all(void) {
    line_reader *r = NULL;
    errbuf err = {0};
    char *line;
    size_t n;
    status st = line_reader_open(&r, path, &err);
    while (st == ST_OK) st = line_reader_next(r, &line, &n, &err);
    if (st != ST_END) {
        assert_non_null(strstr(err.text, path));
        assert_int_equal(line_reader_next(r, &line, &n, &err), st); /* and stays so */
    }
    line_reader_close(r);
    return st;
}

static void a_cut_compressed_file_is_an_error_wherever_it_is_cut(void **state) {
    (void)state;
    size_t n = write_gzip(300);
    assert_int_equal(read_all(), ST_END);
    /* With one byte left the file no longer says that it is compressed. */
    for (size_t left = n - 1; left >= 2; left--) {
        assert_int_equal(truncate(path, (off_t)left), 0);
        if (read_all() != ST_IO) fail_msg("cut to %zu of %zu bytes", left, n);
    }
}

static void a_damaged_compressed_file_is_an_error(void **state) {
    (void)state;
    size_t n = write_gzip(300);
    FILE *f = fopen(path, "r+b");
    fseek(f, (long)n / 2, SEEK_SET);
    int byte = fgetc(f);
    fseek(f, (long)n / 2, SEEK_SET);
    fputc(byte ^ 0x55, f);
    fclose(f);
    assert_int_equal(read_all(), ST_IO);
}

static void what_cannot_be_opened_or_read_says_why(void **state) {
    (void)state;
    line_reader *r = NULL;
    errbuf err = {0};
    assert_int_equal(line_reader_open(&r, "/nonexistent/file", &err), ST_IO);
    assert_string_equal(err.text,
                        "/nonexistent/file: cannot be opened: No such file or directory");
    assert_int_equal(line_reader_open(&r, "/tmp", &err), ST_OK);
    expect_status(r, ST_IO, "Is a directory");
    expect_status(r, ST_IO, "Is a directory");
    line_reader_close(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_end_is_taken_off),
        cmocka_unit_test(an_empty_input_has_no_line),
        cmocka_unit_test(a_nul_byte_spoils_only_its_line),
        cmocka_unit_test(a_line_of_one_mebibyte_is_the_longest),
        cmocka_unit_test_setup_teardown(lines_across_buffer_ends_stay_whole, make_file,
                                        remove_file),
        cmocka_unit_test_setup_teardown(a_compressed_file_reads_like_a_plain_one, make_file,
                                        remove_file),
        cmocka_unit_test_setup_teardown(a_cut_compressed_file_is_an_error_wherever_it_is_cut,
                                        make_file, remove_file),
        cmocka_unit_test_setup_teardown(a_damaged_compressed_file_is_an_error, make_file,
                                        remove_file),
        cmocka_unit_test(what_cannot_be_opened_or_read_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
