/* measured_copies.h - what copies of KV take on a device that was measured: by bytes in one
 * piece, what each further piece adds, and by how much compute and the other direction of the
 * link slow a copy down. What no sample tells is the analytic device's.
 * Threads: none; reading is const. */
#ifndef MEASURED_COPIES_H
#define MEASURED_COPIES_H

#include "latency.h"
#include "sample_list.h"
#include "status.h"

typedef struct measured_copies measured_copies;

/* Of the samples of swaps among these; analytic is borrowed. ST_NO_MEMORY. */
MUST_USE status measured_copies_create(measured_copies **out, const latency_source *analytic,
                                       sample_list samples);

/* m may be NULL. */
void measured_copies_destroy(measured_copies *m);

/* As copy_s and copy_slowdown of a latency source. */
double measured_copies_s(const measured_copies *m, link_direction direction, double n_bytes,
                         uint32_t n_segments, bool beside_compute);
double measured_copies_slowdown(const measured_copies *m);

#endif
