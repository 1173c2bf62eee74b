/* recorded_device.h - a device whose times were recorded: an executor that replays them.
 *
 * When iterations and copies ended on another executor is given; who finishes, where a horizon
 * stops and in which order events come is found out here, as on the virtual device. A scheduler
 * that decided by nothing but events and their times decides the same again. One that differs
 * is told as soon as it asks for what was not recorded. */
#ifndef RECORDED_DEVICE_H
#define RECORDED_DEVICE_H

#include "executor.h"

typedef struct recorded_iteration {
    int64_t end_ns;
    uint32_t n_tokens;                  /* computed: tells whether it is the same run */
    double ordered_copy_s, recompute_s; /* as the plan's completion had them */
} recorded_iteration;

typedef struct recorded_copy {
    uint64_t id;
    int64_t end_ns;
    double copy_s;
} recorded_copy;

typedef struct recorded_output {
    uint64_t request_id;
    uint32_t n_output;
} recorded_output;

/* What was recorded, borrowed. */
typedef struct recorded_times {
    const recorded_iteration *iterations; /* [n_iterations] in order, plans of ordered copies
                                             alone among them */
    size_t n_iterations;
    const recorded_copy *copies; /* [n_copies] asynchronous ones, by end; no two end at once */
    size_t n_copies;
    const recorded_output *outputs; /* [n_outputs] by request: those that ended before the
                                       length that admit() is told */
    size_t n_outputs;
    double compute_s, link_s; /* busy in all */
} recorded_times;

/* next() gives ST_INVALID, with what is missing, for a run that was not recorded. ST_NO_MEMORY.
 * Release with out->destroy. */
MUST_USE status recorded_device_create(executor *out, const recorded_times *times, errbuf *err);

#endif
