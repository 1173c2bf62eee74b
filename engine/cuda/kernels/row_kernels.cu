/* row_kernels.cu - embedding, norms, activations, gathering; see row_kernels.cuh. All are
 * memory bound: each number is read and written once. References: check_rows.cc. */
#include "row_packs.cuh"

static constexpr unsigned NORM_THREADS_MAX = 1024;

/* ------------------------------------------------------------ sums */

/* Over the block, whose size is a multiple of WARP; every thread gets the same bits. */
__device__ static inline float block_sum(float x) {
    __shared__ float parts[NORM_THREADS_MAX / WARP];
    unsigned lane = threadIdx.x % WARP;
    x = group_sum(x, WARP);
    __syncthreads(); /* parts of the sum before are read */
    if (lane == 0) parts[threadIdx.x / WARP] = x;
    __syncthreads();
    return group_sum(lane < blockDim.x / WARP ? parts[lane] : 0.0f, WARP);
}

/* ------------------------------------------------------------ kernels */

/* Where a thread of a spread grid stands: row blockIdx.x, N columns from this on. */
template <int N> __device__ static inline uint32_t spread_column(void) {
    return (blockIdx.y * blockDim.x + threadIdx.x) * N;
}

/* Grid: spread over [n_rows, hidden]. */
template <class T, int N> __global__ static void embed_kernel(embed_args a) {
    uint32_t i = spread_column<N>(), row = blockIdx.x;
    if (i >= a.hidden) return;
    float v[N];
    load<T, N>(v, (const T *)a.embedding + (size_t)a.rows.tokens[row] * a.hidden + i);
    if (a.positions_table) {
        size_t at = (size_t)a.rows.positions[row] + a.position_offset;
        float p[N];
        load<T, N>(p, (const T *)a.positions_table + at * a.hidden + i);
#pragma unroll
        for (int j = 0; j < N; j++) v[j] += p[j];
    }
    store<T, N>((T *)a.x + (size_t)row * a.hidden + i, v);
}

/* Grid (n_rows). A thread keeps its first N numbers of the row and reads others again: up to
 * NORM_THREADS_MAX * N numbers a row is read once. Which thread sums what depends on hidden
 * alone. */
template <class T, int N>
__global__ static void __launch_bounds__(NORM_THREADS_MAX) add_norm_kernel(add_norm_args a) {
    const uint32_t first = threadIdx.x * N, step = blockDim.x * N;
    T *x = (T *)a.x + (size_t)blockIdx.x * a.hidden;
    T *h = (T *)a.h + (size_t)blockIdx.x * a.hidden;
    float v[N] = {}, w[N], kept[N] = {}, sum = 0.0f, mean = 0.0f;
    for (uint32_t i = first; i < a.hidden; i += step) {
        load<T, N>(v, x + i);
        if (a.delta) {
            load<T, N>(w, (const T *)a.delta + (size_t)blockIdx.x * a.hidden + i);
#pragma unroll
            for (int j = 0; j < N; j++) v[j] = rounded<T>(v[j] + w[j]);
            store<T, N>(x + i, v);
        }
#pragma unroll
        for (int j = 0; j < N; j++) {
            sum += a.shift ? v[j] : v[j] * v[j];
            if (i == first) kept[j] = v[j];
        }
    }
    if (!a.scale) return;
    if (a.shift) {
        mean = block_sum(sum) / (float)a.hidden;
        sum = 0.0f;
        for (uint32_t i = first; i < a.hidden; i += step) {
            if (i != first) load<T, N>(v, x + i);
#pragma unroll
            for (int j = 0; j < N; j++) {
                float d = (i == first ? kept[j] : v[j]) - mean;
                sum += d * d;
            }
        }
    }
    const float factor = rsqrtf(block_sum(sum) / (float)a.hidden + a.eps);
    for (uint32_t i = first; i < a.hidden; i += step) {
        float s[N];
        if (i != first) load<T, N>(v, x + i);
        load<T, N>(w, (const T *)a.scale + i);
        if (a.shift) load<T, N>(s, (const T *)a.shift + i);
#pragma unroll
        for (int j = 0; j < N; j++) {
            float n = ((i == first ? kept[j] : v[j]) - mean) * factor;
            v[j] = a.shift ? n * w[j] + s[j] : rounded<T>(n) * w[j];
        }
        store<T, N>(h + i, v);
    }
}

/* Grid: spread over [n_rows, n_ffn]. */
template <class T, int N>
__global__ static void gate_kernel(T *out, const T *gate_up, uint32_t n_ffn) {
    const uint32_t i = spread_column<N>();
    if (i >= n_ffn) return;
    const T *row = gate_up + (size_t)blockIdx.x * 2 * n_ffn;
    float gate[N], up[N];
    load<T, N>(gate, row + i);
    load<T, N>(up, row + n_ffn + i);
#pragma unroll
    for (int j = 0; j < N; j++)
        gate[j] = rounded<T>(__fdividef(gate[j], 1.0f + __expf(-gate[j]))) * up[j];
    store<T, N>(out + (size_t)blockIdx.x * n_ffn + i, gate);
}

/* Grid: spread over [n_rows, width]. */
template <class T, int N>
__global__ static void gather_kernel(T *out, const T *x, const uint32_t *indices,
                                     uint32_t width) {
    const uint32_t i = spread_column<N>();
    if (i >= width) return;
    const T *from = x + (size_t)indices[blockIdx.x] * width + i;
    *(pack<T, N> *)(out + (size_t)blockIdx.x * width + i) = *(const pack<T, N> *)from;
}

/* ------------------------------------------------------------ launchers */

/* A grid in which each thread has N columns of a row: small batches spread over columns. */
typedef struct spread {
    dim3 grid;
    unsigned block;
} spread;

static spread spread_over(uint32_t n_rows, uint32_t width, bool packs) {
    unsigned n = (unsigned)(packs ? width / PACK : width);
    unsigned block = n < SPREAD_THREADS ? (n + WARP - 1) / WARP * WARP : SPREAD_THREADS;
    return {dim3(n_rows, (n + block - 1) / block), block};
}

/* LAUNCH of kernel<T, N>(arguments...) over a spread; T in the arguments is the number. */
#define LAUNCH_SPREAD(kernel, s, stream, dtype, packs, ...)                                    \
    do {                                                                                       \
        if ((dtype) == DEVICE_BF16) {                                                          \
            typedef __nv_bfloat16 T;                                                           \
            if (packs)                                                                         \
                LAUNCH((kernel<T, PACK>), (s).grid, (s).block, 0, stream, __VA_ARGS__);        \
            else                                                                               \
                LAUNCH((kernel<T, 1>), (s).grid, (s).block, 0, stream, __VA_ARGS__);           \
        } else {                                                                               \
            typedef __half T;                                                                  \
            if (packs)                                                                         \
                LAUNCH((kernel<T, PACK>), (s).grid, (s).block, 0, stream, __VA_ARGS__);        \
            else                                                                               \
                LAUNCH((kernel<T, 1>), (s).grid, (s).block, 0, stream, __VA_ARGS__);           \
        }                                                                                      \
    } while (0)

status embed_rows(cudaStream_t stream, device_dtype dtype, const embed_args *args,
                  errbuf *err) {
    const embed_args a = *args;
    TRY(check_shape(dtype, a.rows.n_rows, a.hidden, err));
    if (a.rows.n_rows == 0) return ST_OK;
    TRY(check_array(a.x, "embedded rows", err));
    TRY(check_array(a.embedding, "embeddings", err));
    TRY(check_array(a.rows.tokens, "tokens", err));
    if (a.positions_table) TRY(check_array(a.rows.positions, "positions", err));
    bool packs = takes_packs(a.hidden, a.x, a.embedding, a.positions_table);
    spread s = spread_over(a.rows.n_rows, a.hidden, packs);
    LAUNCH_SPREAD(embed_kernel, s, stream, dtype, packs, a);
    return launched("embed_rows", err);
}

status add_norm_rows(cudaStream_t stream, device_dtype dtype, const add_norm_args *args,
                     errbuf *err) {
    const add_norm_args a = *args;
    TRY(check_shape(dtype, a.n_rows, a.hidden, err));
    if (a.n_rows == 0 || (!a.delta && !a.scale)) return ST_OK;
    TRY(check_array(a.x, "rows to norm", err));
    if (a.scale) TRY(check_array(a.h, "normed rows", err));
    if (a.shift) TRY(check_array(a.scale, "scales of a norm with shifts", err));
    bool packs = takes_packs(a.hidden, a.x, a.h, a.delta, a.scale, a.shift);
    uint32_t n = packs ? a.hidden / PACK : a.hidden;
    unsigned block = n < NORM_THREADS_MAX ? (n + WARP - 1) / WARP * WARP : NORM_THREADS_MAX;
    spread s = {dim3(a.n_rows), block};
    LAUNCH_SPREAD(add_norm_kernel, s, stream, dtype, packs, a);
    return launched("add_norm_rows", err);
}

status gate_rows(cudaStream_t stream, device_dtype dtype, void *out, const void *gate_up,
                 uint32_t n_rows, uint32_t n_ffn, errbuf *err) {
    TRY(check_shape(dtype, n_rows, n_ffn, err));
    if (n_rows == 0) return ST_OK;
    TRY(check_array(out, "gated rows", err));
    TRY(check_array(gate_up, "gates", err));
    bool packs = takes_packs(n_ffn, out, gate_up);
    spread s = spread_over(n_rows, n_ffn, packs);
    LAUNCH_SPREAD(gate_kernel, s, stream, dtype, packs, (T *)out, (const T *)gate_up, n_ffn);
    return launched("gate_rows", err);
}

status gather_rows(cudaStream_t stream, device_dtype dtype, void *out, const void *x,
                   const uint32_t *indices, uint32_t n_rows, uint32_t width, errbuf *err) {
    TRY(check_shape(dtype, n_rows, width, err));
    if (n_rows == 0) return ST_OK;
    TRY(check_array(out, "gathered rows", err));
    TRY(check_array(x, "rows to gather", err));
    TRY(check_array(indices, "indices of rows", err));
    bool packs = takes_packs(width, out, x);
    spread s = spread_over(n_rows, width, packs);
    LAUNCH_SPREAD(gather_kernel, s, stream, dtype, packs, (T *)out, (const T *)x, indices,
                  width);
    return launched("gather_rows", err);
}
