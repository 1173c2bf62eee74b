/* workers.h - threads that run one task together, again and again.
 *
 * The caller is worker 0. A worker that waits spins for a moment before it sleeps: the parts of
 * a pass follow each other within microseconds. Threads: one owner. */
#ifndef WORKERS_H
#define WORKERS_H

#include <stdint.h>

#include "status.h"

typedef struct workers workers;

/* Part `worker` of n_workers of a task. */
typedef void (*worker_task)(void *context, uint32_t worker, uint32_t n_workers);

/* On error *out is not written. ST_INVALID: n is 0. ST_NO_MEMORY; ST_IO: no thread. */
MUST_USE status workers_create(workers **out, uint32_t n, errbuf *err);

/* Ends the threads. w may be NULL. */
void workers_destroy(workers *w);

uint32_t workers_count(const workers *w);

/* Runs all parts and returns when all are done; what they wrote can be seen. */
void workers_run(workers *w, worker_task task, void *context);

#endif
