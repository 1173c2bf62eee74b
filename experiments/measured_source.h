/* measured_source.h - a measured latency source from a profile database.
 *
 * Finds the samples of a device and a model, those of kernels by shape, and, for a number of
 * tensor-parallel devices that was not measured, a model to scale by (latency_measured.h). */
#ifndef MEASURED_SOURCE_H
#define MEASURED_SOURCE_H

#include "latency_measured.h"

typedef struct measured_source_options {
    const char *profile; /* the database */
    const device_spec *device;
    const model_spec *model;
    uint32_t tp;
    double host_step_s;
} measured_source_options;

/* Release with out->destroy. ST_NOT_FOUND: samples are missing, with what to import or measure;
 * errors of profile_store_open and latency_measured_create. */
MUST_USE status measured_source_open(latency_source *out,
                                     const measured_source_options *options, errbuf *err);

#endif
