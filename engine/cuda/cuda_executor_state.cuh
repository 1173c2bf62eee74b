/* cuda_executor_state.cuh - what the CUDA executor holds; for cuda_executor.cu, which serves
 * plans, and cuda_executor_make.cu, which makes and ends it. */
#ifndef CUDA_EXECUTOR_STATE_CUH
#define CUDA_EXECUTOR_STATE_CUH

#include <time.h>

#include "copy_streams.cuh"
#include "cuda_executor.h"
#include "iteration_queue.cuh"

extern "C" {
#include "batch_outputs.h"
}

typedef struct cuda_executor {
    cuda_executor_config config;
    const model_config *shape;
    cudaStream_t compute;
    cudaEvent_t ordered_started, ordered_ended;
    device_model model;
    device_pass *pass;
    device_batch arrays;
    iteration_queue *queue;
    copy_streams *copies;
    char *device_blocks, *host_blocks;
    token_table tokens;
    token_batch batch;
    batch_outputs outputs;
    uint32_t *picked; /* [max_samples] */

    struct timespec zero; /* of the clock */
    bool has_clock;
    int64_t now_ns; /* of the latest event */

    const plan *at_hand; /* outstanding, or NULL */
    bool has_ordered;    /* it has ordered copies */
    bool repeats;        /* its iterations are decodes, one after the other on the device */
    bool stop_here;      /* the horizon ends with the iteration at hand */
    uint32_t n_limit;    /* iterations until a sequence ends for sure, or the horizon */
    uint32_t n_pushed, n_done;
    int64_t start_ns, end_ns[HORIZON_MAX];
    double ordered_copy_s, recompute_s;
    status failed; /* what went wrong, once it has: said by all later calls */
    errbuf failure;
    executor_usage usage; /* so far */
    int64_t link_until_ns;
} cuda_executor;

/* Sets all functions of an executor but destroy. */
void cuda_executor_serve(executor *out, cuda_executor *x);

#endif
