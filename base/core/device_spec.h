/* device_spec.h - the accelerators that can be simulated: published limits and measured rates.
 *
 * Each value's source stands beside it in device_spec.c. */
#ifndef DEVICE_SPEC_H
#define DEVICE_SPEC_H

#include <stddef.h>
#include <stdint.h>

/* The two ways over the host link; each has a copy stream of its own. */
typedef enum link_direction { LINK_TO_HOST, LINK_TO_DEVICE, N_LINK_DIRECTIONS } link_direction;

/* Generations whose kernels behave alike: how near to its limits a device gets depends on it.
 */
typedef enum gpu_family {
    GPU_AMPERE,
    GPU_ADA,
    GPU_HOPPER,
    GPU_BLACKWELL,
    N_GPU_FAMILIES
} gpu_family;

typedef struct device_spec {
    const char *name; /* as on the command line */
    const char *full_name;
    gpu_family family;
    uint32_t n_sms;
    double peak_flops;   /* dense bf16 tensor arithmetic, per second */
    double memory_bytes; /* of the device */
    double memory_bytes_per_s;
    double link_bytes_per_s;      /* host link, one direction alone, as large copies reach it */
    double link_both_bytes_per_s; /* both directions together when both run */
    double copy_launch_s;         /* cost of one copy call on its stream */
    double peer_bytes_per_s;      /* all-reduce bus bandwidth between tensor-parallel ranks */
    double peer_latency_s;        /* fixed cost of one all-reduce */
} device_spec;

/* All devices, in the order in which they are listed; *n is set. */
const device_spec *device_specs(size_t *n);

/* NULL when there is none of that name. */
const device_spec *device_spec_find(const char *name);

#endif
