/* engine_config.h - what every engine is told, whatever it computes on. */
#ifndef ENGINE_CONFIG_H
#define ENGINE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "cost_model.h"
#include "sampling_options.h"

typedef struct engine_config {
    uint32_t block_tokens, n_device_blocks, n_host_blocks;
    uint32_t max_batched_tokens; /* of an iteration */
    bool deterministic;          /* outputs do not depend on the schedule */
    bool stops_at_eos;
    uint64_t seed; /* of prompts, and of weights that are made up */
    sampling_options sampling;
    const cost_model *costs; /* what completions estimate recompute_s by, borrowed; NULL: 0 */
    /* The outputs of a request that finished, in the order of finishing; tokens [n]. Called by
     * the executor's next(). NULL: nobody wants them. */
    void (*finished)(void *context, uint64_t request_id, const uint32_t *tokens, uint32_t n);
    void *finished_context;
} engine_config;

/* 16-token blocks, 8192 tokens per iteration, greedy, seed 0; the pools are to be set. */
engine_config engine_config_defaults(void);

/* ST_INVALID: a setting that cannot be, which err names. */
MUST_USE status engine_config_check(const engine_config *c, errbuf *err);

#endif
