/* serve.h - the serving loop: the same one for the simulator and for hardware.
 *
 * Requests come in by arrival time, the scheduler plans, the executor runs, completions go
 * back, until the stream is at its end and nobody is left. */
#ifndef SERVE_H
#define SERVE_H

#include "scheduler.h"

/* Those who watch a run. Each function may be NULL. */
typedef struct serve_observer {
    /* A decision was made at now_ns; what there is to do in it has been submitted. */
    void (*planned)(void *context, const plan *p, int64_t now_ns);
    /* One or more iterations ended; not booked yet. */
    void (*iterated)(void *context, const iteration_span *span);
    /* A request ended at now_ns. A rejected one never ran: only its req is set. */
    void (*ended)(void *context, const sequence *s, request_outcome outcome, int64_t now_ns);
    /* An asynchronous copy completed. */
    void (*copied)(void *context, const completion *c);
    /* After each completion was booked. ST_OK to go on; anything else ends the run with it. */
    status (*checked)(void *context, errbuf *err);
    void *context;
} serve_observer;

/* Iterations without a new token after which a run counts as stuck. */
enum { SERVE_STUCK_ITERATIONS = 10000 };

/* Runs the stream to its end. ST_STUCK: nothing can go on, with the state of every queue in the
 * message. ST_ABORTED: the policy stopped as the modelled system does. Others as from the
 * source, the executor or the observer. */
MUST_USE status serve(scheduler *s, executor *e, request_source *source,
                      const serve_observer *watch, errbuf *err);

#endif
