#include "fill.cuh"

#include "device_rng.cuh"

enum { FILL_THREADS = 256, FILL_BLOCKS_MAX = 4096 };

/* The sum of four uniforms, of variance 1 / 3 over 1. Grid-stride; memory bound: writes 2 n
 * bytes. */
template <class T> __global__ static void fill_random_kernel(T *out, size_t n, fill_law law) {
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        uint64_t bits = device_rng_bits(law.seed, law.stream, i);
        float sum = 0;
        for (int part = 0; part < 4; part++) {
            sum += (float)(bits & 0xffff) * (1.0f / 65536) - 0.5f;
            bits >>= 16;
        }
        from_float(&out[i], law.mean + law.deviation * 1.7320508f * sum);
    }
}

status fill_random(cudaStream_t stream, void *out, size_t n, device_dtype dtype,
                   const fill_law *law, errbuf *err) {
    size_t blocks = (n + FILL_THREADS - 1) / FILL_THREADS;
    dim3 grid((unsigned)(blocks < FILL_BLOCKS_MAX ? blocks : (size_t)FILL_BLOCKS_MAX));
    if (n == 0) return ST_OK;
    if (dtype == DEVICE_BF16)
        LAUNCH(fill_random_kernel<__nv_bfloat16>, grid, FILL_THREADS, 0, stream,
               (__nv_bfloat16 *)out, n, *law);
    else
        LAUNCH(fill_random_kernel<__half>, grid, FILL_THREADS, 0, stream, (__half *)out, n,
               *law);
    return launched("fill_random", err);
}

/* Grid (n_rows), block FILL_THREADS. */
template <class T>
__global__ static void fill_cancelling_kernel(T *out, uint32_t n_in, bool negated, bool equal) {
    T *row = out + (size_t)blockIdx.x * n_in;
    uint32_t half = n_in / 2;
    for (uint32_t i = threadIdx.x; i < half; i += blockDim.x) {
        uint32_t bits = (uint32_t)device_rng_bits(0, equal ? 0 : blockIdx.x, i);
        float x = (float)(int32_t)bits * (1.0f / 2147483648.0f) * (float)(1 << bits % 5);
        from_float(&row[i], x);
        from_float(&row[n_in - half + i], negated ? -x : x);
    }
    if (n_in % 2 > 0 && threadIdx.x == 0) from_float(&row[half], 0);
}

status fill_cancelling(cudaStream_t stream, void *out, uint32_t n_rows, uint32_t n_in,
                       device_dtype dtype, bool negated, bool equal, errbuf *err) {
    if (dtype == DEVICE_BF16)
        LAUNCH(fill_cancelling_kernel<__nv_bfloat16>, n_rows, FILL_THREADS, 0, stream,
               (__nv_bfloat16 *)out, n_in, negated, equal);
    else
        LAUNCH(fill_cancelling_kernel<__half>, n_rows, FILL_THREADS, 0, stream, (__half *)out,
               n_in, negated, equal);
    return launched("fill_cancelling", err);
}
