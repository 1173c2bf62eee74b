/* row_kernels.cu - see row_kernels.cuh. All are memory bound: each number is read and written
 * once. References: check_rows.cc. */
#include "row_kernels.cuh"

static constexpr unsigned WARP = 32;
static constexpr unsigned SPREAD_THREADS = 256, NORM_THREADS_MAX = 1024, PLACE_THREADS = 128;
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

/* ------------------------------------------------------------ sums */

/* Over aligned groups of n_lanes (a power of two) lanes; all lanes of the warp call it. */
__device__ static inline float group_sum(float x, unsigned n_lanes) {
    for (unsigned d = n_lanes / 2; d > 0; d /= 2) x += __shfl_xor_sync(0xffffffffu, x, d);
    return x;
}

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

/* The part of a head that one lane holds: numbers i .. i + N of both halves, for the i of
 * `begin`, begin + step, ...; 0 behind the end. */
template <int N, int PER_LANE> struct head_part {
    float low[PER_LANE][N], high[PER_LANE][N];
    uint32_t begin, step, half;
};

#define FOR_PART(part, k, i)                                                                   \
    for (int k = 0; k < PER_LANE; k++)                                                         \
        if (const uint32_t i = (part).begin + k * (part).step; i < (part).half)

template <class T, int N, int PER_LANE>
__device__ static inline void norm_head(head_part<N, PER_LANE> &p, const T *scale, float eps,
                                        unsigned n_lanes) {
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < PER_LANE; k++)
#pragma unroll
        for (int j = 0; j < N; j++)
            sum += p.low[k][j] * p.low[k][j] + p.high[k][j] * p.high[k][j];
    sum = group_sum(sum, n_lanes);
    if (!scale) return;
    float factor = rsqrtf(sum / (float)(2 * p.half) + eps);
#pragma unroll
    FOR_PART(p, k, i) {
        float low[N], high[N];
        load<T, N>(low, scale + i);
        load<T, N>(high, scale + p.half + i);
#pragma unroll
        for (int j = 0; j < N; j++) {
            p.low[k][j] = rounded<T>(rounded<T>(p.low[k][j] * factor) * low[j]);
            p.high[k][j] = rounded<T>(rounded<T>(p.high[k][j] * factor) * high[j]);
        }
    }
}

template <int N, int PER_LANE>
__device__ static inline void turn_head(head_part<N, PER_LANE> &p, const float *cosines,
                                        const float *sines) {
#pragma unroll
    FOR_PART(p, k, i) {
        float c[N], s[N];
        load_floats<N>(c, cosines + i);
        load_floats<N>(s, sines + i);
#pragma unroll
        for (int j = 0; j < N; j++) {
            float low = p.low[k][j], high = p.high[k][j];
            p.low[k][j] = low * c[j] - high * s[j];
            p.high[k][j] = high * c[j] + low * s[j];
        }
    }
}

/* Where a row's K (part 0) or V (part 1) head goes. */
template <class T>
__device__ static inline T *stored_head(const place_args &a, uint32_t row, uint32_t part,
                                        uint32_t kv_head) {
    const uint32_t position = a.rows.positions[row], block_tokens = a.arena.block_tokens;
    uint32_t block = a.rows.blocks[a.rows.first_block[row] + position / block_tokens];
    size_t token_head = (size_t)(position % block_tokens) * a.arena.n_kv_heads + kv_head;
    return (T *)a.arena.values + kv_arena_rows(&a.arena, block, a.layer, part) +
           token_head * a.arena.head_dim;
}

/* Grid: one group of n_lanes (a power of two up to WARP) lanes for each head of each row. */
template <class T, int N, int PER_LANE>
__global__ static void __launch_bounds__(PLACE_THREADS)
    place_kernel(place_args a, unsigned n_lanes) {
    if (a.stopped && *a.stopped != 0) return;
    const uint32_t n_kv = a.arena.n_kv_heads, n_parts = a.n_heads + 2 * n_kv;
    const uint32_t dim = a.arena.head_dim, half = dim / 2;
    uint32_t unit = (blockIdx.x * PLACE_THREADS + threadIdx.x) / n_lanes;
    const bool active = unit < a.rows.n_rows * n_parts;
    if (!active) unit = 0; /* sums along with its warp */
    const uint32_t row = unit / n_parts, head = unit % n_parts;
    const bool is_q = head < a.n_heads, is_v = head >= a.n_heads + n_kv;
    T *from = (T *)a.qkv + (size_t)unit * dim;
    head_part<N, PER_LANE> p = {};
    p.begin = threadIdx.x % n_lanes * N;
    p.step = n_lanes * N;
    p.half = half;
#pragma unroll
    FOR_PART(p, k, i) {
        load<T, N>(p.low[k], from + i);
        load<T, N>(p.high[k], from + half + i);
    }
    if (a.q_scale) {
        const void *scale = is_q ? a.q_scale : is_v ? NULL : a.k_scale;
        norm_head<T, N, PER_LANE>(p, (const T *)scale, a.eps, n_lanes);
    }
    if (!active) return;
    if (a.cosines && !is_v) {
        size_t at = (size_t)a.rows.positions[row] * half;
        turn_head<N, PER_LANE>(p, a.cosines + at, a.sines + at);
    }
    T *to = is_q ? from : stored_head<T>(a, row, is_v, (head - a.n_heads) % n_kv);
#pragma unroll
    FOR_PART(p, k, i) {
        store<T, N>(to + i, p.low[k]);
        store<T, N>(to + half + i, p.high[k]);
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

/* Grid: spread over [n_rows, width]. A NaN stays. */
template <class T, int N> __global__ static void relu_kernel(T *values, uint32_t width) {
    const uint32_t i = spread_column<N>();
    if (i >= width) return;
    T *at = values + (size_t)blockIdx.x * width + i;
    float v[N];
    load<T, N>(v, at);
#pragma unroll
    for (int j = 0; j < N; j++) v[j] = v[j] < 0.0f ? 0.0f : v[j];
    store<T, N>(at, v);
}

/* Grid: spread over [n_rows, width]. */
template <class T, int N>
__global__ static void add_bias_kernel(T *values, const T *bias, uint32_t width) {
    const uint32_t i = spread_column<N>();
    if (i >= width) return;
    T *at = values + (size_t)blockIdx.x * width + i;
    float v[N], b[N];
    load<T, N>(v, at);
    load<T, N>(b, bias + i);
#pragma unroll
    for (int j = 0; j < N; j++) v[j] += b[j];
    store<T, N>(at, v);
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

/* True if rows of that many numbers, and the arrays, can be read PACK by PACK. */
template <class... P> static bool takes_packs(uint32_t width, const P *...arrays) {
    return width % PACK == 0 && (((uintptr_t)arrays % 16 == 0) && ...);
}

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

static status check_shape(device_dtype dtype, uint32_t n_rows, uint32_t width, errbuf *err) {
    if (dtype != DEVICE_BF16 && dtype != DEVICE_FP16)
        return fail(err, ST_INVALID, "numbers of kind %d", (int)dtype);
    if (n_rows > ROWS_MAX) return fail(err, ST_INVALID, "%u rows", n_rows);
    /* One by one, a spread grid has at most 65535 blocks along a row. */
    if (width == 0 || width > 65535u * SPREAD_THREADS)
        return fail(err, ST_INVALID, "rows of %u numbers", width);
    return ST_OK;
}

static status check_array(const void *array, const char *name, errbuf *err) {
    return array ? ST_OK : fail(err, ST_INVALID, "no array of %s", name);
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

static status check_place(const place_args *a, errbuf *err) {
    uint32_t dim = a->arena.head_dim;
    if (dim == 0 || dim % 2 != 0 || dim > HEAD_DIM_MAX)
        return fail(err, ST_INVALID, "heads of %u numbers", dim);
    if (a->n_heads == 0 || a->arena.n_kv_heads == 0 || a->n_heads > 1024 ||
        a->arena.n_kv_heads > a->n_heads)
        return fail(err, ST_INVALID, "%u heads, %u of them for K and V", a->n_heads,
                    a->arena.n_kv_heads);
    if (a->arena.block_tokens == 0) return fail(err, ST_INVALID, "blocks of 0 tokens");
    if (a->layer >= a->arena.n_layers)
        return fail(err, ST_INVALID, "layer %u of %u", a->layer, a->arena.n_layers);
    if (!a->cosines != !a->sines) return fail(err, ST_INVALID, "cosines or sines alone");
    if (!a->q_scale != !a->k_scale) return fail(err, ST_INVALID, "a norm of Q or K alone");
    TRY(check_array(a->qkv, "Q, K and V", err));
    TRY(check_array(a->arena.values, "the KV arena", err));
    TRY(check_array(a->rows.positions, "positions", err));
    TRY(check_array(a->rows.first_block, "first blocks", err));
    return check_array(a->rows.blocks, "blocks", err);
}

/* The lanes of one head and the grid for all. */
typedef struct place_shape {
    unsigned n_lanes, grid;
} place_shape;

static place_shape shape_place(const place_args *a, bool packs) {
    unsigned n_packs = a->arena.head_dim / 2 / (packs ? PACK : 1), n_lanes = 1;
    while (n_lanes < n_packs && n_lanes < WARP) n_lanes *= 2;
    size_t n_heads = (size_t)a->rows.n_rows * (a->n_heads + 2 * a->arena.n_kv_heads);
    return {n_lanes, (unsigned)((n_heads * n_lanes + PLACE_THREADS - 1) / PLACE_THREADS)};
}

status place_and_store_rows(cudaStream_t stream, device_dtype dtype, const place_args *args,
                            errbuf *err) {
    const place_args a = *args;
    if (a.rows.n_rows == 0) return ST_OK;
    TRY(check_place(&a, err));
    /* The thread of a number is counted in 32 bits. */
    uint64_t width = (uint64_t)(a.n_heads + 2 * a.arena.n_kv_heads) * a.arena.head_dim;
    TRY(check_shape(dtype, a.rows.n_rows, (uint32_t)width, err));
    if (width * a.rows.n_rows > UINT32_MAX)
        return fail(err, ST_INVALID, "%u rows of %u heads", a.rows.n_rows, a.n_heads);
    bool packs = takes_packs(a.arena.head_dim / 2, a.qkv, a.cosines, a.sines, a.q_scale,
                             a.k_scale, a.arena.values);
    place_shape s = shape_place(&a, packs);
    /* One by one, WARP lanes hold HEAD_DIM_MAX / 2 pairs. */
    constexpr int per_lane = HEAD_DIM_MAX / 2 / WARP;
    if (dtype == DEVICE_BF16 && packs)
        LAUNCH((place_kernel<__nv_bfloat16, PACK, 1>), s.grid, PLACE_THREADS, 0, stream, a,
               s.n_lanes);
    else if (dtype == DEVICE_BF16)
        LAUNCH((place_kernel<__nv_bfloat16, 1, per_lane>), s.grid, PLACE_THREADS, 0, stream, a,
               s.n_lanes);
    else if (packs)
        LAUNCH((place_kernel<__half, PACK, 1>), s.grid, PLACE_THREADS, 0, stream, a, s.n_lanes);
    else
        LAUNCH((place_kernel<__half, 1, per_lane>), s.grid, PLACE_THREADS, 0, stream, a,
               s.n_lanes);
    return launched("place_and_store_rows", err);
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

status relu_rows(cudaStream_t stream, device_dtype dtype, void *values, uint32_t n_rows,
                 uint32_t width, errbuf *err) {
    TRY(check_shape(dtype, n_rows, width, err));
    if (n_rows == 0) return ST_OK;
    TRY(check_array(values, "rows", err));
    bool packs = takes_packs(width, values);
    spread s = spread_over(n_rows, width, packs);
    LAUNCH_SPREAD(relu_kernel, s, stream, dtype, packs, (T *)values, width);
    return launched("relu_rows", err);
}

status add_bias_rows(cudaStream_t stream, device_dtype dtype, void *values, const void *bias,
                     uint32_t n_rows, uint32_t width, errbuf *err) {
    TRY(check_shape(dtype, n_rows, width, err));
    if (n_rows == 0) return ST_OK;
    TRY(check_array(values, "rows", err));
    TRY(check_array(bias, "biases", err));
    bool packs = takes_packs(width, values, bias);
    spread s = spread_over(n_rows, width, packs);
    LAUNCH_SPREAD(add_bias_kernel, s, stream, dtype, packs, (T *)values, (const T *)bias,
                  width);
    return launched("add_bias_rows", err);
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
