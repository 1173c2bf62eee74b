/* iteration_table.h - whole iterations that were measured, as a correction of the analytic
 * time.
 *
 * Whole iterations are scattered over too many dimensions for a grid. The analytic model has
 * their shape and misses their level, so the ratio of the two is what is interpolated: the mean
 * of its logarithm over the nearest samples, weighted by the inverse square of the distance, as
 * in Shepard's method (ACM National Conference 1968). Distances are in logarithms of prefill
 * tokens, pairs per token, decodes and mean context. */
#ifndef ITERATION_TABLE_H
#define ITERATION_TABLE_H

#include <stddef.h>

#include "latency.h"
#include "sample.h"
#include "status.h"

typedef struct iteration_table iteration_table;

/* Takes the OP_ITERATION samples among samples[0..n); *out is NULL when there are none.
 * analytic is borrowed. ST_NO_MEMORY. */
MUST_USE status iteration_table_create(iteration_table **out, const latency_source *analytic,
                                       const sample *samples, size_t n);

/* t may be NULL. */
void iteration_table_destroy(iteration_table *t);

double iteration_table_s(const iteration_table *t, const batch_shape *batch);

#endif
