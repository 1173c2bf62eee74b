/* copy_streams.cuh - copies of KV blocks between device and host: one stream per direction
 * beside compute, and ordered ones on the compute stream.
 *
 * A plan's copies of one direction go to the device as batches of pieces, each between two
 * events, which time it. Copies of a direction complete in the order in which they were pushed.
 * Threads: one owner. Nothing here waits for the device, save destroy. */
#ifndef COPY_STREAMS_CUH
#define COPY_STREAMS_CUH

#include <cuda_runtime.h>

extern "C" {
#include "copy_pieces.h"
}

typedef struct copy_streams copy_streams;

/* On error *out is not written. ST_NO_MEMORY, ST_IO. */
MUST_USE status copy_streams_create(copy_streams **out, const copy_memory *m, errbuf *err);

/* Waits for what is in flight. s may be NULL. */
void copy_streams_destroy(copy_streams *s);

/* Enqueues the plan's asynchronous copies; behind `after`, unless it is NULL. ST_NO_MEMORY,
 * ST_IO. */
MUST_USE status copy_streams_push(copy_streams *s, const plan *p, cudaEvent_t after,
                                  errbuf *err);

/* Enqueues the plan's ordered copies on the compute stream, in its order. */
MUST_USE status copy_streams_push_ordered(copy_streams *s, const plan *p, cudaStream_t compute,
                                          errbuf *err);

typedef struct copy_done {
    uint64_t id;
    double seconds; /* on its stream, waiting excluded */
} copy_done;

/* Takes one copy that has completed, of several the lowest id. *found is false: none has.
 * ST_IO: the device failed. */
MUST_USE status copy_streams_take(copy_streams *s, bool *found, copy_done *out, errbuf *err);

/* Copies pushed and not taken yet. */
uint32_t copy_streams_in_flight(const copy_streams *s);

#endif
