/* latency_measured.h - iteration times looked up in what was measured on a device.
 *
 * Three ways, the first that the samples allow:
 *   operators    layers x the operators of a layer, embedding, head, sampler, host time
 *                (measured_tables.h) and all-reduces between tensor-parallel devices
 *   scaled       the same with samples of one device only: each operator's time there times
 *                what another model's same operator gains from one device to tp at as many
 *                tokens and equal contexts. An estimate, not a measurement
 *   iterations   whole iterations (microbenchmarks, or tables of whole models): the analytic
 *                time (latency_analytic.h) times the ratio of measured to analytic time of the
 *                nearest samples
 * Copies are looked up by bytes where they were measured, else analytic.
 *
 * Samples' own noise is not in the times: latency_measured_noise is for the virtual device.
 * Threads: one owner; what was computed is kept inside. */
#ifndef LATENCY_MEASURED_H
#define LATENCY_MEASURED_H

#include "device_spec.h"
#include "latency.h"
#include "model_spec.h"
#include "sample.h"
#include "sample_list.h"
#include "status.h"

typedef struct measured_config {
    const device_spec *device;
    const model_spec *model;
    uint32_t tp;
    sample_list own; /* of the model on tp devices, and of kernels by shape */
    /* Of another model: what unequal contexts cost (skew_table.h), where own does not say. */
    sample_list skew;
    /* To scale from, when own has no operators: of the model on one device, and of another one
     * (the reference) on one and on tp devices. Empty otherwise. */
    const model_spec *reference_model;
    sample_list single, reference_single, reference_tp;
    /* Host time of a step that the device waits for, beside what the samples hold. */
    double host_step_s;
} measured_config;

typedef enum measured_way {
    MEASURED_OPERATORS,
    MEASURED_SCALED,
    MEASURED_ITERATIONS
} measured_way;

/* Release with out->destroy. ST_NOT_FOUND: samples are missing, the message says of what;
 * ST_INVALID: tp does not divide the heads; ST_NO_MEMORY. */
MUST_USE status latency_measured_create(latency_source *out, const measured_config *config,
                                        errbuf *err);

/* Of a measured source: which way it goes. */
measured_way latency_measured_way(const latency_source *source);

/* Of a measured source: the standard deviation of an iteration as a share of its time, that the
 * samples' own (the median) make: operators are taken as independent of each other, so that
 * theirs shrinks with the root of their number. 0 when the samples do not tell. */
double latency_measured_noise(const latency_source *source);

#endif
