/* virtual_device.h - the simulated accelerator: an executor whose truth is a latency source.
 *
 * It keeps a clock, a compute stream and a copy link, adds seeded noise, and finds out who
 * finishes when. An iteration of a horizon costs the same few operations however many sequences
 * decode: finishing ticks are in a wheel, and the cost of a batch follows from its sums. */
#ifndef VIRTUAL_DEVICE_H
#define VIRTUAL_DEVICE_H

#include "executor.h"
#include "latency.h"

typedef struct virtual_device_config {
    latency_source latency; /* borrowed */
    double noise;           /* standard deviation of a time, as a share of it; 0 to 0.2 */
    uint64_t seed;          /* of the noise */
    double slowdown;        /* share added to all times from slow_from_s on; 0: none */
    double slow_from_s;
    double block_bytes; /* of a KV block, all layers, on each of the tensor-parallel devices */
    uint32_t n_layers;  /* a per-layer copy of a block makes 2 * n_layers pieces */
} virtual_device_config;

/* ST_INVALID for noise, slowdown or sizes out of range; ST_NO_MEMORY. Release with
 * out->destroy.
 */
MUST_USE status virtual_device_create(executor *out, const virtual_device_config *config,
                                      errbuf *err);

#endif
