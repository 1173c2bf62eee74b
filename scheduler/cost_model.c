#include "cost_model.h"

cost cost_of_lone_prefill(const cost_model *m, uint32_t n_before, uint32_t n) {
    batch_shape alone = {0};
    batch_shape_add_chunk(&alone, n_before, n, true);
    return m->iteration(m->context, &alone);
}

static double at_least_0(double s) {
    return s > 0 ? s : 0;
}

cost cost_of_added_prefill(const cost_model *m, const batch_shape *batch, uint32_t n_before,
                           uint32_t n) {
    batch_shape with = *batch;
    batch_shape_add_chunk(&with, n_before, n, true);
    cost before = m->iteration(m->context, batch);
    cost after = m->iteration(m->context, &with);
    /* Both errors are of one fit at neighbouring points; they do not add up. */
    double half = (after.high_s - after.low_s) / 2;
    double s = at_least_0(after.s - before.s);
    return (cost){.s = s,
                  .low_s = at_least_0(s - half),
                  .high_s = s + half,
                  .in_range = before.in_range && after.in_range};
}
