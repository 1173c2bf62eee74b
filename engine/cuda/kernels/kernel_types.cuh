/* kernel_types.cuh - what all kernels share: numbers, rows of a batch, the KV arena, launching.
 *
 * Kernels are written once and compiled twice: by nvcc for devices, and by a C++ compiler
 * against tests/cuda_fake, which runs each thread of a block as a fiber, so that every kernel
 * meets its reference on machines without a device. What differs between the two is here
 * (LAUNCH, DYNAMIC_SHARED) and in tensor_core.cuh (instructions that C++ does not have).
 *
 * Numbers on the device are bfloat16 or half; sums are float. */
#ifndef KERNEL_TYPES_CUH
#define KERNEL_TYPES_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <stddef.h>
#include <stdint.h>

extern "C" {
#include "status.h"
}

/* LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...); a kernel of a template with
 * a comma in its arguments goes in parentheses. DYNAMIC_SHARED(name): its shared memory, as
 * unsigned char *, 16-byte aligned. */
#ifdef __CUDACC__
#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                 \
    kernel<<<grid, block, shared_bytes, stream>>>(__VA_ARGS__)
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#else
#include "fake_launch.h"
#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                 \
    fake_launch(#kernel, grid, block, shared_bytes, stream, kernel)(__VA_ARGS__)
#define DYNAMIC_SHARED(name) unsigned char *name = fake_dynamic_shared()
#endif

typedef enum device_dtype { DEVICE_BF16, DEVICE_FP16 } device_dtype;

/* A row is one token of the batch; the arrays are on the device. */
typedef struct device_rows {
    const uint32_t *tokens;      /* [n_rows] ids */
    const uint32_t *positions;   /* [n_rows] in its sequence, from 0 */
    const uint32_t *first_block; /* [n_rows] where its block table starts in blocks */
    const uint32_t *blocks;      /* block tables, one behind the other */
    uint32_t n_rows;
} device_rows;

/* KV of all blocks: [block][layer][K | V][token of block_tokens][kv_head][head_dim] numbers. */
typedef struct kv_arena {
    void *values;
    uint32_t block_tokens, n_layers, n_kv_heads, head_dim;
} kv_arena;

/* Index of the first number of a block's K (part 0) or V (part 1) rows of one layer. */
__host__ __device__ static inline size_t kv_arena_rows(const kv_arena *a, uint32_t block,
                                                       uint32_t layer, uint32_t part) {
    size_t matrix = ((size_t)block * a->n_layers + layer) * 2 + part;
    return matrix * a->block_tokens * a->n_kv_heads * a->head_dim;
}

__device__ static inline float to_float(__nv_bfloat16 x) {
    return __bfloat162float(x);
}
__device__ static inline float to_float(__half x) {
    return __half2float(x);
}
__device__ static inline void from_float(__nv_bfloat16 *out, float x) {
    *out = __float2bfloat16_rn(x);
}
__device__ static inline void from_float(__half *out, float x) {
    *out = __float2half_rn(x);
}

/* The launch before this as a status; `what` names the kernel. */
static inline status launched(const char *what, errbuf *err) {
    cudaError_t e = cudaGetLastError();
    if (e == cudaSuccess) return ST_OK;
    return fail(err, ST_IO, "%s: %s", what, cudaGetErrorString(e));
}

#endif
