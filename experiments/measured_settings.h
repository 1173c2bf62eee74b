/* measured_settings.h - how the server of a measured run was set: the JSON that is kept beside
 * the run, with the engine's arguments (engine_kwargs) and, in newer ones, its KV cache
 * (kv_cache). */
#ifndef MEASURED_SETTINGS_H
#define MEASURED_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

/* 0 and "": not said. */
typedef struct measured_settings {
    char model[128];
    uint32_t tp, max_seqs, max_batched_tokens, max_model_len, kv_blocks, block_size;
    uint32_t version; /* of vLLM: 1000 * major + minor */
    bool says_prefix_cache, prefix_cache;
} measured_settings;

/* ST_FORMAT: not JSON, or a value of another kind; ST_IO. */
MUST_USE status measured_settings_read(measured_settings *out, const char *path, errbuf *err);

#endif
