#include "profile_schema.h"

#include <string.h>

#include "sample_set.h"

/* No CHECK of the operation's name: a newer program may know more of them, and an older one
 * says so when it reads. */
#define COLUMN(column, member, type)    "  " #column " INTEGER NOT NULL,\n"
#define NAME(column, member, type)      ", " #column
#define QUALIFIED(column, member, type) ", sample." #column
#define PARAMETER(column, member, type) ",?"

const database_schema profile_schema = {
    "profile database", DATABASE_PROFILES_ID, PROFILE_VERSION,
    "CREATE TABLE device(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;\n"
    "CREATE TABLE model(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;\n"
    "CREATE TABLE profile(\n"
    "  id INTEGER PRIMARY KEY,\n"
    "  device_id INTEGER NOT NULL REFERENCES device(id),\n"
    "  model_id INTEGER REFERENCES model(id),\n"
    "  tp INTEGER NOT NULL CHECK (tp >= 1),\n"
    "  backend TEXT,\n"
    "  seed INTEGER,\n"
    "  created_utc TEXT NOT NULL,\n"
    "  commit_hash TEXT,\n"
    "  source TEXT NOT NULL,\n"
    "  settings TEXT CHECK (settings IS NULL OR json_valid(settings)),\n"
    "  n_samples INTEGER NOT NULL,\n"
    "  content_hash INTEGER NOT NULL\n"
    ") STRICT;\n"
    /* NULLs differ from each other in an index: no model is 0 here. */
    "CREATE UNIQUE INDEX profile_content ON\n"
    "  profile(device_id, ifnull(model_id, 0), tp, n_samples, content_hash);\n"
    "CREATE TABLE sample(\n"
    "  id INTEGER PRIMARY KEY,\n"
    "  profile_id INTEGER NOT NULL REFERENCES profile(id) ON DELETE CASCADE,\n"
    "  operation TEXT NOT NULL,\n"
    "  part TEXT NOT NULL,\n" SAMPLE_FEATURES(
        COLUMN) "  bytes REAL NOT NULL,\n"
                "  seconds REAL NOT NULL CHECK (seconds > 0),\n"
                "  deviation_s REAL NOT NULL CHECK (deviation_s >= 0),\n"
                "  n_repeats INTEGER NOT NULL CHECK (n_repeats >= 1)\n"
                ") STRICT;\n"
                "CREATE INDEX sample_profile ON sample(profile_id, operation);\n"
                "CREATE TABLE fit(\n"
                "  id INTEGER PRIMARY KEY,\n"
                "  device_id INTEGER NOT NULL REFERENCES device(id),\n"
                "  model_id INTEGER REFERENCES model(id),\n"
                "  tp INTEGER NOT NULL CHECK (tp >= 1),\n"
                "  operation TEXT NOT NULL,\n"
                "  part TEXT NOT NULL,\n"
                "  created_utc TEXT NOT NULL,\n"
                "  kind TEXT NOT NULL,\n"
                "  json TEXT NOT NULL CHECK (json_valid(json)),\n"
                "  n_samples INTEGER NOT NULL,\n"
                "  mape REAL, held_out_mape REAL\n"
                ") STRICT;\n"
                "CREATE UNIQUE INDEX fit_subject ON\n"
                "  fit(device_id, ifnull(model_id, 0), tp, operation, part);\n"
                "CREATE TABLE fit_sample(\n"
                "  fit_id INTEGER NOT NULL REFERENCES fit(id) ON DELETE CASCADE,\n"
                "  sample_id INTEGER NOT NULL REFERENCES sample(id),\n"
                "  PRIMARY KEY (fit_id, sample_id)\n"
                ") STRICT, WITHOUT ROWID;\n"};

const char profile_insert_sample_sql[] =
    "INSERT INTO sample(profile_id, operation, "
    "part" SAMPLE_FEATURES(NAME) ", bytes, seconds, deviation_s, n_repeats) VALUES "
                                 "(?,?,?" SAMPLE_FEATURES(PARAMETER) ",?,?,?,?)";

const char profile_sample_columns[] =
    "profile.tp, sample.operation, sample.part" SAMPLE_FEATURES(
        QUALIFIED) ", sample.bytes, sample.seconds, sample.deviation_s, sample.n_repeats";

void sample_bind(statement *s, const sample *row) {
    int n = 2;
    statement_bind_text(s, n++, operation_name(row->op));
    statement_bind_text(s, n++, row->part);
#define X(column, member, type) statement_bind_integer(s, n++, (int64_t)row->member);
    SAMPLE_FEATURES(X)
#undef X
    statement_bind_real(s, n++, row->bytes);
    statement_bind_real(s, n++, row->seconds);
    statement_bind_real(s, n++, row->deviation_s);
    statement_bind_integer(s, n, row->n_repeats);
}

status sample_read(sample *out, statement *s, const database *db, errbuf *err) {
    int n = 0;
    sample row = {.tp = (uint32_t)statement_column_integer(s, n++)};
    const char *name = statement_column_text(s, n++);
    row.op = name ? operation_find(name) : N_OPERATIONS;
    if (row.op == N_OPERATIONS)
        return fail(err, ST_FORMAT,
                    "%s: samples of an operation '%s', which this program does not know; use "
                    "the program that stored them",
                    database_path(db), name ? name : "");
    const char *part = statement_column_text(s, n++);
    if (!part || strlen(part) > SAMPLE_PART_MAX)
        return fail(err, ST_FORMAT, "%s: a part of '%s' is longer than %d letters",
                    database_path(db), name, SAMPLE_PART_MAX);
    strcpy(row.part, part);
#define X(column, member, type) row.member = (type)statement_column_integer(s, n++);
    SAMPLE_FEATURES(X)
#undef X
    row.bytes = statement_column_real(s, n++);
    row.seconds = statement_column_real(s, n++);
    row.deviation_s = statement_column_real(s, n++);
    row.n_repeats = (uint32_t)statement_column_integer(s, n);
    *out = row;
    return ST_OK;
}
