/* attention_decode.cu - attention of one new token per sequence: the keys of a row split over
 * blocks. See attention.cuh. Limits: head_dim up to 256; 99 KiB of shared memory.
 *
 * Reading keys and values is all that takes time, so the query heads of a kv head (up to 16)
 * share each read, as the rows of a matrix product. Plain multiplication would not do: 4.8 TB/s
 * over 132 multiprocessors of 1.75 GHz are 10.4 numbers a cycle, each needing one conversion
 * and one fma per head: 83 of the 128 fma lanes at 8 heads, before any reduction. As products
 * of 16 rows, empty ones included, they are 2 * 16 * 10.4 = 333 of at least 2048 operations a
 * cycle for any group, and the path is that of attention_prefill.cu. */
#include "attention.cuh"

#include "key_tile.cuh"

enum {
    N_WARPS = 4,
    KEYS = 16,                   /* in a tile, which is one warp's */
    SPLIT_KEYS = N_WARPS * KEYS, /* splits are multiples of it */
    HEADS = 16,                  /* query heads of a block */
    ROWS_MAX = 65535,            /* of a grid's third dimension */
    MERGE_WARPS = 4,
};

/* Each warp has a ring of its own, so that none waits for another. What hides a latency of
 * 800 ns at full speed is 29 KiB under way per multiprocessor; at D = 128, where three blocks
 * fit, it is 3 blocks * 4 warps * 3 tiles of 4 KiB = 144 KiB. */
template <int D> struct decode_shape {
    static constexpr int RING = D > 128 ? 3 : 4;
    static constexpr int TILE_NUMBERS = KEYS * (D + ROW_PAD);
    static constexpr int SHARED_BYTES = N_WARPS * RING * TILE_NUMBERS * 2;
    /* The warps' sums, when they are merged: values [N_WARPS][HEADS][D], then the top and the
     * weight [N_WARPS][HEADS][2]. */
    static constexpr int MERGE_FLOATS = N_WARPS * HEADS * (D + 2);
    static_assert(MERGE_FLOATS * 4 <= SHARED_BYTES, "merging takes the place of the rings");
};

/* ------------------------------------------------------------ splits and partial sums */

/* How a context is split: split i has the keys [i * n_keys, (i + 1) * n_keys) of it. */
typedef struct key_splits {
    uint32_t n_keys;
    uint32_t n_used; /* those behind have none */
} key_splits;

__device__ static inline key_splits split_keys(uint32_t context, decode_splits splits) {
    uint32_t n_units = (context + SPLIT_KEYS - 1) / SPLIT_KEYS;
    uint32_t units_min = (splits.n_keys_min + SPLIT_KEYS - 1) / SPLIT_KEYS;
    uint32_t units_each = (n_units + splits.n - 1) / splits.n;
    if (units_each < units_min) units_each = units_min;
    return {units_each * SPLIT_KEYS, (n_units + units_each - 1) / units_each};
}

/* In the workspace: values [n_rows, n_heads, n_splits, head_dim], then the top and the weight
 * [n_rows, n_heads, n_splits, 2]. `at` counts over the first three. */
__device__ static inline float *partial_values(const attend_decode_args &a, size_t at) {
    return a.workspace + at * a.arena.head_dim;
}

__device__ static inline float *partial_weight(const attend_decode_args &a, size_t at) {
    size_t n_values = (size_t)a.rows.n_rows * a.n_heads * a.splits.n * a.arena.head_dim;
    return a.workspace + n_values + at * 2;
}

/* ------------------------------------------------------------ kernel */

/* The queries of a block's heads as left operands, for 16 columns each. */
template <typename T, int D>
__device__ static inline void load_queries(uint32_t (&q)[D / 16][1][4], const T *first_head,
                                           uint32_t n_heads, uint32_t head_dim) {
    const int group = threadIdx.x % 32 / 4, pair = threadIdx.x % 4;
    UNROLL
    for (int c = 0; c < D / 16; c++) {
        UNROLL
        for (int i = 0; i < 4; i++) {
            uint32_t head = group + i % 2 * 8, column = c * 16 + i / 2 * 8 + pair * 2;
            q[c][0][i] = 0;
            if (head < n_heads && column < head_dim)
                q[c][0][i] = *(const number_pair *)(first_head + head * head_dim + column);
        }
    }
}

/* Puts a warp's sums where the block merges them. */
template <int D>
__device__ static inline void stage_sums(float *merged, row_sums<D, 1> &sums,
                                         uint32_t n_heads) {
    const int warp = threadIdx.x / 32, group = threadIdx.x % 32 / 4, pair = threadIdx.x % 4;
    UNROLL
    for (int half = 0; half < 2; half++) {
        uint32_t head = group + half * 8;
        float weight = whole_weight(sums.weight[0][half]);
        if (head >= n_heads) continue;
        float *values = merged + (warp * HEADS + head) * D;
        float *stat = merged + N_WARPS * HEADS * D + (warp * HEADS + head) * 2;
        UNROLL
        for (int d = 0; d < D / 8; d++) {
            values[d * 8 + pair * 2] = sums.values[0][d][2 * half];
            values[d * 8 + pair * 2 + 1] = sums.values[0][d][2 * half + 1];
        }
        if (pair == 0) {
            stat[0] = sums.top[0][half];
            stat[1] = weight;
        }
    }
}

/* Adds up the warps' sums of all heads and writes them: the result if there is one split only
 * (out), else this split's partial sums. first_at counts as in partial_values. A warp that had
 * no keys has a top of -inf and so a factor of 0; never all of them. */
template <typename T, int D>
__device__ static inline void write_merged(const attend_decode_args &a, const float *merged,
                                           uint32_t n_heads, T *out, size_t first_at) {
    const uint32_t head_dim = a.arena.head_dim;
    for (uint32_t i = threadIdx.x; i < n_heads * head_dim; i += N_WARPS * 32) {
        uint32_t head = i / head_dim, column = i - head * head_dim;
        const float *stats = merged + N_WARPS * HEADS * D + head * 2;
        float top = -INFINITY, value = 0, weight = 0;
        UNROLL
        for (int w = 0; w < N_WARPS; w++) top = fmaxf(top, stats[w * HEADS * 2]);
        UNROLL
        for (int w = 0; w < N_WARPS; w++) {
            float factor = exp2_fast(stats[w * HEADS * 2] - top);
            weight = fmaf(stats[w * HEADS * 2 + 1], factor, weight);
            value = fmaf(merged[(w * HEADS + head) * D + column], factor, value);
        }
        if (out) {
            from_float(&out[i], value / weight);
            continue;
        }
        size_t at = first_at + (size_t)head * a.splits.n;
        partial_values(a, at)[column] = value;
        if (column == 0) {
            partial_weight(a, at)[0] = top;
            partial_weight(a, at)[1] = weight;
        }
    }
}

/* One split of one row, for the query heads of one kv head (for 16 of them, if it has more).
 * Grid (kv heads times their sixteens, n_splits, n_rows): neighbours read neighbouring memory.
 * Warp w takes the tiles w, w + 4, ... of the split, keys and values in turn through its ring.
 * Memory bound: reads 2 * head_dim numbers per kv head and key. */
template <typename T, int D>
__global__ static void __launch_bounds__(N_WARPS * 32)
    attend_decode_kernel(attend_decode_args a, bool whole) {
    using shape = decode_shape<D>;
    constexpr int RING = shape::RING;
    const uint32_t stopped = a.stopped ? *a.stopped : 0, r = blockIdx.z;
    const uint32_t context = a.rows.positions[r] + 1;
    const key_splits splits = split_keys(context, a.splits);
    if (stopped || blockIdx.y >= splits.n_used) return;
    DYNAMIC_SHARED(shared);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t head_dim = a.arena.head_dim, group = a.n_heads / a.arena.n_kv_heads;
    const uint32_t n_parts = (group + HEADS - 1) / HEADS, kv_head = blockIdx.x / n_parts;
    const uint32_t part = blockIdx.x - kv_head * n_parts;
    const uint32_t first_head = kv_head * group + part * HEADS;
    const uint32_t n_left = group - part * HEADS;
    const uint32_t n_heads = n_left < HEADS ? n_left : (uint32_t)HEADS;

    const uint32_t first_key = blockIdx.y * splits.n_keys + warp * KEYS;
    const uint32_t split_end = (blockIdx.y + 1) * splits.n_keys;
    const uint32_t end = split_end < context ? split_end : context;
    const uint32_t n_tiles =
        first_key < end ? (end - first_key + SPLIT_KEYS - 1) / SPLIT_KEYS : 0;
    const kv_source<T> source =
        kv_source_of<T>(a.arena, a.layer, kv_head, a.rows.blocks + a.rows.first_block[r]);
    T *ring = (T *)shared + warp * RING * shape::TILE_NUMBERS;

    /* This lane's key of the tile that is copied next: its block, which is on its way from
     * memory until the row is asked for, and its place there (NO_ROW: there is no key). */
    uint32_t block = 0, in_block = NO_ROW;
    auto find_row = [&](uint32_t tile) {
        uint32_t key = first_key + tile * SPLIT_KEYS + lane, nth = key / source.block_tokens;
        bool is_there = lane < KEYS && key < end;
        in_block = is_there ? key - nth * source.block_tokens : NO_ROW;
        block = source.blocks[is_there ? nth : 0];
    };
    auto row_of = [&](uint32_t item) {
        uint32_t row = in_block == NO_ROW ? NO_ROW : block * source.block_rows + in_block;
        return item % 2 ? value_row(source, row) : row;
    };
    /* Item 2 t is the keys of tile t, 2 t + 1 its values. The next tile's rows are looked up
     * right behind, a step before they are needed. */
    auto copy = [&](uint32_t item) {
        if (item / 2 < n_tiles)
            copy_rows<T, D, KEYS>(ring + item % RING * shape::TILE_NUMBERS, source.keys,
                                  source.row_numbers, row_of(item), head_dim, whole);
        copies_commit();
        if (item % 2) find_row(item / 2 + 1);
    };
    /* Waits for an item, and begins to copy into the place of the one before it. */
    auto take = [&](uint32_t item) {
        copies_wait<RING - 2>();
        __syncwarp();
        copy(item + RING - 1);
        return shared_address(ring) + item % RING * shape::TILE_NUMBERS * 2;
    };

    find_row(0);
    UNROLL
    for (uint32_t item = 0; item < RING - 1; item++) copy(item);
    uint32_t q[D / 16][1][4];
    load_queries<T, D>(q, (const T *)a.q + r * a.q_stride + (size_t)first_head * head_dim,
                       n_heads, head_dim);
    row_sums<D, 1> sums;
    row_sums_init(sums);
    const float scale = a.scale * LOG2_E;
    for (uint32_t t = 0; t < n_tiles; t++) {
        float s[1][KEYS / 8][4] = {};
        shared_addr k = take(2 * t) + lane_row_across<D>(lane);
        UNROLL
        for (int c = 0; c < D / 16; c++) score_columns<T, D, KEYS, 1>(s, q[c], k + c * 32);
        UNROLL
        for (int n = 0; n < KEYS / 8; n++) {
            UNROLL
            for (int i = 0; i < 4; i++) {
                uint32_t key = first_key + t * SPLIT_KEYS + n * 8 + lane % 4 * 2 + i % 2;
                if (key >= end) s[0][n][i] = -INFINITY;
            }
        }
        weigh_scores<D, KEYS, 1>(s, sums, scale);
        shared_addr v = take(2 * t + 1) + lane_row_down<D>(lane);
        add_values<T, D, KEYS, 1>(sums.values, s, v);
    }

    float *merged = (float *)shared;
    __syncthreads(); /* the rings are read */
    stage_sums<D>(merged, sums, n_heads);
    __syncthreads();
    size_t first_at = ((size_t)r * a.n_heads + first_head) * a.splits.n + blockIdx.y;
    T *out = (T *)a.out + ((size_t)r * a.n_heads + first_head) * head_dim;
    write_merged<T, D>(a, merged, n_heads, splits.n_used == 1 ? out : NULL, first_at);
}

/* Adds up the splits of a row and head, a warp each. Grid (n_heads / MERGE_WARPS, n_rows). */
template <typename T>
__global__ static void __launch_bounds__(MERGE_WARPS * 32)
    merge_splits_kernel(attend_decode_args a) {
    if (a.stopped && *a.stopped) return;
    const uint32_t r = blockIdx.y, head = blockIdx.x * MERGE_WARPS + threadIdx.x / 32;
    const key_splits splits = split_keys(a.rows.positions[r] + 1, a.splits);
    if (head >= a.n_heads || splits.n_used == 1) return;
    const uint32_t head_dim = a.arena.head_dim;
    const size_t at = ((size_t)r * a.n_heads + head) * a.splits.n;
    const float *stats = partial_weight(a, at);
    float top = -INFINITY, weight = 0, sums[HEAD_DIM_MAX / 32] = {};
    for (uint32_t i = 0; i < splits.n_used; i++) top = fmaxf(top, stats[2 * i]);
    for (uint32_t i = 0; i < splits.n_used; i++) {
        float factor = exp2_fast(stats[2 * i] - top);
        const float *values = partial_values(a, at + i);
        weight = fmaf(stats[2 * i + 1], factor, weight);
        UNROLL
        for (uint32_t j = 0; j < HEAD_DIM_MAX / 32; j++) {
            uint32_t column = j * 32 + threadIdx.x % 32;
            if (column < head_dim) sums[j] = fmaf(values[column], factor, sums[j]);
        }
    }
    T *out = (T *)a.out + ((size_t)r * a.n_heads + head) * head_dim;
    UNROLL
    for (uint32_t j = 0; j < HEAD_DIM_MAX / 32; j++) {
        uint32_t column = j * 32 + threadIdx.x % 32;
        if (column < head_dim) from_float(&out[column], sums[j] / weight);
    }
}

/* ------------------------------------------------------------ launchers */

template <typename T, int D>
static status launch(cudaStream_t stream, const attend_decode_args &a, bool whole,
                     errbuf *err) {
    auto kernel = attend_decode_kernel<T, D>;
    constexpr int n_bytes = decode_shape<D>::SHARED_BYTES;
    TRY(allow_shared("attend_decode", (const void *)kernel, n_bytes, err));
    uint32_t n_parts = (a.n_heads / a.arena.n_kv_heads + HEADS - 1) / HEADS;
    LAUNCH(kernel, dim3(a.arena.n_kv_heads * n_parts, a.splits.n, a.rows.n_rows), N_WARPS * 32,
           n_bytes, stream, a, whole);
    return launched("attend_decode", err);
}

template <typename T>
static status launch_width(cudaStream_t stream, const attend_decode_args &a, errbuf *err) {
    bool whole = a.arena.head_dim % PIECE == 0 && is_aligned(a.arena.values, 16);
    return with_padded_head_dim(a.arena.head_dim, [&](auto width) {
        return launch<T, decltype(width)::value>(stream, a, whole, err);
    });
}

template <typename T>
static status launch_all(cudaStream_t stream, const attend_decode_args &a, errbuf *err) {
    TRY(launch_width<T>(stream, a, err));
    if (a.splits.n == 1) return ST_OK;
    auto kernel = merge_splits_kernel<T>;
    LAUNCH(kernel, dim3((a.n_heads + MERGE_WARPS - 1) / MERGE_WARPS, a.rows.n_rows),
           MERGE_WARPS * 32, 0, stream, a);
    return launched("attend_decode, merging", err);
}

status attend_decode(cudaStream_t stream, device_dtype dtype, const attend_decode_args *args,
                     errbuf *err) {
    TRY(attention_check("attend_decode", &args->arena, args->layer, args->n_heads,
                        args->q_stride, args->scale, err));
    if (args->splits.n == 0 || args->splits.n > ATTEND_DECODE_SPLITS_MAX)
        return fail(err, ST_INVALID, "attend_decode: %u splits, not 1 to %d", args->splits.n,
                    ATTEND_DECODE_SPLITS_MAX);
    if (args->splits.n > 1 && !args->workspace)
        return fail(err, ST_INVALID, "attend_decode: %u splits without a workspace",
                    args->splits.n);
    if (args->rows.n_rows > ROWS_MAX)
        return fail(err, ST_INVALID, "attend_decode: %u rows, at most %d", args->rows.n_rows,
                    ROWS_MAX);
    if (args->rows.n_rows == 0) return ST_OK;
    return dtype == DEVICE_BF16 ? launch_all<__nv_bfloat16>(stream, *args, err)
                                : launch_all<__half>(stream, *args, err);
}

/* ------------------------------------------------------------ sizes */

size_t attend_decode_workspace_bytes(uint32_t n_rows, uint32_t n_heads, uint32_t head_dim,
                                     decode_splits splits) {
    if (splits.n <= 1) return 0;
    return (size_t)n_rows * n_heads * splits.n * (head_dim + 2) * sizeof(float);
}

/* Thread blocks that run at once; shared memory and registers allow as many. */
static uint64_t slots_of(uint32_t head_dim, uint32_t n_sms) {
    return (uint64_t)(head_dim > 128 ? 2 : 3) * (n_sms ? n_sms : 1);
}

/* Few rows: the count with the shortest time by a simple model. Blocks run in waves, each as
 * long as its keys plus what starting and merging cost, which is worth about 128 keys. */
static decode_splits split_few(uint64_t n_blocks, uint64_t n_slots, uint32_t max_context) {
    const uint64_t FIXED_KEYS = 128;
    uint64_t n_units = ((uint64_t)max_context + SPLIT_KEYS - 1) / SPLIT_KEYS, best_time = 0;
    decode_splits best = {1, (uint32_t)FIXED_KEYS};
    for (uint32_t n = 1; n <= ATTEND_DECODE_SPLITS_MAX && (n == 1 || n <= n_units); n++) {
        uint64_t n_waves = (n_blocks * n + n_slots - 1) / n_slots;
        uint64_t n_keys = (n_units + n - 1) / n * SPLIT_KEYS;
        uint64_t time = n_waves * (n_keys + FIXED_KEYS);
        if (n > 1 && time >= best_time) continue;
        best_time = time;
        best.n = n;
    }
    return best;
}

/* Many rows fill the device without being split. But the longest of them would outlast the
 * others: those of more than 1024 keys are cut into such pieces, as far as the blocks that
 * short rows then have too many, which end at once, stay few. */
static decode_splits split_many(uint64_t n_blocks, uint64_t n_slots, uint32_t max_context) {
    const uint64_t PIECE_KEYS = 1024, WAVES_MAX = 6;
    uint64_t n = (max_context + PIECE_KEYS - 1) / PIECE_KEYS,
             most = WAVES_MAX * n_slots / n_blocks;
    if (n > most) n = most;
    if (n > ATTEND_DECODE_SPLITS_MAX) n = ATTEND_DECODE_SPLITS_MAX;
    if (n <= 1) return {1, 0};
    uint64_t n_keys = (max_context + n - 1) / n;
    return {(uint32_t)n, (uint32_t)(n_keys < PIECE_KEYS ? PIECE_KEYS : n_keys)};
}

decode_splits attend_decode_splits(uint32_t n_rows, uint32_t n_kv_heads, uint32_t head_dim,
                                   uint32_t max_context, uint32_t n_sms) {
    const uint64_t n_blocks = (uint64_t)n_rows * n_kv_heads,
                   n_slots = slots_of(head_dim, n_sms);
    return n_blocks < n_slots ? split_few(n_blocks, n_slots, max_context)
                              : split_many(n_blocks, n_slots, max_context);
}
