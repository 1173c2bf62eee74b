/* store_schema.h - the tables of results.db as SQL. */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

/* "ADLM". The version goes up with every change of a table or a figure. */
enum { STORE_VERSION = 1 };

/* CREATE statements of all tables, to be freed; NULL without memory. */
char *store_schema_sql(void);

/* INSERT of a run, to be freed; NULL without memory. Its parameters: commit_hash, machine,
 * label, trace, backend, device, model, policy, settings, outcome, message, seed,
 * request_stride, then the figures in their order. */
char *store_insert_run_sql(void);

/* Parameters: the columns in their order. */
#define STORE_INSERT_REQUEST_SQL "INSERT INTO request VALUES (?,?,?,?,?,?,?,?,?,?,?)"
#define STORE_INSERT_SAMPLE_SQL  "INSERT INTO sample VALUES (?,?,?,?,?,?,?,?)"

#endif
