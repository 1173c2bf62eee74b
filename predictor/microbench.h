/* microbench.h - measures what the predictor is fitted to, on any executor.
 *
 * It builds plans of its own (no scheduler, no policy): iterations over new tokens, cached
 * tokens, chunks, decode batches and contexts, and copies over blocks, pieces and the load of
 * the other direction and of compute. Points are drawn from a design, not a grid: half on the
 * edges of 64-token steps, where a staircase is, half anywhere; in random order, so that a
 * drift of the device does not look like an effect. A copy is of other blocks each time: those
 * of a moment ago would still lie in a processor's cache. Each point is repeated until the mean
 * is known or enough is enough. Determinism: equal settings give equal plans in equal order. */
#ifndef MICROBENCH_H
#define MICROBENCH_H

#include "executor.h"
#include "sample.h"

typedef struct microbench_config {
    uint32_t max_batched_tokens, max_seqs, max_model_len; /* bounds of the design */
    uint32_t block_tokens, n_device_blocks, n_host_blocks;
    uint32_t n_layers;               /* for the pieces of a copy */
    double block_bytes;              /* of all layers, on one device */
    uint32_t n_iterations, n_copies; /* points of the design */
    uint32_t n_copies_beside;        /* further ones: copies beside iterations */
    uint32_t n_warmups;              /* runs of a point that are not counted */
    uint32_t n_repeats_min, n_repeats_max;
    double
        precision; /* repeats end when the 95 % interval of the mean is within +- this share */
    uint64_t seed;
} microbench_config;

/* Bounds 8192 tokens, 256 sequences, 8192 length; 16-token blocks; 900 iterations, 240 copies;
 * none beside iterations; 1 warm-up, 3 to 20 repeats, 1 %; the pools, layers and bytes are to
 * be set. */
microbench_config microbench_config_defaults(void);

/* Those who watch: a finished sample, in the order of measuring. Anything but ST_OK stops the
 * run with it. */
typedef status (*microbench_sink)(void *context, const sample *s, uint32_t n_done,
                                  uint32_t n_points, errbuf *err);

/* Runs all points. ST_INVALID: bounds that leave no room for a point, with what to change;
 * errors of the executor and the sink; ST_NO_MEMORY. */
MUST_USE status microbench_run(executor *e, const microbench_config *config,
                               microbench_sink sink, void *context, errbuf *err);

#endif
