#include "plain_costs.h"

static cost around(const plain_costs *c, double s) {
    return (cost){
        .s = s, .low_s = s * (1 - c->spread), .high_s = s * (1 + c->spread), .in_range = true};
}

static cost iteration(void *context, const batch_shape *batch) {
    const plain_costs *c = context;
    latency_source truth = plain_latency_source(&c->latency);
    return around(c, truth.iteration_s(truth.context, batch));
}

static cost copy(void *context, link_direction direction, uint32_t n_blocks,
                 uint32_t n_segments, copy_load load) {
    const plain_costs *c = context;
    latency_source truth = plain_latency_source(&c->latency);
    double s = truth.copy_s(truth.context, direction, c->block_bytes * n_blocks, n_segments,
                            load.compute);
    return around(c, load.other_direction ? s * c->latency.copy_slowdown : s);
}

static bool observe_iteration(void *context, const batch_shape *batch, double s) {
    (void)context, (void)batch, (void)s;
    return false;
}

static bool observe_copy(void *context, link_direction direction, uint32_t n_blocks,
                         uint32_t n_segments, copy_load load, double s) {
    (void)context, (void)direction, (void)n_blocks;
    (void)n_segments, (void)load, (void)s;
    return false;
}

cost_model plain_cost_model(const plain_costs *constants) {
    return (cost_model){.iteration = iteration,
                        .copy = copy,
                        .observe_iteration = observe_iteration,
                        .observe_copy = observe_copy,
                        .context = (void *)constants};
}
