/* step_times.h - when iterations and copies ended, as a file: a real run writes it, a simulated
 * one reads it and decides the same again.
 *
 * One line each, in the order of the events (times in ns from the start, durations in s):
 *   i END TOKENS ORDERED_COPY_S RECOMPUTE_S   an iteration
 *   c ID END COPY_S                           an asynchronous copy
 *   o REQUEST N                               a request that ended after N outputs
 *   u COMPUTE_S LINK_S                        busy in all, last */
#ifndef STEP_TIMES_H
#define STEP_TIMES_H

#include "recorded_device.h"

typedef struct step_log step_log;

/* Creates or overwrites path. ST_IO with a message, ST_NO_MEMORY. */
MUST_USE status step_log_open(step_log **out, const char *path, errbuf *err);

/* Puts itself between *e and its user: what completes is written. Destroying *e destroys what
 * it was, and leaves the log. ST_NO_MEMORY: *e is as before. */
MUST_USE status step_log_watch(step_log *l, executor *e, errbuf *err);

/* A request has got its last token. */
void step_log_ended(step_log *l, uint64_t request_id, uint32_t n_output);

/* Call it while the executor is there. ST_IO: something could not be written. l may be NULL. */
MUST_USE status step_log_close(step_log *l, errbuf *err);

typedef struct step_times {
    recorded_times times; /* its arrays are owned here */
    size_t iterations_capacity, copies_capacity, outputs_capacity;
} step_times;

/* ST_IO, ST_NO_MEMORY; ST_FORMAT with the line that is wrong. On error nothing is held. */
MUST_USE status step_times_read(step_times *out, const char *path, errbuf *err);
void step_times_finish(step_times *t);

#endif
