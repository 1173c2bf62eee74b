/* compute_thread.h - the compute stream of an engine on the CPU: one job at a time, beside the
 * caller.
 *
 * The job is always the same function; its context says what there is to do. What the caller
 * wrote before start is seen by the job. That the job is over, the job itself tells. */
#ifndef COMPUTE_THREAD_H
#define COMPUTE_THREAD_H

#include "status.h"

typedef struct compute_thread compute_thread;

/* ST_NO_MEMORY; ST_IO: no thread can be had. */
MUST_USE status compute_thread_create(compute_thread **out, void (*job)(void *context),
                                      void *context, errbuf *err);

/* Waits for the job at hand. t may be NULL. */
void compute_thread_destroy(compute_thread *t);

/* Runs the job once; the one before it must be over. */
void compute_thread_start(compute_thread *t);

#endif
