/* cuda_runtime.h - the part of CUDA that the engine uses, on the CPU, for tests.
 *
 * Kernels and the code around them compile against this folder as plain C++ and do the same:
 * each thread of a block is a fiber (fake_fibers.cc), each call is carried out before it
 * returns (fake_runtime.cc), so a stream is only a name. Names, values and signatures are
 * those of CUDA 13. Device memory is host memory, filled with a pattern that reads as NaN.
 *
 * The rules that a program can break unseen are kept: copies stay inside one allocation on
 * the side that their kind names; while a stream captures, nothing may allocate or wait; a
 * kernel gets more than 48 KiB of shared memory only when it asked for it. What a test may
 * look at and change is in fake_cuda.h.
 *
 * Threads: calls from several threads are carried out one after the other. */
#ifndef FAKE_CUDA_RUNTIME_H
#define FAKE_CUDA_RUNTIME_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __shared__      static /* blocks run one after the other */
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n)    __attribute__((aligned(n)))
#define __launch_bounds__(...)

/* ------------------------------------------------------------ vectors */

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct uint3 {
    unsigned x, y, z;
};
struct __align__(16) float4 {
    float x, y, z, w;
};

/* ------------------------------------------------------------ errors */

/* name, value, text */
#define FAKE_CUDA_ERRORS(X)                                                                    \
    X(cudaSuccess, 0, "no error")                                                              \
    X(cudaErrorInvalidValue, 1, "invalid argument")                                            \
    X(cudaErrorMemoryAllocation, 2, "out of memory")                                           \
    X(cudaErrorInitializationError, 3, "initialization error")                                 \
    X(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                      \
    X(cudaErrorInsufficientDriver, 35,                                                         \
      "CUDA driver version is insufficient for CUDA runtime "                                  \
      "version")                                                                               \
    X(cudaErrorDevicesUnavailable, 46, "CUDA-capable device(s) is/are busy or unavailable")    \
    X(cudaErrorInvalidDeviceFunction, 98, "invalid device function")                           \
    X(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                            \
    X(cudaErrorInvalidDevice, 101, "invalid device ordinal")                                   \
    X(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")                          \
    X(cudaErrorNotReady, 600, "device not ready")                                              \
    X(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")                \
    X(cudaErrorLaunchFailure, 719, "unspecified launch failure")                               \
    X(cudaErrorNotSupported, 801, "operation not supported")                                   \
    X(cudaErrorStreamCaptureUnsupported, 900,                                                  \
      "operation not permitted when stream is capturing")                                      \
    X(cudaErrorStreamCaptureInvalidated, 901,                                                  \
      "operation failed due to a previous error during capture")                               \
    X(cudaErrorStreamCaptureUnjoined, 904, "capturing stream has unjoined work")               \
    X(cudaErrorStreamCaptureIsolation, 905,                                                    \
      "dependency created on uncaptured work in another stream")                               \
    X(cudaErrorStreamCaptureImplicit, 906,                                                     \
      "operation would make the legacy stream depend on a capturing blocking stream")          \
    X(cudaErrorUnknown, 999, "unknown error")

enum cudaError_t {
#define X(name, value, text) name = value,
    FAKE_CUDA_ERRORS(X)
#undef X
};

const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError(void); /* of this thread; then there is none */

/* ------------------------------------------------------------ the device */

struct cudaDeviceProp {
    char name[256];
    int multiProcessorCount, major, minor;
};

enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount = 16 };

cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);

/* ------------------------------------------------------------ memory */

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;

enum cudaMemcpyKind {
    cudaMemcpyHostToHost = 0,
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3,
    cudaMemcpyDefault = 4
};

enum cudaMemLocationType {
    cudaMemLocationTypeInvalid = 0,
    cudaMemLocationTypeNone = 0,
    cudaMemLocationTypeDevice = 1,
    cudaMemLocationTypeHost = 2
};

struct cudaMemLocation {
    cudaMemLocationType type;
    int id;
};

enum cudaMemcpySrcAccessOrder {
    cudaMemcpySrcAccessOrderInvalid = 0,
    cudaMemcpySrcAccessOrderStream = 1,
    cudaMemcpySrcAccessOrderDuringApiCall = 2,
    cudaMemcpySrcAccessOrderAny = 3
};

enum cudaMemcpyFlags { cudaMemcpyFlagDefault = 0, cudaMemcpyFlagPreferOverlapWithCompute = 1 };

struct cudaMemcpyAttributes {
    cudaMemcpySrcAccessOrder srcAccessOrder;
    cudaMemLocation srcLocHint, dstLocHint;
    unsigned flags;
};

#define cudaHostAllocDefault       0x00
#define cudaHostAllocPortable      0x01
#define cudaHostAllocMapped        0x02
#define cudaHostAllocWriteCombined 0x04

cudaError_t cudaMalloc(void **memory, size_t n_bytes);
cudaError_t cudaFree(void *memory);
cudaError_t cudaHostAlloc(void **memory, size_t n_bytes, unsigned flags);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned flags);
cudaError_t cudaMemcpy(void *to, const void *from, size_t n_bytes, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n_bytes, cudaMemcpyKind kind,
                            cudaStream_t stream = 0);
cudaError_t cudaMemcpyBatchAsync(void *const *to, const void *const *from, const size_t *sizes,
                                 size_t count, cudaMemcpyAttributes *attributes,
                                 size_t *attribute_starts, size_t n_attributes,
                                 cudaStream_t stream);
cudaError_t cudaMemset(void *memory, int byte, size_t n_bytes);
cudaError_t cudaMemsetAsync(void *memory, int byte, size_t n_bytes, cudaStream_t stream = 0);

template <class T> static inline cudaError_t cudaMalloc(T **memory, size_t n_bytes) {
    return cudaMalloc((void **)memory, n_bytes);
}
template <class T>
static inline cudaError_t cudaHostAlloc(T **memory, size_t n_bytes, unsigned flags) {
    return cudaHostAlloc((void **)memory, n_bytes, flags);
}
template <class T>
static inline cudaError_t cudaHostGetDevicePointer(T **device, void *host, unsigned flags) {
    return cudaHostGetDevicePointer((void **)device, host, flags);
}

/* ------------------------------------------------------------ streams and events */

#define cudaStreamDefault      0x00
#define cudaStreamNonBlocking  0x01
#define cudaEventDefault       0x00
#define cudaEventBlockingSync  0x01
#define cudaEventDisableTiming 0x02

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaEventCreate(cudaEvent_t *event);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = 0);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end);

/* ------------------------------------------------------------ graphs */

enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal = 0,
    cudaStreamCaptureModeThreadLocal = 1,
    cudaStreamCaptureModeRelaxed = 2
};

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                 unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);

/* ------------------------------------------------------------ kernels */

enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
    cudaFuncAttributePreferredSharedMemoryCarveout = 9
};

cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value);
template <class T>
static inline cudaError_t cudaFuncSetAttribute(T *kernel, cudaFuncAttribute attribute,
                                               int value) {
    return cudaFuncSetAttribute((const void *)kernel, attribute, value);
}
#include "fake_device.h"

#endif
