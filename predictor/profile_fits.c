/* profile_fits.c - the part of profile_store.h that keeps fits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profile_store_internal.h"

/* ------------------------------------------------------------ saving */

static status delete_fit(profile_store *s, subject of, const fit_record *fit, errbuf *err) {
    statement *delete;
    TRY(statement_create(&delete, s->db,
                         "DELETE FROM fit WHERE device_id = ? AND ifnull(model_id, 0) = ? AND "
                         "tp = ? AND operation = ? AND part = ?",
                         err));
    statement_bind_integer(delete, 1, of.device_id);
    statement_bind_integer(delete, 2, of.model_id);
    statement_bind_integer(delete, 3, fit->tp);
    statement_bind_text(delete, 4, operation_name(fit->op));
    statement_bind_text(delete, 5, fit->part);
    status st = statement_run(delete, err);
    statement_destroy(delete);
    return st;
}

static status insert_fit(profile_store *s, int64_t *id, subject of, const fit_record *fit,
                         errbuf *err) {
    statement *insert;
    TRY(statement_create(
        &insert, s->db,
        "INSERT INTO fit(device_id, model_id, tp, operation, part, kind, json, "
        "n_samples, mape, held_out_mape, created_utc) VALUES "
        "(?,?,?,?,?,?,?,?,?,?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
        err));
    statement_bind_integer(insert, 1, of.device_id);
    bind_id(insert, 2, of.model_id);
    statement_bind_integer(insert, 3, fit->tp);
    statement_bind_text(insert, 4, operation_name(fit->op));
    statement_bind_text(insert, 5, fit->part);
    statement_bind_text(insert, 6, fit->kind);
    statement_bind_text(insert, 7, fit->json);
    statement_bind_integer(insert, 8, (int64_t)fit->n_samples);
    statement_bind_real(insert, 9, fit->mape);
    statement_bind_real(insert, 10, fit->held_out_mape);
    status st = statement_run(insert, err);
    statement_destroy(insert);
    if (st == ST_OK) *id = database_last_row_id(s->db);
    return st;
}

static status insert_sample_ids(profile_store *s, int64_t fit_id, const fit_record *fit,
                                errbuf *err) {
    statement *insert;
    TRY(statement_create(&insert, s->db, "INSERT INTO fit_sample VALUES (?, ?)", err));
    statement_bind_integer(insert, 1, fit_id);
    status st = ST_OK;
    for (size_t i = 0; i < fit->n_sample_ids && st == ST_OK; i++) {
        statement_bind_integer(insert, 2, fit->sample_ids[i]);
        st = statement_run(insert, err);
    }
    statement_destroy(insert);
    return st;
}

static status replace_fit(profile_store *s, const fit_record *fit, errbuf *err) {
    subject of;
    int64_t id = 0;
    TRY(subject_ensure(&of, s, fit->device, fit->model, err));
    TRY(delete_fit(s, of, fit, err));
    TRY(insert_fit(s, &id, of, fit, err));
    return insert_sample_ids(s, id, fit, err);
}

status profile_store_save_fits(profile_store *s, const fit_record *fits, size_t n,
                               errbuf *err) {
    TRY(database_begin(s->db, err));
    status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++) st = replace_fit(s, &fits[i], err);
    if (st == ST_OK) st = database_commit(s->db, err);
    if (st != ST_OK) database_rollback(s->db);
    return st;
}

/* ------------------------------------------------------------ reading */

static double real_or_nan(statement *s, int column) {
    return statement_column_is_null(s, column) ? NAN : statement_column_real(s, column);
}

/* Columns: operation, part, kind, json, n_samples, mape, held_out_mape, device, model. On error
 * *out is half-built. */
static status read_fit(fit_record *out, statement *s, uint32_t tp, const database *db,
                       errbuf *err) {
    const char *name = statement_column_text(s, 0), *part = statement_column_text(s, 1);
    out->op = name ? operation_find(name) : N_OPERATIONS;
    if (out->op == N_OPERATIONS || !part || strlen(part) > SAMPLE_PART_MAX)
        return fail(err, ST_FORMAT,
                    "%s: a fit of '%s' '%s', which this program does not know; use the program "
                    "that stored it, or fit again",
                    database_path(db), name ? name : "", part ? part : "");
    strcpy(out->part, part);
    out->tp = tp;
    TRY(copy_text(&out->kind, s, 2, err));
    TRY(copy_text(&out->json, s, 3, err));
    out->n_samples = (uint64_t)statement_column_integer(s, 4);
    out->mape = real_or_nan(s, 5);
    out->held_out_mape = real_or_nan(s, 6);
    TRY(copy_text(&out->device, s, 7, err));
    return copy_text(&out->model, s, 8, err);
}

static status add_fit(stored_fits *out, statement *s, uint32_t tp, const database *db,
                      errbuf *err) {
    fit_record *fits = realloc(out->fits, (out->n + 1) * sizeof(*fits));
    if (!fits) return fail(err, ST_NO_MEMORY, "%s: out of memory", database_path(db));
    out->fits = fits;
    fits[out->n] = (fit_record){0};
    return read_fit(&fits[out->n++], s, tp, db, err);
}

/* In the order of the list of operations, which SQL does not know. */
static int compare(const void *left, const void *right) {
    const fit_record *a = left, *b = right;
    if (a->op != b->op) return a->op < b->op ? -1 : 1;
    return strcmp(a->part, b->part);
}

status profile_store_read_fits(profile_store *s, stored_fits *out, const char *device,
                               const char *model, uint32_t tp, errbuf *err) {
    statement *query;
    TRY(statement_create(
        &query, s->db,
        "SELECT operation, part, kind, json, n_samples, mape, held_out_mape, "
        "device.name, model.name FROM fit JOIN device ON device.id = device_id "
        "LEFT JOIN model ON model.id = model_id "
        "WHERE device.name = ? AND model.name IS ? AND tp = ?",
        err));
    statement_bind_text(query, 1, device);
    statement_bind_text(query, 2, model);
    statement_bind_integer(query, 3, tp);
    stored_fits found = {0};
    bool has_row = true;
    status st = ST_OK;
    while (st == ST_OK && has_row) {
        st = statement_step(query, &has_row, err);
        if (st == ST_OK && has_row) st = add_fit(&found, query, tp, s->db, err);
    }
    statement_destroy(query);
    if (st != ST_OK) {
        stored_fits_finish(&found);
        return st;
    }
    if (found.n > 1) qsort(found.fits, found.n, sizeof(*found.fits), compare);
    *out = found;
    return ST_OK;
}

void stored_fits_finish(stored_fits *fits) {
    for (size_t i = 0; i < fits->n; i++) {
        free(fits->fits[i].device);
        free(fits->fits[i].model);
        free(fits->fits[i].kind);
        free(fits->fits[i].json);
    }
    free(fits->fits);
    *fits = (stored_fits){0};
}
