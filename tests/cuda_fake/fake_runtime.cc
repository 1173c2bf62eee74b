/* fake_runtime.cc - errors, the device, kernels; see cuda_runtime.h. */
#include "fake_state.h"

#include <map>
#include <stdio.h>
#include <stdlib.h>

std::recursive_mutex fake_lock;

static long n_fallible, fails_at;
static bool lost; /* the device, by what a kernel did */
static thread_local cudaError_t last_error;
static std::map<const void *, int> shared_limits; /* of kernels that asked for more */

/* ------------------------------------------------------------ errors */

const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
#define X(name, value, text)                                                                   \
    case name:                                                                                 \
        return text;
        FAKE_CUDA_ERRORS(X)
#undef X
    }
    return "unrecognized error code";
}

cudaError_t cudaGetLastError(void) {
    cudaError_t e = last_error;
    last_error = cudaSuccess;
    return e;
}

/* A number that a program's environment sets. */
static long from_environment(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : otherwise;
}

cudaError_t fake_failed(cudaError_t e) {
    return last_error = lost ? cudaErrorIllegalAddress : e;
}

bool fake_must_fail(void) {
    n_fallible++;
    if (lost) return true;
    if (n_fallible != fails_at) return false;
    fails_at = 0;
    return true;
}

void fake_fail_after(long n) {
    guard g(fake_lock);
    fails_at = n == 0 ? 0 : n_fallible + n;
}

long fake_fallible_calls(void) {
    guard g(fake_lock);
    return n_fallible;
}

/* ------------------------------------------------------------ the device */

cudaError_t cudaDriverGetVersion(int *version) {
    *version = (int)from_environment("FAKE_CUDA_DRIVER", 13000);
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count) {
    *count = (int)from_environment("FAKE_CUDA_DEVICES", 1);
    return *count > 0 ? cudaSuccess : fake_failed(cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device) {
    guard g(fake_lock);
    MAY_FAIL(cudaErrorDevicesUnavailable);
    if (from_environment("FAKE_CUDA_BUSY", 0) > 0)
        return fake_failed(cudaErrorDevicesUnavailable);
    return device == 0 ? cudaSuccess : fake_failed(cudaErrorInvalidDevice);
}

cudaError_t cudaGetDevice(int *device) {
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
    guard g(fake_lock);
    MAY_FAIL(cudaErrorDevicesUnavailable);
    if (device != 0) return fake_failed(cudaErrorInvalidDevice);
    cudaDeviceProp p = {};
    snprintf(p.name, sizeof(p.name), "fake device");
    p.multiProcessorCount = 8;
    p.major = (int)from_environment("FAKE_CUDA_CAPABILITY", 90) / 10;
    p.minor = (int)from_environment("FAKE_CUDA_CAPABILITY", 90) % 10;
    *properties = p;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int device) {
    cudaDeviceProp p;
    cudaError_t e = cudaGetDeviceProperties(&p, device);
    if (e == cudaSuccess) *value = p.multiProcessorCount;
    return e;
}

/* ------------------------------------------------------------ launches */

/* Whether the device is lost by this run of a kernel, or was before. */
static bool loses_device(const char *kernel) {
    static long n_runs;
    const char *name = getenv("FAKE_CUDA_LOST_IN");
    if (!lost && name && strstr(kernel, name))
        lost = ++n_runs == from_environment("FAKE_CUDA_LOST_AT", 1);
    return lost;
}

void fake_launch_body(const fake_shape &shape, cudaStream_t stream,
                      const std::function<void()> &body) {
    guard g(fake_lock);
    const dim3 &grid = shape.grid, &threads = shape.block;
    size_t n_threads = (size_t)threads.x * threads.y * threads.z;
    auto limit = shared_limits.find(shape.kernel);
    size_t shared_max =
        (size_t)(limit == shared_limits.end() ? (int)SHARED_DEFAULT_BYTES : limit->second);
    if (n_threads == 0 || n_threads > THREADS_MAX || threads.z > 64 || grid.x == 0 ||
        grid.x > 0x7fffffffu || grid.y == 0 || grid.y > 65535 || grid.z == 0 ||
        grid.z > 65535) {
        fake_failed(cudaErrorInvalidConfiguration);
        return;
    }
    if (shape.shared_bytes > shared_max) {
        fake_failed(cudaErrorInvalidValue);
        return;
    }
    fake_call call = fake_call_of(FAKE_LAUNCH);
    call.name = shape.name;
    (void)fake_enqueue(stream, call, [shape, body] {
        if (!loses_device(shape.name)) fake_run_grid(shape, body);
    });
}

cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value) {
    guard g(fake_lock);
    MAY_FAIL(cudaErrorLaunchFailure);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    CHECK_VALUE(value >= 0 && value <= SHARED_MAX_BYTES);
    shared_limits[kernel] = value;
    return cudaSuccess;
}
