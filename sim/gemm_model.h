/* gemm_model.h - seconds of one matrix product on a device.
 *
 * The output is cut into tiles that the SMs work off in waves: the time is a staircase in m. A
 * tile goes at the speed of its arithmetic or of its operands; the whole kernel also waits for
 * device memory. The fastest of a few tile shapes and splits of k is taken, as a vendor's
 * library does. For fixed n and k more rows never take less time: each candidate grows with m.
 * Must not know: models, batches. */
#ifndef GEMM_MODEL_H
#define GEMM_MODEL_H

#include <stdint.h>

#include "device_spec.h"

/* Share of the data sheet's memory bandwidth that the device's streaming kernels reach. */
double gemm_memory_share(const device_spec *device);

/* Seconds of C[m, n] = A[m, k] B[k, n] in 16 bits; m, n and k at least 1. */
double gemm_s(const device_spec *device, uint32_t m, uint32_t n, uint32_t k);

#endif
