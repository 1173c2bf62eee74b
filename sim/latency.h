/* latency.h - a latency source: how long the virtual device takes, the truth of a simulation.
 *
 * Two exist: analytic (formulas on published limits) and measured (look-ups in recorded
 * samples). The virtual device adds noise and contention; a source is free of both.
 * Must not know: queues, policies, the predictor, time. */
#ifndef LATENCY_H
#define LATENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "batch_shape.h"
#include "device_spec.h"

typedef struct latency_source {
    /* Seconds from the start of an iteration to the next one's, host time included. */
    double (*iteration_s)(void *context, const batch_shape *shape);
    /* Seconds of a copy of n_bytes in n_segments contiguous pieces, the link otherwise idle. */
    double (*copy_s)(void *context, link_direction direction, double n_bytes,
                     uint32_t n_segments, bool beside_compute);
    /* Factor (>= 1) by which a copy takes longer while the other direction is busy too. */
    double (*copy_slowdown)(void *context);
    void (*destroy)(void *context);
    void *context;
} latency_source;

#endif
