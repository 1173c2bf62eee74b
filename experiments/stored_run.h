/* stored_run.h - reading runs back from results.db. */
#ifndef STORED_RUN_H
#define STORED_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "figures.h"
#include "status.h"
#include "store.h"

/* column of the run table that holds a text or NULL */
#define STORED_RUN_TEXTS(X)                                                                    \
    X(created_utc)                                                                             \
    X(commit_hash)                                                                             \
    X(machine)                                                                                 \
    X(label)                                                                                   \
    X(trace)                                                                                   \
    X(backend)                                                                                 \
    X(device)                                                                                  \
    X(model)                                                                                   \
    X(policy)                                                                                  \
    X(settings)                                                                                \
    X(outcome)                                                                                 \
    X(message)

typedef struct stored_run {
    int64_t id;
    uint64_t seed;
    uint64_t request_stride;    /* one in how many requests has a row; 0 when none has */
#define X(column) char *column; /* NULL: not known */
    STORED_RUN_TEXTS(X)
#undef X
    run_figures figures;
} stored_run;

/* Reads the run of that id. On error *out is not written. ST_NOT_FOUND, with the ids that there
 * are in the message; ST_NO_MEMORY and the errors of reading. */
MUST_USE status stored_run_read(stored_run *out, store *s, int64_t id, errbuf *err);

/* Frees the texts. A run of zeros is allowed. */
void stored_run_finish(stored_run *run);

/* Finds the latest runs, in the order of their ids: at most n_max, all when n_max is 0, only
 * those of that label unless it is NULL. *ids is the caller's to free. ST_NOT_FOUND when
 * there are none; ST_NO_MEMORY and the errors of reading. */
MUST_USE status stored_run_find_latest(int64_t **ids, size_t *n, store *s, const char *label,
                                       size_t n_max, errbuf *err);

#endif
