/* database.h - a SQLite file that survives killed writers and is shared by processes.
 *
 * Knows files, statements and transactions; what is stored belongs to the caller, who names it
 * in a database_schema. Write-ahead logging lets readers and one writer work side by side and
 * needs a local disk: on a file system without shared memory SQLite stays with its rollback
 * journal, as safe and less parallel.
 *
 * Errors: every code of SQLite becomes a status and a message with the file's name.
 *   ST_BUSY    another process held the lock for longer than the busy timeout
 *   ST_IO      the disk is full or failing, the file may not be opened or written
 *   ST_FORMAT  damaged, or not the database that the schema describes
 *   ST_VERSION the schema has another version in this file
 *   ST_INVALID the SQL is wrong or a constraint does not hold: a mistake of the caller
 *   ST_NO_MEMORY
 * Threads: one owner per database. */
#ifndef DATABASE_H
#define DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

typedef struct database database;
typedef struct statement statement;

/* The application_id of each kind of database of this program: it tells the kind from the
 * others and from all other SQLite files. All are here, so that a file of the wrong kind can be
 * named. */
enum { DATABASE_RESULTS_ID = 0x41444c4d, DATABASE_PROFILES_ID = 0x41505246 };

typedef struct database_schema {
    const char *kind; /* for messages: "results database" */
    int32_t application_id;
    int32_t version; /* kept in user_version; at least 1 */
    const char *sql; /* creates everything in an empty file */
} database_schema;

typedef enum database_mode {
    DATABASE_READ,   /* the file must exist; it is not written */
    DATABASE_UPDATE, /* the file must exist */
    DATABASE_CREATE  /* made when missing; an empty file gets the schema in one transaction */
} database_mode;

/* Opens path and checks that it is what the schema says. schema->kind must outlive the
 * database. On error *out is not written. ST_NOT_FOUND: the file must exist and is missing or
 * still empty. ST_BUSY, ST_IO, ST_FORMAT, ST_VERSION, ST_NO_MEMORY. A file in a folder that
 * may not be written can be read if no writer left a log beside it. */
MUST_USE status database_open(database **out, const char *path, database_mode mode,
                              const database_schema *schema, errbuf *err);

/* Closes the file. All its statements must have been destroyed. db may be NULL. */
void database_close(database *db);

/* The path that database_open got. */
const char *database_path(const database *db);

/* How long to wait for another process before ST_BUSY; 10 s until set. */
void database_set_busy_timeout(database *db, double seconds);

/* Runs statements that give no rows and have no parameters. */
MUST_USE status database_run(database *db, const char *sql, errbuf *err);

/* Begins a transaction and takes the write lock at once, so that later statements of it cannot
 * be ST_BUSY. */
MUST_USE status database_begin(database *db, errbuf *err);

/* On error the transaction is still open: roll it back. */
MUST_USE status database_commit(database *db, errbuf *err);

/* Undoes the open transaction, if there is one. */
void database_rollback(database *db);

/* The row id of the latest INSERT. */
int64_t database_last_row_id(const database *db);

/* Prepares one statement; its parameters `?` are numbered from 1. */
MUST_USE status statement_create(statement **out, database *db, const char *sql, errbuf *err);

/* s may be NULL. */
void statement_destroy(statement *s);

/* Binds a parameter until it is bound again. A bind that fails is reported by the next step.
 * NaN is stored as NULL, and so is a NULL text; a text is borrowed, not copied. */
void statement_bind_integer(statement *s, int parameter, int64_t value);
void statement_bind_real(statement *s, int parameter, double value);
void statement_bind_text(statement *s, int parameter, const char *text);
void statement_bind_null(statement *s, int parameter);

/* Moves to the next row; *has_row is false after the last one, and then, as after an error, the
 * statement can be run again with its bindings. */
MUST_USE status statement_step(statement *s, bool *has_row, errbuf *err);

/* Runs a statement that gives no rows. */
MUST_USE status statement_run(statement *s, errbuf *err);

/* Abandons the rows not yet read, so that the statement can be run again. */
void statement_reset(statement *s);

/* Columns of the current row, numbered from 0. A text is valid until the next step; it is NULL
 * for NULL, also when memory ran out. */
bool statement_column_is_null(statement *s, int column);
int64_t statement_column_integer(statement *s, int column);
double statement_column_real(statement *s, int column);
const char *statement_column_text(statement *s, int column);

#endif
