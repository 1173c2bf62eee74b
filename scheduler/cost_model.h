/* cost_model.h - what policies ask of a predictor: the belief, never the truth.
 *
 * The predictor implements it from fits on what was measured through an executor. Every answer
 * takes O(1), allocates nothing, and comes with an interval. */
#ifndef COST_MODEL_H
#define COST_MODEL_H

#include "batch_shape.h"
#include "device_spec.h"

typedef struct cost {
    double s;             /* expected seconds */
    double low_s, high_s; /* covers the truth in 90 % of cases within the fitted range */
    bool in_range;        /* false: outside of what was measured, the interval is widened */
} cost;

/* What goes on beside a copy. */
typedef struct copy_load {
    bool other_direction; /* of the link is busy */
    bool compute;         /* an iteration runs */
} copy_load;

typedef struct cost_model {
    /* An iteration of this composition, start to start. */
    cost (*iteration)(void *context, const batch_shape *batch);
    /* A copy of n_blocks KV blocks in n_segments pieces, alone on its way. */
    cost (*copy)(void *context, link_direction direction, uint32_t n_blocks,
                 uint32_t n_segments, copy_load load);
    /* What really happened, to follow a device that drifts. True: a drift was noticed. */
    bool (*observe_iteration)(void *context, const batch_shape *batch, double s);
    bool (*observe_copy)(void *context, link_direction direction, uint32_t n_blocks,
                         uint32_t n_segments, copy_load load, double s);
    void *context;
} cost_model;

/* Seconds that a chunk of n tokens behind n_before cached ones takes when it has the device to
 * itself. */
cost cost_of_lone_prefill(const cost_model *m, uint32_t n_before, uint32_t n);

/* Seconds that adding the same chunk to `batch` makes its iteration longer: the price of a
 * recompute under load. Never below 0. */
cost cost_of_added_prefill(const cost_model *m, const batch_shape *batch, uint32_t n_before,
                           uint32_t n);

#endif
