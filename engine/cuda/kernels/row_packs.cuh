/* row_packs.cuh - what kernels over rows share: numbers by 16 bytes or one by one, checks of
 * what their launchers are given. */
#ifndef ROW_PACKS_CUH
#define ROW_PACKS_CUH

#include "row_kernels.cuh"

static constexpr unsigned WARP = 32, SPREAD_THREADS = 256;
static constexpr int PACK = 8; /* numbers in 16 bytes */

/* ------------------------------------------------------------ numbers by N */

template <class T, int N> struct __align__(N * sizeof(T)) pack {
    T v[N];
};

template <class T, int N> __device__ static inline void load(float out[N], const T *from) {
    pack<T, N> p = *(const pack<T, N> *)from;
#pragma unroll
    for (int j = 0; j < N; j++) out[j] = to_float(p.v[j]);
}

template <class T, int N> __device__ static inline void store(T *to, const float values[N]) {
    pack<T, N> p;
#pragma unroll
    for (int j = 0; j < N; j++) from_float(&p.v[j], values[j]);
    *(pack<T, N> *)to = p;
}

/* Floats of a table: 16 bytes at a time where N is a PACK. */
template <int N> __device__ static inline void load_floats(float out[N], const float *from) {
    constexpr int step = N % 4 == 0 ? 4 : 1;
#pragma unroll
    for (int j = 0; j < N; j += step) {
        pack<float, step> p = *(const pack<float, step> *)(from + j);
#pragma unroll
        for (int k = 0; k < step; k++) out[j + k] = p.v[k];
    }
}

template <class T> __device__ static inline float rounded(float x) {
    T y;
    from_float(&y, x);
    return to_float(y);
}

/* Over aligned groups of n_lanes (a power of two) lanes; all lanes of the warp call it. */
__device__ static inline float group_sum(float x, unsigned n_lanes) {
    for (unsigned d = n_lanes / 2; d > 0; d /= 2) x += __shfl_xor_sync(0xffffffffu, x, d);
    return x;
}

/* ------------------------------------------------------------ launching */

/* True if rows of that many numbers, and the arrays, can be read PACK by PACK. */
template <class... P> static bool takes_packs(uint32_t width, const P *...arrays) {
    return width % PACK == 0 && (((uintptr_t)arrays % 16 == 0) && ...);
}

static inline status check_shape(device_dtype dtype, uint32_t n_rows, uint32_t width,
                                 errbuf *err) {
    if (dtype != DEVICE_BF16 && dtype != DEVICE_FP16)
        return fail(err, ST_INVALID, "numbers of kind %d", (int)dtype);
    if (n_rows > ROWS_MAX) return fail(err, ST_INVALID, "%u rows", n_rows);
    /* One by one, a spread grid has at most 65535 blocks along a row. */
    if (width == 0 || width > 65535u * SPREAD_THREADS)
        return fail(err, ST_INVALID, "rows of %u numbers", width);
    return ST_OK;
}

static inline status check_array(const void *array, const char *name, errbuf *err) {
    return array ? ST_OK : fail(err, ST_INVALID, "no array of %s", name);
}

#endif
