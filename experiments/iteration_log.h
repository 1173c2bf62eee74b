/* iteration_log.h - the decision log: one line per iteration, the same for every backend.
 *
 * Columns, separated by spaces: start of the iteration (ns), end (ns), tokens, prefill chunks,
 * decodes, sequences preempted before it, blocks copied out (swapped or
 * written back) and in, then while it ran:
 * waiting, running, swapped, free device blocks, free host blocks. Runs that decide alike on
 * equal times give equal files. */
#ifndef ITERATION_LOG_H
#define ITERATION_LOG_H

#include "scheduler.h"

typedef struct iteration_log iteration_log;

/* Creates or overwrites path. ST_IO with a message, ST_NO_MEMORY. */
MUST_USE status iteration_log_open(iteration_log **out, const char *path, errbuf *err);

/* Writes a line per iteration of the span. */
void iteration_log_write(iteration_log *l, const iteration_span *span);

/* ST_IO: something could not be written (a full disk). l may be NULL. */
MUST_USE status iteration_log_close(iteration_log *l, errbuf *err);

#endif
