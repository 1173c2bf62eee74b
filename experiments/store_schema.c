#include "store_schema.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "figures.h"
#include "store.h"

/* One of an outcome list. Not IN (...): SQLite builds a temporary table for that at every row,
 * which takes longer than the rest of the insertion. */
#define OR_EQUALS(code, text)    " OR outcome = '" text "'"
#define RUN_OUTCOME_IS_KNOWN     "CHECK (0" RUN_OUTCOMES(OR_EQUALS) ")"
#define REQUEST_OUTCOME_IS_KNOWN "CHECK (0" REQUEST_OUTCOMES(OR_EQUALS) ")"

static const char run_columns[] =
    "CREATE TABLE run(\n"
    "  id INTEGER PRIMARY KEY,\n"
    "  created_utc TEXT NOT NULL,\n"
    "  commit_hash TEXT,\n"
    "  machine TEXT CHECK (machine IS NULL OR json_valid(machine)),\n"
    "  seed INTEGER NOT NULL,\n"
    "  label TEXT, trace TEXT, backend TEXT, device TEXT, model TEXT, policy TEXT,\n"
    "  settings TEXT CHECK (settings IS NULL OR json_valid(settings)),\n"
    "  outcome TEXT NOT NULL " RUN_OUTCOME_IS_KNOWN ",\n"
    "  message TEXT,\n"
    "  request_stride INTEGER NOT NULL";

static const char other_tables[] =
    ") STRICT;\n"
    "CREATE TABLE request(\n"
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,\n"
    "  request_id INTEGER NOT NULL,\n"
    "  arrival_s REAL NOT NULL, n_prompt INTEGER NOT NULL, n_output INTEGER NOT NULL,\n"
    "  first_scheduled_s REAL, first_token_s REAL, finish_s REAL, solo_s REAL,\n"
    "  n_preemptions INTEGER NOT NULL,\n"
    "  outcome TEXT NOT NULL " REQUEST_OUTCOME_IS_KNOWN ",\n"
    "  PRIMARY KEY (run_id, request_id)\n"
    ") STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE sample(\n"
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,\n"
    "  sample_id INTEGER NOT NULL,\n"
    "  t_s REAL NOT NULL,\n"
    "  n_running INTEGER NOT NULL,\n"
    "  n_waiting INTEGER NOT NULL,\n"
    "  n_swapped INTEGER NOT NULL,\n"
    "  kv_used_blocks INTEGER NOT NULL,\n"
    "  kv_total_blocks INTEGER NOT NULL,\n"
    "  PRIMARY KEY (run_id, sample_id)\n"
    ") STRICT, WITHOUT ROWID;\n";

/* The parameters of a run before its figures. */
#define NAMED_PARAMETERS ",?,?,?,?,?,?,?,?,?,?,?,?,?"

/* Closes a memory stream; NULL, with its text freed, if it ran out of memory. The stream sets
 * *text when it is closed. */
static char *finish_text(FILE *out, char **text) {
    if (fclose(out) == 0) return *text;
    free(*text);
    return NULL;
}

char *store_schema_sql(void) {
    char *sql = NULL;
    size_t size;
    FILE *out = open_memstream(&sql, &size);
    if (!out) return NULL;
    fputs(run_columns, out);
    for (int i = 0; i < N_FIGURES; i++)
        fprintf(out, ",\n  %s %s", figure_name((figure_id)i),
                figure_is_whole((figure_id)i) ? "INTEGER" : "REAL");
    fputs(other_tables, out);
    return finish_text(out, &sql);
}

char *store_insert_run_sql(void) {
    char *sql = NULL;
    size_t size;
    FILE *out = open_memstream(&sql, &size);
    if (!out) return NULL;
    fputs("INSERT INTO run(created_utc, commit_hash, machine, label, trace, backend, device, "
          "model, policy, settings, outcome, message, seed, request_stride",
          out);
    for (int i = 0; i < N_FIGURES; i++) fprintf(out, ", %s", figure_name((figure_id)i));
    fputs(") VALUES (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')" NAMED_PARAMETERS, out);
    for (int i = 0; i < N_FIGURES; i++) fputs(",?", out);
    fputs(")", out);
    return finish_text(out, &sql);
}
