/* place_kernel.cu - positions of Q and K, and the store of K and V; see row_kernels.cuh. Memory
 * bound: each number is read and written once. Reference: check_rows.cc. */
#include "row_packs.cuh"

static constexpr unsigned PLACE_THREADS = 128;

/* ------------------------------------------------------------ kernel */

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

/* ------------------------------------------------------------ launcher */

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
