/* plain_costs.h - a belief for tests: a cost model that knows the constants of a plain latency.
 *
 * Its answers are exact, and lie in the middle of an interval whose width is chosen. */
#ifndef PLAIN_COSTS_H
#define PLAIN_COSTS_H

#include "cost_model.h"
#include "sim_rig.h"

typedef struct plain_costs {
    plain_latency latency;
    double block_bytes;
    double spread; /* half an interval, as a share of the answer */
} plain_costs;

/* Borrows the constants. */
cost_model plain_cost_model(const plain_costs *constants);

#endif
