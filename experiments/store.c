#include "store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store_schema.h"
#include "thinned_rows.h"

struct store {
    database *db;
};

/* Rows as they are collected: their number comes first. */
typedef struct numbered_sample {
    uint64_t number;
    sample_row row;
} numbered_sample;

struct store_run {
    store *s;
    const run_info *info;
    thinned_rows requests, samples;
};

_Static_assert(offsetof(request_row, request_id) == 0, "thinned_rows wants the number first");

static const char *const run_outcome_names[] = {
#define X(code, text) text,
    RUN_OUTCOMES(X)
#undef X
};

static const char *const request_outcome_names[] = {
#define X(code, text) text,
    REQUEST_OUTCOMES(X)
#undef X
};

/* ------------------------------------------------------------ file */

/* The table of runs is small and read by every command: damage there is told at once, not after
 * a long run. */
static status check_runs(database *db, errbuf *err) {
    statement *s;
    status st = statement_create(&s, db, "PRAGMA quick_check('run')", err);
    if (st) return st;
    bool has_row = false;
    st = statement_step(s, &has_row, err);
    if (!st && has_row) {
        const char *text = statement_column_text(s, 0);
        if (text && strcmp(text, "ok") != 0)
            st = fail(err, ST_FORMAT, "%s is damaged (%s): move it away and run again",
                      database_path(db), text);
    }
    statement_destroy(s);
    return st;
}

status store_open(store **out, const char *path, database_mode mode, errbuf *err) {
    char *sql = store_schema_sql();
    store *s = calloc(1, sizeof(*s));
    status st = sql && s ? ST_OK : fail(err, ST_NO_MEMORY, "%s: out of memory", path);
    const database_schema schema = {"results database", DATABASE_RESULTS_ID, STORE_VERSION,
                                    sql};
    if (!st) st = database_open(&s->db, path, mode, &schema, err);
    if (!st) st = check_runs(s->db, err);
    free(sql);
    if (st) {
        store_close(s);
        return st;
    }
    *out = s;
    return ST_OK;
}

void store_close(store *s) {
    if (!s) return;
    database_close(s->db);
    free(s);
}

database *store_database(store *s) {
    return s->db;
}

void store_set_busy_timeout(store *s, double seconds) {
    database_set_busy_timeout(s->db, seconds);
}

/* ------------------------------------------------------------ collecting */

status store_begin_run(store *s, store_run **out, const run_info *info, size_t keep_requests,
                       errbuf *err) {
    store_run *run = calloc(1, sizeof(*run));
    if (!run) return fail(err, ST_NO_MEMORY, "%s: out of memory", database_path(s->db));
    run->s = s;
    run->info = info;
    thinned_rows_init(&run->requests, sizeof(request_row), keep_requests);
    thinned_rows_init(&run->samples, sizeof(numbered_sample), STORE_KEEP_SAMPLES);
    *out = run;
    return ST_OK;
}

void store_discard_run(store_run *run) {
    if (!run) return;
    thinned_rows_finish(&run->requests);
    thinned_rows_finish(&run->samples);
    free(run);
}

static status add(store_run *run, thinned_rows *rows, const void *row, errbuf *err) {
    status st = thinned_rows_add(rows, row);
    if (!st) return ST_OK;
    return fail(err, st, "%s: out of memory after %zu rows of the run: keep fewer",
                database_path(run->s->db), rows->n);
}

status store_add_request(store_run *run, const request_row *row, errbuf *err) {
    return add(run, &run->requests, row, err);
}

status store_add_sample(store_run *run, const sample_row *row, errbuf *err) {
    numbered_sample numbered = {run->samples.n_offered, *row};
    return add(run, &run->samples, &numbered, err);
}

uint64_t store_n_requests_dropped(const store_run *run) {
    return run->requests.n_offered - run->requests.n;
}

/* ------------------------------------------------------------ writing */

static void bind_figures(statement *s, int first, const run_figures *figures) {
    for (int i = 0; i < N_FIGURES; i++) {
        double value = figures->value[i];
        if (!figures->known[i])
            statement_bind_null(s, first + i);
        else if (figure_is_whole((figure_id)i))
            statement_bind_integer(s, first + i, (int64_t)value);
        else
            statement_bind_real(s, first + i, value);
    }
}

static status insert_run(store_run *run, int64_t *run_id, const run_figures *figures,
                         const char *outcome, const char *message, errbuf *err) {
    database *db = run->s->db;
    char *sql = store_insert_run_sql();
    if (!sql) return fail(err, ST_NO_MEMORY, "%s: out of memory", database_path(db));
    statement *s;
    status st = statement_create(&s, db, sql, err);
    free(sql);
    if (st) return st;
    const run_info *info = run->info;
    const char *const texts[] = {info->commit_hash, info->machine, info->label, info->trace,
                                 info->backend,     info->device,  info->model, info->policy,
                                 info->settings,    outcome,       message};
    int n = 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        statement_bind_text(s, ++n, texts[i]);
    statement_bind_integer(s, ++n, (int64_t)info->seed);
    statement_bind_integer(s, ++n, (int64_t)run->requests.stride);
    bind_figures(s, ++n, figures);
    st = statement_run(s, err);
    statement_destroy(s);
    if (!st) *run_id = database_last_row_id(db);
    return st;
}

static status insert_request(statement *s, const void *item, errbuf *err) {
    const request_row *r = item;
    statement_bind_integer(s, 2, (int64_t)r->request_id);
    statement_bind_real(s, 3, r->arrival_s);
    statement_bind_integer(s, 4, r->n_prompt);
    statement_bind_integer(s, 5, r->n_output);
    statement_bind_real(s, 6, r->first_scheduled_s);
    statement_bind_real(s, 7, r->first_token_s);
    statement_bind_real(s, 8, r->finish_s);
    statement_bind_real(s, 9, r->solo_s);
    statement_bind_integer(s, 10, r->n_preemptions);
    statement_bind_text(s, 11, request_outcome_names[r->outcome]);
    return statement_run(s, err);
}

static status insert_sample(statement *s, const void *item, errbuf *err) {
    const numbered_sample *n = item;
    statement_bind_integer(s, 2, (int64_t)n->number);
    statement_bind_real(s, 3, n->row.t_s);
    statement_bind_integer(s, 4, n->row.n_running);
    statement_bind_integer(s, 5, n->row.n_waiting);
    statement_bind_integer(s, 6, n->row.n_swapped);
    statement_bind_integer(s, 7, n->row.kv_used_blocks);
    statement_bind_integer(s, 8, n->row.kv_total_blocks);
    return statement_run(s, err);
}

/* Parameter 1 is the run; insert binds the others and runs the statement. */
static status insert_rows(store_run *run, const char *sql, int64_t run_id,
                          const thinned_rows *rows,
                          status (*insert)(statement *, const void *, errbuf *), errbuf *err) {
    statement *s;
    status st = statement_create(&s, run->s->db, sql, err);
    if (st) return st;
    statement_bind_integer(s, 1, run_id);
    for (size_t i = 0; i < rows->n && !st; i++)
        st = insert(s, rows->rows + i * rows->row_size, err);
    statement_destroy(s);
    return st;
}

status store_commit_run(store_run *run, int64_t *run_id, const run_figures *figures,
                        run_outcome outcome, const char *message, errbuf *err) {
    database *db = run->s->db;
    thinned_rows_sort(&run->requests); /* the order of the primary key: several times faster */
    status st = database_begin(db, err);
    if (st) return st;
    int64_t id = 0;
    st = insert_run(run, &id, figures, run_outcome_names[outcome], message, err);
    if (!st)
        st =
            insert_rows(run, STORE_INSERT_REQUEST_SQL, id, &run->requests, insert_request, err);
    if (!st)
        st = insert_rows(run, STORE_INSERT_SAMPLE_SQL, id, &run->samples, insert_sample, err);
    if (!st) st = database_commit(db, err);
    if (st) {
        database_rollback(db);
        return st;
    }
    *run_id = id;
    store_discard_run(run);
    return ST_OK;
}
