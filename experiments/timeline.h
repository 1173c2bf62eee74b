/* timeline.h - what the device did, in Chrome's trace format: opens in Perfetto.
 *
 * One track for compute (iterations that ran alike are one slice), one for copies that the
 * compute stream waits for, one for each direction of those beside it; counters for queues and
 * free KV blocks.
 * Times are microseconds. */
#ifndef TIMELINE_H
#define TIMELINE_H

#include "copy_ledger.h"
#include "scheduler.h"

typedef struct timeline timeline;

/* Creates or overwrites path. ST_IO with a message, ST_NO_MEMORY. */
MUST_USE status timeline_open(timeline **out, const char *path, errbuf *err);

void timeline_iterated(timeline *t, const iteration_span *span);

/* An asynchronous copy completed. */
void timeline_copied(timeline *t, const copy_in_flight *copy, const completion *c);

/* Closes the file. ST_IO: something could not be written. t may be NULL. */
MUST_USE status timeline_close(timeline *t, errbuf *err);

#endif
