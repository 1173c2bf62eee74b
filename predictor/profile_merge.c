/* profile_merge.c - the parts of profile_store.h that look at whole files: list and merge. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile_schema.h"
#include "profile_store_internal.h"

/* ------------------------------------------------------------ list */

static const char list_sql[] =
    "WITH measured AS (SELECT device_id, model_id, tp, operation, part,\n"
    "    count(DISTINCT profile.id) AS n_profiles, count(*) AS n_samples\n"
    "  FROM profile JOIN sample ON sample.profile_id = profile.id\n"
    "  GROUP BY device_id, model_id, tp, operation, part)\n"
    "SELECT device.name, model.name, measured.tp, measured.operation, measured.part,\n"
    "  n_profiles, measured.n_samples, fit.kind, fit.mape, fit.held_out_mape\n"
    "FROM measured JOIN device ON device.id = measured.device_id\n"
    "  LEFT JOIN model ON model.id = measured.model_id\n"
    "  LEFT JOIN fit ON fit.device_id = measured.device_id\n"
    "    AND ifnull(fit.model_id, 0) = ifnull(measured.model_id, 0) AND fit.tp = measured.tp\n"
    "    AND fit.operation = measured.operation AND fit.part = measured.part\n"
    "ORDER BY device.name, model.name, measured.tp, measured.operation, measured.part";

static status read_summary(profile_summary *out, statement *s, const database *db,
                           errbuf *err) {
    const char *name = statement_column_text(s, 3), *part = statement_column_text(s, 4);
    out->op = name ? operation_find(name) : N_OPERATIONS;
    if (out->op == N_OPERATIONS || !part || strlen(part) > SAMPLE_PART_MAX)
        return fail(err, ST_FORMAT,
                    "%s: samples of '%s' '%s', which this program does not know; use the "
                    "program that stored them",
                    database_path(db), name ? name : "", part ? part : "");
    strcpy(out->part, part);
    TRY(copy_text(&out->device, s, 0, err));
    TRY(copy_text(&out->model, s, 1, err));
    out->tp = (uint32_t)statement_column_integer(s, 2);
    out->n_profiles = (uint64_t)statement_column_integer(s, 5);
    out->n_samples = (uint64_t)statement_column_integer(s, 6);
    TRY(copy_text(&out->fit_kind, s, 7, err));
    out->mape = statement_column_is_null(s, 8) ? NAN : statement_column_real(s, 8);
    out->held_out_mape = statement_column_is_null(s, 9) ? NAN : statement_column_real(s, 9);
    return ST_OK;
}

static status add_summary(profile_summaries *list, statement *s, const database *db,
                          errbuf *err) {
    profile_summary *rows = realloc(list->rows, (list->n + 1) * sizeof(*rows));
    if (!rows) return fail(err, ST_NO_MEMORY, "%s: out of memory", database_path(db));
    list->rows = rows;
    rows[list->n] = (profile_summary){0};
    return read_summary(&rows[list->n++], s, db, err);
}

status profile_store_list(profile_store *s, profile_summaries *out, errbuf *err) {
    statement *query;
    TRY(statement_create(&query, s->db, list_sql, err));
    profile_summaries list = {0};
    bool has_row = true;
    status st = ST_OK;
    while (st == ST_OK && has_row) {
        st = statement_step(query, &has_row, err);
        if (st == ST_OK && has_row) st = add_summary(&list, query, s->db, err);
    }
    statement_destroy(query);
    if (st != ST_OK) {
        profile_summaries_finish(&list);
        return st;
    }
    *out = list;
    return ST_OK;
}

void profile_summaries_finish(profile_summaries *list) {
    for (size_t i = 0; i < list->n; i++) {
        free(list->rows[i].device);
        free(list->rows[i].model);
        free(list->rows[i].fit_kind);
    }
    free(list->rows);
    *list = (profile_summaries){0};
}

/* ------------------------------------------------------------ merge */

static status read_profile(profile_store *from, stored_samples *out, int64_t id, errbuf *err) {
    char sql[1024];
    snprintf(sql, sizeof(sql),
             "SELECT %s, sample.id FROM profile JOIN sample ON sample.profile_id = profile.id "
             "WHERE profile.id = ? ORDER BY sample.id",
             profile_sample_columns);
    statement *query;
    TRY(statement_create(&query, from->db, sql, err));
    statement_bind_integer(query, 1, id);
    status st = samples_collect(out, query, from->db, err);
    statement_destroy(query);
    return st;
}

/* The current row of `profiles`, columns as in merge_all. Its samples are checked again: the
 * other file may have been written by other programs. */
static status merge_profile(profile_store *into, bool *added, profile_store *from,
                            statement *profiles, errbuf *err) {
    const profile_info info = {.device = statement_column_text(profiles, 1),
                               .model = statement_column_text(profiles, 2),
                               .tp = (uint32_t)statement_column_integer(profiles, 3),
                               .backend = statement_column_text(profiles, 4),
                               .seed = (uint64_t)statement_column_integer(profiles, 5),
                               .commit_hash = statement_column_text(profiles, 7),
                               .source = statement_column_text(profiles, 8),
                               .settings = statement_column_text(profiles, 9)};
    stored_samples found = {0};
    status st = read_profile(from, &found, statement_column_integer(profiles, 0), err);
    for (size_t i = 0; i < found.n && st == ST_OK; i++)
        st = sample_check(&found.samples[i], err);
    if (st == ST_OK)
        st = profile_insert(into, added, &info, statement_column_text(profiles, 6),
                            found.samples, found.n, err);
    stored_samples_finish(&found);
    return st;
}

static status merge_all(profile_store *into, size_t *n_added, size_t *n_known,
                        profile_store *from, errbuf *err) {
    statement *profiles;
    TRY(statement_create(&profiles, from->db,
                         "SELECT profile.id, device.name, model.name, tp, backend, seed, "
                         "created_utc, commit_hash, source, settings FROM profile "
                         "JOIN device ON device.id = device_id "
                         "LEFT JOIN model ON model.id = model_id ORDER BY profile.id",
                         err));
    bool has_row = true;
    status st = ST_OK;
    while (st == ST_OK && has_row) {
        bool added = false;
        st = statement_step(profiles, &has_row, err);
        if (st != ST_OK || !has_row) break;
        st = merge_profile(into, &added, from, profiles, err);
        if (st == ST_OK) ++*(added ? n_added : n_known);
    }
    statement_destroy(profiles);
    return st;
}

status profile_store_merge(profile_store *into, size_t *n_added, size_t *n_known,
                           profile_store *from, errbuf *err) {
    size_t added = 0, known = 0;
    TRY(database_begin(into->db, err));
    status st = merge_all(into, &added, &known, from, err);
    if (st == ST_OK) st = database_commit(into->db, err);
    if (st != ST_OK) {
        database_rollback(into->db);
        return st;
    }
    *n_added = added;
    *n_known = known;
    return ST_OK;
}
