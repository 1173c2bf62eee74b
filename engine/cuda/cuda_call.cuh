/* cuda_call.cuh - a CUDA call as a status. */
#ifndef CUDA_CALL_CUH
#define CUDA_CALL_CUH

#include <cuda_runtime.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
#include "status.h"
}

/* `what` is what was wanted: "device memory for the weights". */
static inline status cuda_status(cudaError_t e, const char *what, errbuf *err) {
    if (e == cudaSuccess) return ST_OK;
    (void)cudaGetLastError(); /* the next call shall not report it again */
    if (e == cudaErrorMemoryAllocation) return fail(err, ST_NO_MEMORY, "no memory: %s", what);
    if (e == cudaErrorDevicesUnavailable)
        return fail(err, ST_BUSY, "the device is busy: another program has it for itself");
    return fail(err, ST_IO, "%s: %s", what, cudaGetErrorString(e));
}

/* Returns from the calling function, which has an `err`, unless the call succeeded. */
#define TRY_CUDA(call, what) TRY(cuda_status((call), (what), err))

#endif
