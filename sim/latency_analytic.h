/* latency_analytic.h - iteration and copy times from a device's published limits.
 *
 * An iteration is the sum of its kernels (matrix products, attention, element-wise, sampling,
 * all-reduces) and of the host's work between two iterations. Prefill and decode attention are
 * two kernels. Plain arithmetic only: every compiler gives the same bits.
 * More tokens, pairs, keys or sequences never take less time, except as attention_model.h says.
 * Threads: one owner; what was computed is kept inside. */
#ifndef LATENCY_ANALYTIC_H
#define LATENCY_ANALYTIC_H

#include "device_spec.h"
#include "latency.h"
#include "model_spec.h"
#include "status.h"

/* Makes a source for the model on tp devices (1, 2, 4 or 8), of which it keeps a copy. Release
 * with out->destroy.
 * ST_INVALID when tp does not divide the heads; ST_NO_MEMORY. */
MUST_USE status latency_analytic_create(latency_source *out, const device_spec *device,
                                        const model_spec *model, uint32_t tp, errbuf *err);

/* Of an analytic source: seconds of the device's part of an iteration, without the host's. */
double latency_analytic_device_s(const latency_source *source, const batch_shape *shape);

#endif
