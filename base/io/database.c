#include "database.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "database_internal.h"

struct statement {
    sqlite3_stmt *handle;
    database *db;
    int bind_code; /* the first bind that failed since the last step */
};

status database_fail_format(const database *db, const char *detail, errbuf *err) {
    return fail(err, ST_FORMAT,
                "%s is damaged or not a %s (%s): move it away and run again; `sqlite3 FILE "
                ".recover` may save what is left in it",
                db->path, db->kind, detail);
}

static status fail_io(const database *db, int code, errbuf *err) {
    if (code == SQLITE_FULL)
        return fail(err, ST_IO,
                    "%s: no room to write it (%s): free disk space and run again; what was "
                    "stored before is intact",
                    db->path, sqlite3_errmsg(db->handle));
    int cause = sqlite3_system_errno(db->handle);
    return fail(err, ST_IO,
                "%s: %s%s%s: check that the disk has room and that the file and its folder "
                "exist and may be written; what was stored before is intact",
                db->path, sqlite3_errmsg(db->handle), cause ? ": " : "",
                cause ? strerror(cause) : "");
}

status database_check(const database *db, int code, errbuf *err) {
    switch (code & 0xff) { /* extended codes keep the plain one in the low byte */
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ST_OK;
    case SQLITE_NOMEM:
        return fail(err, ST_NO_MEMORY, "%s: out of memory", db->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return fail(err, ST_BUSY,
                    "%s: another process is still using it after %g s (%s): wait until it has "
                    "ended and run again",
                    db->path, db->busy_timeout_s, sqlite3_errmsg(db->handle));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return database_fail_format(db, sqlite3_errmsg(db->handle), err);
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_NOLFS:
        return fail_io(db, code & 0xff, err);
    default:
        return fail(err, ST_INVALID, "%s: %s", db->path, sqlite3_errmsg(db->handle));
    }
}

void database_close(database *db) {
    if (!db) return;
    int code = sqlite3_close(db->handle);
    assert(code == SQLITE_OK); /* a statement is still alive */
    (void)code;
    free(db->path);
    free(db);
}

const char *database_path(const database *db) {
    return db->path;
}

void database_set_busy_timeout(database *db, double seconds) {
    static const double max_s = 1e6; /* SQLite counts milliseconds in an int */
    db->busy_timeout_s = seconds < max_s ? seconds : max_s;
    sqlite3_busy_timeout(db->handle, (int)(db->busy_timeout_s * 1000));
}

status database_run(database *db, const char *sql, errbuf *err) {
    return database_check(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL), err);
}

status database_begin(database *db, errbuf *err) {
    return database_run(db, "BEGIN IMMEDIATE", err);
}

status database_commit(database *db, errbuf *err) {
    return database_run(db, "COMMIT", err);
}

void database_rollback(database *db) {
    /* Some errors (a full disk) have ended the transaction already. A rollback that fails
     * leaves a log that every later reader ignores. */
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

int64_t database_last_row_id(const database *db) {
    return sqlite3_last_insert_rowid(db->handle);
}

/* ------------------------------------------------------------ statements */

status statement_create(statement **out, database *db, const char *sql, errbuf *err) {
    statement *s = calloc(1, sizeof(*s));
    if (!s) return fail(err, ST_NO_MEMORY, "%s: out of memory", db->path);
    s->db = db;
    status st =
        database_check(db, sqlite3_prepare_v2(db->handle, sql, -1, &s->handle, NULL), err);
    if (st) {
        free(s);
        return st;
    }
    *out = s;
    return ST_OK;
}

void statement_destroy(statement *s) {
    if (!s) return;
    sqlite3_finalize(s->handle); /* repeats the error of the last step: reported already */
    free(s);
}

static void note_bind(statement *s, int code) {
    assert(code != SQLITE_RANGE); /* no such parameter */
    if (s->bind_code == SQLITE_OK) s->bind_code = code;
}

void statement_bind_integer(statement *s, int parameter, int64_t value) {
    note_bind(s, sqlite3_bind_int64(s->handle, parameter, value));
}

void statement_bind_real(statement *s, int parameter, double value) {
    note_bind(s, sqlite3_bind_double(s->handle, parameter, value));
}

void statement_bind_text(statement *s, int parameter, const char *text) {
    note_bind(s, sqlite3_bind_text(s->handle, parameter, text, -1, SQLITE_STATIC));
}

void statement_bind_null(statement *s, int parameter) {
    note_bind(s, sqlite3_bind_null(s->handle, parameter));
}

status statement_step(statement *s, bool *has_row, errbuf *err) {
    int code = s->bind_code;
    s->bind_code = SQLITE_OK;
    if (code == SQLITE_OK) code = sqlite3_step(s->handle);
    status st = database_check(s->db, code, err);
    if (code != SQLITE_ROW) sqlite3_reset(s->handle);
    if (!st) *has_row = code == SQLITE_ROW;
    return st;
}

status statement_run(statement *s, errbuf *err) {
    bool has_row = false;
    status st = statement_step(s, &has_row, err);
    assert(!has_row); /* rows nobody reads */
    return st;
}

void statement_reset(statement *s) {
    sqlite3_reset(s->handle);
}

bool statement_column_is_null(statement *s, int column) {
    return sqlite3_column_type(s->handle, column) == SQLITE_NULL;
}

int64_t statement_column_integer(statement *s, int column) {
    return sqlite3_column_int64(s->handle, column);
}

double statement_column_real(statement *s, int column) {
    return sqlite3_column_double(s->handle, column);
}

const char *statement_column_text(statement *s, int column) {
    return (const char *)sqlite3_column_text(s->handle, column);
}
