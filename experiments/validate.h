/* validate.h - a measured run replayed by the simulator, and how far the two are apart.
 *
 * The requests come when they came, with the lengths they had, and are served with the server's
 * settings. Both sides are then figured in the same way: times count from the arrival;
 * percentiles interpolate between order statistics (rank q (n - 1) from 0); TPOT is (last -
 * first token) / (outputs - 1); errors are simulated / measured - 1.
 *
 * The first request is a warm-up of the server: it is replayed and counts, except in the
 * unsaturated part, where it would be one of few. That part is the requests before the first
 * one that was queued for UNSATURATED_QUEUE_S or longer on the server. */
#ifndef VALIDATE_H
#define VALIDATE_H

#include <stdio.h>

#include "measured_run.h"
#include "run.h"

/* Longer than any iteration of a server that is not full. */
static const double UNSATURATED_QUEUE_S = 1;

/* The queues after an iteration. */
typedef struct simulated_tick {
    double t_s, n_running, n_waiting;
} simulated_tick;

typedef struct simulated_run {
    double *ttft_s, *e2e_s; /* [n] by request */
    size_t n;
    simulated_tick *ticks; /* [n_ticks] */
    size_t n_ticks, ticks_capacity;
} simulated_run;

/* Serves the requests of a run. settings.trace is not looked at.
 * ST_INVALID and others as run_setup_init and serve; also a request that cannot be served. */
MUST_USE status simulated_run_make(simulated_run *out, const measured_run *measured,
                                   const run_settings *settings, errbuf *err);
void simulated_run_finish(simulated_run *s);

/* One figure of both sides. NAN: has none, as differences have but an error. */
typedef struct validation_row {
    const char *name; /* in JSON */
    double measured, simulated, error;
    bool is_relative; /* the error; otherwise it is in the figure's unit */
} validation_row;

enum { VALIDATION_ROWS_MAX = 40 };

typedef struct validation {
    validation_row rows[VALIDATION_ROWS_MAX];
    size_t n;
    size_t n_unsaturated; /* requests of that part */
} validation;

/* series may be NULL: nothing over time. ST_NO_MEMORY. */
MUST_USE status validation_make(validation *out, const measured_run *measured,
                                const measured_series *series, const simulated_run *simulated,
                                errbuf *err);

void validation_print(FILE *out, const validation *v);

/* {name: {"measured", "simulated", "error"}}, what there is none of is null. */
MUST_USE status validation_write_json(FILE *out, const validation *v, errbuf *err);

/* For plots/validate.gp: two blocks of columns, headed by their names: the queues over time,
 * then the sorted times of the requests. */
MUST_USE status validation_write_points(FILE *out, const measured_run *measured,
                                        const measured_series *series,
                                        const simulated_run *simulated, errbuf *err);

#endif
