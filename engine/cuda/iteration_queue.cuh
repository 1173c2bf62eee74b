/* iteration_queue.cuh - iterations on the compute stream: enqueued before the ones at hand have
 * been read, taken in order.
 *
 * An iteration is a pass and a pick for each sample. One of decodes also moves its rows on by a
 * token, on the device, so that the next can be enqueued at once; it runs from a CUDA graph,
 * one for each padded size of batch (the first of a size runs without, so that its kernels are
 * loaded when they are captured).
 *
 * Threads: one owner. Nothing but drop and destroy waits for the device. */
#ifndef ITERATION_QUEUE_CUH
#define ITERATION_QUEUE_CUH

#include "device_batch.cuh"
#include "sampling.cuh"

enum { ITERATIONS_AHEAD_MAX = 4 };

typedef struct iteration_queue iteration_queue;

/* What it works on; all borrowed. */
typedef struct iteration_queue_config {
    cudaStream_t stream;
    device_pass *pass;
    device_batch *batch; /* the one at hand */
    kv_arena arena;
    uint32_t vocab;
    sampling_options sampling;
} iteration_queue_config;

/* On error *out is not written. ST_NO_MEMORY, ST_IO. */
MUST_USE status iteration_queue_create(iteration_queue **out, const iteration_queue_config *c,
                                       errbuf *err);

/* Waits for what is pending. q may be NULL. */
void iteration_queue_destroy(iteration_queue *q);

/* Enqueues an iteration of the batch at hand. repeats: it is one of decodes, padded to a
 * gemm_bucket(), and may be pushed again; at most ITERATIONS_AHEAD_MAX are pending. */
MUST_USE status iteration_queue_push(iteration_queue *q, bool repeats, errbuf *err);

/* Takes the oldest iteration if it has ended: its picks to picked[], in the order of the
 * token_batch. *ended is false: it has not, or none is pending. ST_FORMAT: a logit is no
 * number, of the sample *bad_sample in that order; ST_IO: the device failed. */
MUST_USE status iteration_queue_take(iteration_queue *q, bool *ended, uint32_t *picked,
                                     uint32_t *bad_sample, errbuf *err);

uint32_t iteration_queue_pending(const iteration_queue *q);

/* Stops what is pending as soon as it can and forgets it. What it had computed is lost; KV that
 * it stored lies behind the tokens that were taken. */
MUST_USE status iteration_queue_drop(iteration_queue *q, errbuf *err);

#endif
