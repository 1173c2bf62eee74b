#include "engine_config.h"

engine_config engine_config_defaults(void) {
    return (engine_config){.block_tokens = 16,
                           .max_batched_tokens = 8192,
                           .sampling = sampling_options_defaults()};
}

status engine_config_check(const engine_config *c, errbuf *err) {
    if (c->block_tokens == 0 || c->n_device_blocks == 0 || c->max_batched_tokens == 0)
        return fail(err, ST_INVALID, "blocks of %u tokens, %u of them, %u tokens an iteration",
                    c->block_tokens, c->n_device_blocks, c->max_batched_tokens);
    return sampling_options_check(&c->sampling, err);
}
