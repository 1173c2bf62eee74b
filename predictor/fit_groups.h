/* fit_groups.h - which samples make which fit of a model on a device.
 *
 * Samples of the model itself are grouped by operation, part and shape. Kernels that were
 * measured by shape, for no model, are taken at the shapes nearest to the model's: its matrix
 * products become parts "qkv", "o", "up", "down" and "head", its attention the part "". */
#ifndef FIT_GROUPS_H
#define FIT_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model_spec.h"
#include "sample.h"
#include "status.h"

typedef struct fit_group {
    char part[SAMPLE_PART_MAX + 1]; /* of the fit; the samples' own may be "" */
    sample *samples;                /* [n] */
    int64_t *ids;                   /* [n] in profiles.db; 0 for what is not from there */
    size_t n;
} fit_group;

typedef struct fit_groups {
    fit_group *groups; /* [n] in the order of operation, part, shape */
    size_t n, capacity;
} fit_groups;

/* Adds the model's own samples; ids [n] or NULL. ST_NO_MEMORY. */
MUST_USE status fit_groups_add(fit_groups *g, const sample *samples, const int64_t *ids,
                               size_t n);

/* Adds those of kernel samples (tp 1, no model) that are nearest to what one of tp devices runs
 * for the model, unless the same part is there already. ST_NO_MEMORY. */
MUST_USE status fit_groups_add_kernels(fit_groups *g, const sample *samples, const int64_t *ids,
                                       size_t n, const model_spec *model, uint32_t tp);

void fit_groups_finish(fit_groups *g);

/* The shape of a matrix product of the model on one of tp devices: part "qkv", "o", "up",
 * "down" or "head". False for another part. */
bool model_gemm_shape(uint32_t *n, uint32_t *k, const model_spec *model, uint32_t tp,
                      const char *part);

#endif
