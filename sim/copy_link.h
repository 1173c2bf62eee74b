/* copy_link.h - the host link of the virtual device: one queue of copies per direction.
 *
 * Copies of a direction run one after the other. While both directions are busy, each is slower
 * by a constant factor (the link's two ways share what lies behind them).
 * Time goes forward only; a copy's end is rounded up to the next nanosecond. */
#ifndef COPY_LINK_H
#define COPY_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "device_spec.h"
#include "status.h"

typedef struct copy_job {
    uint64_t id;
    double seconds;     /* alone on the link */
    double left_s;      /* of those */
    int64_t started_ns; /* when it got to the head of its queue */
} copy_job;

typedef struct copy_queue {
    copy_job *jobs; /* [capacity] ring */
    uint32_t first, n, capacity;
} copy_queue;

typedef struct copy_link {
    copy_queue queues[N_LINK_DIRECTIONS];
    double slowdown; /* >= 1, with both directions busy */
    int64_t now_ns;
    double busy_s; /* with at least one direction busy */
} copy_link;

void copy_link_init(copy_link *l, double slowdown);
void copy_link_finish(copy_link *l);

/* Queues a copy at now_ns. ST_NO_MEMORY: nothing changed. */
MUST_USE status copy_link_add(copy_link *l, link_direction direction, uint64_t id,
                              double seconds, int64_t now_ns);

/* When the next copy ends if nothing is added before; INT64_MAX when the link is idle. */
int64_t copy_link_next_ns(const copy_link *l);

/* Goes to now_ns, which is not beyond the next end. If a copy ends there, it is taken off the
 * queue and goes to *done (the lower id first, call again for the other): returns true. */
bool copy_link_advance(copy_link *l, int64_t now_ns, copy_job *done);

#endif
