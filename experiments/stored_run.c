#include "stored_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "database.h"

/* Writes which runs there are, for the message about one that is not there. */
static status fail_no_run(store *s, int64_t id, errbuf *err) {
    const char *path = database_path(store_database(s));
    statement *query;
    status st = statement_create(&query, store_database(s),
                                 "SELECT count(*), min(id), max(id) FROM run", err);
    if (st) return st;
    bool has_row = false;
    st = statement_step(query, &has_row, err);
    if (!st && statement_column_integer(query, 0) == 0)
        st = fail(err, ST_NOT_FOUND, "%s: no runs have been stored in it yet", path);
    else if (!st)
        st = fail(err, ST_NOT_FOUND,
                  "%s: there is no run %" PRId64 "; it holds %" PRId64 " runs, from %" PRId64
                  " to %" PRId64,
                  path, id, statement_column_integer(query, 0),
                  statement_column_integer(query, 1), statement_column_integer(query, 2));
    statement_destroy(query);
    return st;
}

/* ST_NO_MEMORY. */
static status copy_text(char **out, statement *query, int column) {
    if (statement_column_is_null(query, column)) return ST_OK;
    const char *text = statement_column_text(query, column);
    *out = text ? strdup(text) : NULL;
    return *out ? ST_OK : ST_NO_MEMORY;
}

/* The columns that come before the texts and the figures in `SELECT`. */
#define FIRST_COLUMNS "SELECT id, seed, request_stride"

static status copy_row(stored_run *run, statement *query) {
    int column = 0;
    run->id = statement_column_integer(query, column++);
    run->seed = (uint64_t)statement_column_integer(query, column++);
    run->request_stride = (uint64_t)statement_column_integer(query, column++);
    status st = ST_OK;
#define X(name)                                                                                \
    if (!st) st = copy_text(&run->name, query, column++);
    STORED_RUN_TEXTS(X)
#undef X
    for (int i = 0; i < N_FIGURES && !st; i++, column++) {
        run->figures.known[i] = !statement_column_is_null(query, column);
        run->figures.value[i] = statement_column_real(query, column);
    }
    return st;
}

static char *select_sql(void) {
    char *sql = NULL;
    size_t size;
    FILE *out = open_memstream(&sql, &size);
    if (!out) return NULL;
    fputs(FIRST_COLUMNS, out);
#define X(name) fputs(", " #name, out);
    STORED_RUN_TEXTS(X)
#undef X
    for (int i = 0; i < N_FIGURES; i++) fprintf(out, ", %s", figure_name((figure_id)i));
    fputs(" FROM run WHERE id = ?", out);
    if (fclose(out) == 0) return sql;
    free(sql);
    return NULL;
}

status stored_run_read(stored_run *out, store *s, int64_t id, errbuf *err) {
    database *db = store_database(s);
    char *sql = select_sql();
    if (!sql) return fail(err, ST_NO_MEMORY, "%s: out of memory", database_path(db));
    statement *query;
    status st = statement_create(&query, db, sql, err);
    free(sql);
    if (st) return st;
    statement_bind_integer(query, 1, id);
    bool has_row = false;
    st = statement_step(query, &has_row, err);
    stored_run run = {0};
    if (!st && has_row && (st = copy_row(&run, query)))
        fail(err, st, "%s: out of memory", database_path(db));
    statement_destroy(query);
    if (!st && !has_row) return fail_no_run(s, id, err);
    if (st)
        stored_run_finish(&run);
    else
        *out = run;
    return st;
}

void stored_run_finish(stored_run *run) {
#define X(name)                                                                                \
    free(run->name);                                                                           \
    run->name = NULL;
    STORED_RUN_TEXTS(X)
#undef X
}

/* Reads all rows of a query that counts first: column 0 the id, column 1 how many rows. */
static status read_ids(int64_t **ids, size_t *n, statement *query, errbuf *err) {
    int64_t *list = NULL;
    size_t n_read = 0;
    bool has_row = false;
    status st;
    while (!(st = statement_step(query, &has_row, err)) && has_row) {
        if (!list) list = calloc((size_t)statement_column_integer(query, 1), sizeof(*list));
        if (!list) {
            st = fail(err, ST_NO_MEMORY, "out of memory");
            break;
        }
        list[n_read++] = statement_column_integer(query, 0);
    }
    if (st) {
        free(list);
        return st;
    }
    *ids = list;
    *n = n_read;
    return ST_OK;
}

status stored_run_find_latest(int64_t **ids, size_t *n, store *s, const char *label,
                              size_t n_max, errbuf *err) {
    database *db = store_database(s);
    statement *query;
    status st = statement_create(
        &query, db,
        "SELECT id, count(*) OVER () FROM (SELECT id FROM run WHERE ?1 IS NULL OR label = ?1 "
        "ORDER BY id DESC LIMIT ?2) ORDER BY id",
        err);
    if (st) return st;
    statement_bind_text(query, 1, label);
    statement_bind_integer(query, 2, n_max ? (int64_t)n_max : -1);
    int64_t *found = NULL;
    size_t n_found = 0;
    st = read_ids(&found, &n_found, query, err);
    statement_destroy(query);
    if (st) return st;
    if (!found)
        return label ? fail(err, ST_NOT_FOUND, "%s: no run has the label '%s'",
                            database_path(db), label)
                     : fail(err, ST_NOT_FOUND, "%s: no runs have been stored in it yet",
                            database_path(db));
    *ids = found;
    *n = n_found;
    return ST_OK;
}
