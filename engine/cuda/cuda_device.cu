/* cuda_device.cu - what device there is, and whether this program can use it. */
#include "cuda_call.cuh"

#include "cuda_executor.h"

enum { OLDEST_DRIVER = 13000, OLDEST_MAJOR = 8 };

static status check_driver(errbuf *err) {
    int driver; /* 13000: CUDA 13.0 */
    TRY_CUDA(cudaDriverGetVersion(&driver), "version of the CUDA driver");
    if (driver == 0) return fail(err, ST_NOT_FOUND, "no CUDA driver on this machine");
    if (driver >= OLDEST_DRIVER) return ST_OK;
    return fail(err, ST_VERSION, "the driver is for CUDA %d.%d; the cuda backend needs %d.%d",
                driver / 1000, driver % 1000 / 10, OLDEST_DRIVER / 1000,
                OLDEST_DRIVER % 1000 / 10);
}

static status find_device(errbuf *err) {
    int n = 0;
    cudaError_t e = cudaGetDeviceCount(&n);
    if (e == cudaErrorNoDevice || (e == cudaSuccess && n == 0)) {
        (void)cudaGetLastError();
        return fail(err, ST_NOT_FOUND, "no CUDA device on this machine");
    }
    TRY_CUDA(e, "number of CUDA devices");
    TRY_CUDA(cudaSetDevice(0), "the CUDA device");
    return ST_OK;
}

static status describe(cuda_device *d, errbuf *err) {
    cudaDeviceProp p;
    size_t free_bytes, total_bytes;
    TRY_CUDA(cudaGetDeviceProperties(&p, 0), "properties of the CUDA device");
    TRY_CUDA(cudaMemGetInfo(&free_bytes, &total_bytes), "memory of the CUDA device");
    snprintf(d->name, sizeof(d->name), "%.*s", (int)sizeof(d->name) - 1, p.name);
    d->free_bytes = free_bytes;
    d->n_sms = (uint32_t)p.multiProcessorCount;
    if (p.major >= OLDEST_MAJOR) return ST_OK;
    return fail(err, ST_VERSION,
                "%s has compute capability %d.%d; the cuda backend needs %d.0 or more", d->name,
                p.major, p.minor, OLDEST_MAJOR);
}

status cuda_device_open(cuda_device *out, errbuf *err) {
    cuda_device d = {};
    TRY(check_driver(err));
    TRY(find_device(err));
    TRY(describe(&d, err));
    *out = d;
    return ST_OK;
}
