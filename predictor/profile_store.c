#include "profile_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile_schema.h"
#include "profile_store_internal.h"

/* ------------------------------------------------------------ file */

status profile_store_open(profile_store **out, const char *path, database_mode mode,
                          errbuf *err) {
    profile_store *s = calloc(1, sizeof(*s));
    if (!s) return fail(err, ST_NO_MEMORY, "%s: out of memory", path);
    status st = database_open(&s->db, path, mode, &profile_schema, err);
    if (st != ST_OK) {
        free(s);
        return st;
    }
    *out = s;
    return ST_OK;
}

void profile_store_close(profile_store *s) {
    if (!s) return;
    database_close(s->db);
    free(s);
}

/* ------------------------------------------------------------ names */

void bind_id(statement *s, int parameter, int64_t id) {
    if (id)
        statement_bind_integer(s, parameter, id);
    else
        statement_bind_null(s, parameter);
}

status copy_text(char **out, statement *s, int column, errbuf *err) {
    *out = NULL;
    if (statement_column_is_null(s, column)) return ST_OK;
    const char *text = statement_column_text(s, column);
    if (text) *out = strdup(text);
    return *out ? ST_OK : fail(err, ST_NO_MEMORY, "out of memory");
}

/* Runs a statement with one text; its one number goes to *value, 0 if there is no row. */
static status run_with_name(int64_t *value, profile_store *s, const char *sql, const char *name,
                            errbuf *err) {
    statement *query;
    TRY(statement_create(&query, s->db, sql, err));
    statement_bind_text(query, 1, name);
    bool has_row = false;
    status st = statement_step(query, &has_row, err);
    if (st == ST_OK) *value = has_row ? statement_column_integer(query, 0) : 0;
    statement_destroy(query);
    return st;
}

#define FIND_DEVICE "SELECT id FROM device WHERE name = ?"
#define FIND_MODEL  "SELECT id FROM model WHERE name = ?"

status subject_find(subject *out, profile_store *s, const char *device, const char *model,
                    errbuf *err) {
    subject found = {0};
    TRY(run_with_name(&found.device_id, s, FIND_DEVICE, device, err));
    if (model) TRY(run_with_name(&found.model_id, s, FIND_MODEL, model, err));
    if (!found.device_id || (model && !found.model_id)) return ST_NOT_FOUND;
    *out = found;
    return ST_OK;
}

status subject_ensure(subject *out, profile_store *s, const char *device, const char *model,
                      errbuf *err) {
    int64_t ignored;
    TRY(run_with_name(&ignored, s, "INSERT OR IGNORE INTO device(name) VALUES (?)", device,
                      err));
    if (model)
        TRY(run_with_name(&ignored, s, "INSERT OR IGNORE INTO model(name) VALUES (?)", model,
                          err));
    return subject_find(out, s, device, model, err);
}

/* ------------------------------------------------------------ adding */

static status insert_profile_row(profile_store *s, int64_t *id, subject of,
                                 const profile_info *info, const char *created_utc, size_t n,
                                 int64_t hash, errbuf *err) {
    statement *insert;
    TRY(statement_create(
        &insert, s->db,
        "INSERT INTO profile(device_id, model_id, tp, backend, seed, created_utc, commit_hash, "
        "source, settings, n_samples, content_hash) VALUES "
        "(?,?,?,?,?, ifnull(?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now')), ?,?,?,?,?)",
        err));
    statement_bind_integer(insert, 1, of.device_id);
    bind_id(insert, 2, of.model_id);
    statement_bind_integer(insert, 3, info->tp);
    statement_bind_text(insert, 4, info->backend);
    bind_id(insert, 5, (int64_t)info->seed);
    statement_bind_text(insert, 6, created_utc);
    statement_bind_text(insert, 7, info->commit_hash);
    statement_bind_text(insert, 8, info->source);
    statement_bind_text(insert, 9, info->settings);
    statement_bind_integer(insert, 10, (int64_t)n);
    statement_bind_integer(insert, 11, hash);
    status st = statement_run(insert, err);
    statement_destroy(insert);
    if (st == ST_OK) *id = database_last_row_id(s->db);
    return st;
}

static status insert_samples(profile_store *s, int64_t profile_id, const sample *samples,
                             size_t n, errbuf *err) {
    statement *insert;
    TRY(statement_create(&insert, s->db, profile_insert_sample_sql, err));
    statement_bind_integer(insert, 1, profile_id);
    status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        sample_bind(insert, &samples[i]);
        st = statement_run(insert, err);
    }
    statement_destroy(insert);
    return st;
}

/* *n_profiles of the subject are stored; *known: one of them has these very samples. */
static status look_up(profile_store *s, int64_t *n_profiles, bool *known, subject of,
                      uint32_t tp, size_t n, int64_t hash, errbuf *err) {
    statement *query;
    TRY(statement_create(&query, s->db,
                         "SELECT count(*), ifnull(sum(n_samples = ? AND content_hash = ?), 0) "
                         "FROM profile WHERE device_id = ? AND ifnull(model_id, 0) = ? AND "
                         "tp = ?",
                         err));
    statement_bind_integer(query, 1, (int64_t)n);
    statement_bind_integer(query, 2, hash);
    statement_bind_integer(query, 3, of.device_id);
    statement_bind_integer(query, 4, of.model_id);
    statement_bind_integer(query, 5, tp);
    bool has_row = false;
    status st = statement_step(query, &has_row, err);
    if (st == ST_OK) {
        *n_profiles = statement_column_integer(query, 0);
        *known = statement_column_integer(query, 1) > 0;
    }
    statement_destroy(query);
    return st;
}

/* All samples of the subject as they are now stored must be consistent. */
static status check_stored(profile_store *s, subject of, uint32_t tp, errbuf *err) {
    char sql[1024];
    snprintf(sql, sizeof(sql),
             "SELECT %s, sample.id FROM profile JOIN sample ON sample.profile_id = profile.id "
             "WHERE device_id = ? AND ifnull(model_id, 0) = ? AND tp = ?",
             profile_sample_columns);
    statement *query;
    TRY(statement_create(&query, s->db, sql, err));
    statement_bind_integer(query, 1, of.device_id);
    statement_bind_integer(query, 2, of.model_id);
    statement_bind_integer(query, 3, tp);
    stored_samples all = {0};
    status st = samples_collect(&all, query, s->db, err);
    if (st == ST_OK) st = samples_check_consistent(all.samples, all.n, err);
    stored_samples_finish(&all);
    statement_destroy(query);
    return st;
}

static status check_new(const profile_info *info, const sample *samples, size_t n,
                        errbuf *err) {
    if (!info->device || !*info->device || !info->source || info->tp == 0)
        return fail(err, ST_INVALID,
                    "a profile needs a device, a source and a tp of 1 or more");
    if (n == 0) return fail(err, ST_INVALID, "%s: there are no samples", info->source);
    for (size_t i = 0; i < n; i++) {
        TRY(sample_check(&samples[i], err));
        if (samples[i].tp != info->tp)
            return fail(err, ST_INVALID, "%s: a sample of tp %u in a profile of tp %u",
                        info->source, (unsigned)samples[i].tp, (unsigned)info->tp);
    }
    return ST_OK;
}

status profile_insert(profile_store *s, bool *added, const profile_info *info,
                      const char *created_utc, const sample *samples, size_t n, errbuf *err) {
    subject of;
    TRY(subject_ensure(&of, s, info->device, info->model, err));
    bool known = false;
    int64_t hash = (int64_t)samples_hash(samples, n), id = 0, n_profiles = 0;
    TRY(look_up(s, &n_profiles, &known, of, info->tp, n, hash, err));
    *added = !known;
    if (known) return ST_OK;
    TRY(insert_profile_row(s, &id, of, info, created_utc, n, hash, err));
    TRY(insert_samples(s, id, samples, n, err));
    /* What is in memory need not be read back. */
    if (n_profiles == 0) return samples_check_consistent(samples, n, err);
    return check_stored(s, of, info->tp, err);
}

status profile_store_add(profile_store *s, bool *added, const profile_info *info,
                         const sample *samples, size_t n, errbuf *err) {
    TRY(check_new(info, samples, n, err));
    TRY(database_begin(s->db, err));
    bool is_new = false;
    status st = profile_insert(s, &is_new, info, NULL, samples, n, err);
    if (st == ST_OK) st = database_commit(s->db, err);
    if (st != ST_OK) {
        database_rollback(s->db);
        return st;
    }
    *added = is_new;
    return ST_OK;
}

/* ------------------------------------------------------------ reading */

static status grow(stored_samples *out, size_t capacity, errbuf *err) {
    sample *samples = realloc(out->samples, capacity * sizeof(*samples));
    if (samples) out->samples = samples;
    int64_t *ids = realloc(out->ids, capacity * sizeof(*ids));
    if (ids) out->ids = ids;
    return samples && ids ? ST_OK
                          : fail(err, ST_NO_MEMORY, "out of memory for %zu samples", capacity);
}

status samples_collect(stored_samples *out, statement *s, const database *db, errbuf *err) {
    static const int columns_of_sample = 3 + 4
#define X(column, member, type) +1
                                         SAMPLE_FEATURES(X)
#undef X
        ;
    size_t capacity = out->n;
    for (;;) {
        bool has_row = false;
        TRY(statement_step(s, &has_row, err));
        if (!has_row) return ST_OK;
        if (out->n == capacity) {
            capacity = capacity ? 2 * capacity : 1024;
            TRY(grow(out, capacity, err));
        }
        TRY(sample_read(&out->samples[out->n], s, db, err));
        out->ids[out->n++] = statement_column_integer(s, columns_of_sample);
    }
}

static status run_query(profile_store *s, stored_samples *out, subject of,
                        const profile_query *q, errbuf *err) {
    char sql[1024];
    snprintf(sql, sizeof(sql),
             "SELECT %s, sample.id FROM profile JOIN sample ON sample.profile_id = profile.id "
             "WHERE device_id = ? AND ifnull(model_id, 0) = ? AND tp = ? AND operation = ? "
             "%s %s ORDER BY sample.id",
             profile_sample_columns, q->part ? "AND part = ?" : "",
             q->originals ? "AND ifnull(json_extract(settings, '$.latency'), '') <> 'measured'"
                          : "");
    statement *query;
    TRY(statement_create(&query, s->db, sql, err));
    statement_bind_integer(query, 1, of.device_id);
    statement_bind_integer(query, 2, of.model_id);
    statement_bind_integer(query, 3, q->tp);
    statement_bind_text(query, 4, operation_name(q->op));
    if (q->part) statement_bind_text(query, 5, q->part);
    status st = samples_collect(out, query, s->db, err);
    statement_destroy(query);
    return st;
}

status profile_store_read_samples(profile_store *s, stored_samples *out,
                                  const profile_query *query, errbuf *err) {
    stored_samples found = {0};
    subject of;
    status st = subject_find(&of, s, query->device, query->model, err);
    if (st == ST_OK)
        st = run_query(s, &found, of, query, err);
    else if (st == ST_NOT_FOUND)
        st = ST_OK; /* no samples of a device or model that is not there */
    if (st != ST_OK) {
        stored_samples_finish(&found);
        return st;
    }
    *out = found;
    return ST_OK;
}

void stored_samples_finish(stored_samples *samples) {
    free(samples->samples);
    free(samples->ids);
    *samples = (stored_samples){0};
}
