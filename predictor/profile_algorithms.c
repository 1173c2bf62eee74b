/* profile_algorithms.c - the part of profile_store.h that keeps algorithms. The table is made
 * when it is first needed: files of before do without. */
#include <stdlib.h>

#include "profile_store_internal.h"

#define MAKE_TABLE                                                                             \
    "CREATE TABLE IF NOT EXISTS algorithm(\n"                                                  \
    "  id INTEGER PRIMARY KEY, line TEXT NOT NULL UNIQUE) STRICT"

static status insert_all(profile_store *s, const char *const *lines, size_t n, errbuf *err) {
    statement *insert;
    TRY(database_run(s->db, MAKE_TABLE, err));
    TRY(statement_create(&insert, s->db, "INSERT OR IGNORE INTO algorithm(line) VALUES (?)",
                         err));
    status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        statement_bind_text(insert, 1, lines[i]);
        st = statement_run(insert, err);
    }
    statement_destroy(insert);
    return st;
}

status profile_store_save_algorithms(profile_store *s, const char *const *lines, size_t n,
                                     errbuf *err) {
    TRY(database_begin(s->db, err));
    status st = insert_all(s, lines, n, err);
    if (st == ST_OK) st = database_commit(s->db, err);
    if (st != ST_OK) database_rollback(s->db);
    return st;
}

static status append(stored_algorithms *all, statement *row, errbuf *err) {
    void *grown = realloc(all->lines, (all->n + 1) * sizeof(*all->lines));
    if (!grown) return fail(err, ST_NO_MEMORY, "out of memory for algorithms");
    all->lines = grown;
    TRY(copy_text(&all->lines[all->n], row, 0, err));
    all->n++;
    return ST_OK;
}

static status has_table(profile_store *s, bool *has, errbuf *err) {
    statement *query;
    TRY(statement_create(&query, s->db, "SELECT 1 FROM sqlite_schema WHERE name = 'algorithm'",
                         err));
    status st = statement_step(query, has, err);
    statement_destroy(query);
    return st;
}

static status read_all(profile_store *s, stored_algorithms *all, errbuf *err) {
    statement *query;
    bool has_row;
    TRY(has_table(s, &has_row, err));
    if (!has_row) return ST_OK;
    TRY(statement_create(&query, s->db, "SELECT line FROM algorithm ORDER BY id", err));
    status st;
    while ((st = statement_step(query, &has_row, err)) == ST_OK && has_row)
        if ((st = append(all, query, err)) != ST_OK) break;
    statement_destroy(query);
    return st;
}

status profile_store_read_algorithms(profile_store *s, stored_algorithms *out, errbuf *err) {
    stored_algorithms all = {0};
    status st = read_all(s, &all, err);
    if (st == ST_OK)
        *out = all;
    else
        stored_algorithms_finish(&all);
    return st;
}

void stored_algorithms_finish(stored_algorithms *all) {
    for (size_t i = 0; i < all->n; i++) free(all->lines[i]);
    free(all->lines);
    *all = (stored_algorithms){0};
}
