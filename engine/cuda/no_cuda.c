/* no_cuda.c - the CUDA engine of a build that has none. */
#include "cuda_executor.h"

static const char why[] = "this program was built without CUDA (nvcc was not found then)";

cuda_executor_config cuda_executor_defaults(void) {
    return (cuda_executor_config){0};
}

status cuda_device_open(cuda_device *out, errbuf *err) {
    (void)out;
    return fail(err, ST_NOT_FOUND, "%s", why);
}

uint64_t cuda_executor_block_bytes(const model_config *c, uint32_t block_tokens) {
    return model_config_kv_bytes(c, 2) * block_tokens;
}

status cuda_executor_create(executor *out, const cuda_executor_config *config, errbuf *err) {
    (void)out, (void)config;
    return fail(err, ST_NOT_FOUND, "%s", why);
}
