/* store.h - results.db: what is kept of every run.
 *
 * A run is collected in memory and written at its end in one transaction, so that a killed
 * process leaves no trace, and runs side by side wait for each other only while one is written.
 * Tables: run (settings, how it ended, one column per figure), request (one row per request),
 * sample (state over time).
 *
 * Memory: at most keep_requests request rows and STORE_KEEP_SAMPLES samples per run. A longer
 *         run keeps every 2nd, 4th, ... row of the whole run; the run row's request_stride says
 *         which. Figures do not come from these rows and are those of all requests.
 * Times:  seconds from the start of the trace; NAN where it never happened, NULL in SQL.
 * Threads: one owner. */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "database.h"
#include "figures.h"
#include "request.h"
#include "status.h"

enum { STORE_KEEP_REQUESTS = 1000000, STORE_KEEP_SAMPLES = 8192 };

typedef struct store store;
typedef struct store_run store_run;

/* How a run ended; the code as in SQL. */
#define RUN_OUTCOMES(X)                                                                        \
    X(RUN_FINISHED, "finished")                                                                \
    X(RUN_ABORTED, "aborted")                                                                  \
    X(RUN_STUCK, "stuck")                                                                      \
    X(RUN_INTERRUPTED, "interrupted")                                                          \
    X(RUN_FAILED, "failed")

#define X(code, text) code,
typedef enum run_outcome { RUN_OUTCOMES(X) } run_outcome;
#undef X

/* What a run was asked to do. A NULL text is NULL in SQL: not known. */
typedef struct run_info {
    const char *commit_hash; /* of the build */
    const char *machine;     /* JSON, see machine.h */
    uint64_t seed;           /* the same 64 bits in SQL, where 2^63 and above look negative */
    const char *label;       /* chosen by the user */
    const char *trace, *backend, *device, *model, *policy;
    const char *settings; /* JSON, all of them; "rate" is the requests per second */
} run_info;

typedef struct request_row {
    uint64_t request_id;
    double arrival_s, first_scheduled_s, first_token_s, finish_s;
    double solo_s; /* service time alone on the device */
    uint32_t n_prompt, n_output, n_preemptions;
    request_outcome outcome;
} request_row;

typedef struct sample_row {
    double t_s;
    uint32_t n_running, n_waiting, n_swapped;
    uint32_t kv_used_blocks, kv_total_blocks;
} sample_row;

/* Opens path, or makes it when mode is DATABASE_CREATE. On error *out is not written; the
 * errors are those of database_open. */
MUST_USE status store_open(store **out, const char *path, database_mode mode, errbuf *err);

/* s may be NULL; its runs must have been committed or discarded. */
void store_close(store *s);

/* The file, for reading (stored_run.h). */
database *store_database(store *s);

/* How long a commit waits for other processes; 10 s until set. A sweep of many processes that
 * keep long runs may want more. */
void store_set_busy_timeout(store *s, double seconds);

/* Starts to collect a run; info and its texts are borrowed until it is committed or discarded.
 * Writes nothing yet. ST_NO_MEMORY. */
MUST_USE status store_begin_run(store *s, store_run **out, const run_info *info,
                                size_t keep_requests, errbuf *err);

/* Adds a request, in any order, each id once. ST_NO_MEMORY: the run goes on without the row. */
MUST_USE status store_add_request(store_run *run, const request_row *row, errbuf *err);

/* Adds a sample, in order of time; may be called after every iteration. ST_NO_MEMORY. */
MUST_USE status store_add_sample(store_run *run, const sample_row *row, errbuf *err);

/* Requests that were added and that memory had no room for. */
uint64_t store_n_requests_dropped(const store_run *run);

/* Writes the run and frees it; message may be NULL. ST_BUSY, ST_IO, ST_FORMAT, ST_INVALID
 * (settings or machine that are not JSON): nothing is written and the run is still there, to be
 * tried again or discarded. */
MUST_USE status store_commit_run(store_run *run, int64_t *run_id, const run_figures *figures,
                                 run_outcome outcome, const char *message, errbuf *err);

/* Frees a run without writing it. run may be NULL. */
void store_discard_run(store_run *run);

#endif
