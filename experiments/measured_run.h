/* measured_run.h - what a real server did: its requests, and its queues over time.
 *
 * Formats of the requests, told apart by their first character:
 *   .jsonl  one object per line: input_toks, output_toks, arrival_time (wall clock), queued_ts,
 *           scheduled_ts, first_token_ts, last_token_ts (another clock), in seconds
 *   .csv    with a header: arrival_s, prompt_tokens, completion_tokens, queue_s, ttft_s, e2e_s
 * The two clocks of the first are joined by the smallest queued_ts - arrival_time: a request
 * cannot be queued before it arrives, and one of them was queued at once. queued_ts itself is
 * when the engine's loop looked, so times count from arrival_time. */
#ifndef MEASURED_RUN_H
#define MEASURED_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

typedef struct measured_request {
    double arrival_s; /* from the first arrival */
    double queue_s;   /* from queued to scheduled */
    double ttft_s, e2e_s;
    uint32_t n_prompt, n_output;
} measured_request;

typedef struct measured_run {
    measured_request *requests; /* [n] by arrival */
    size_t n;
} measured_run;

/* ST_FORMAT with file, line, field and value; also without a request. ST_IO; ST_NO_MEMORY. */
MUST_USE status measured_run_read(measured_run *out, const char *path, errbuf *err);
void measured_run_finish(measured_run *run);

/* The queues when the interval that ends at t_s was over. */
typedef struct measured_tick {
    double t_s; /* from the first arrival */
    double n_running, n_waiting;
} measured_tick;

typedef struct measured_series {
    measured_tick *ticks; /* [n] */
    size_t n;
} measured_series;

/* Columns t, running, waiting, in any place. Errors as measured_run_read. */
MUST_USE status measured_series_read(measured_series *out, const char *path, errbuf *err);
void measured_series_finish(measured_series *series);

#endif
