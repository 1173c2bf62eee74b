/* no_cuda.c - the CUDA engine of a build that has none. */
#include "cuda_executor.h"

static const char why[] = "this program was built without CUDA (nvcc was not found then)";

status cuda_device_open(cuda_device *out, errbuf *err) {
    (void)out;
    return fail(err, ST_NOT_FOUND, "%s", why);
}

status cuda_executor_create(executor *out, const cuda_executor_config *config, errbuf *err) {
    (void)out, (void)config;
    return fail(err, ST_NOT_FOUND, "%s", why);
}
