/* attention_prefill.cu - attention of chunks: tiles of queries against all keys before them.
 * See attention.cuh. Limits: head_dim up to 256; 85 KiB of shared memory. */
#include "attention.cuh"

#include <stdlib.h>

#include "key_tile.cuh"

enum { N_WARPS = 4, RING = 3, TILES_MAX = 65535 /* of a grid's second dimension */ };

/* Per width: a warp has M * 16 rows, since each fragment of keys or values that it loads from
 * shared memory serves M products; with M = 1 the loads, not the products, set the pace. At 256
 * the sums of M = 2 do not fit into registers. */
template <int D> struct prefill_shape {
    static constexpr int M = D > 128 ? 1 : 2;
    static constexpr int KEYS = D > 128 ? 32 : 64; /* in a tile, whatever the batch */
    static constexpr int ROWS = N_WARPS * M * 16;
    static constexpr int QUERY_NUMBERS = ROWS * (D + ROW_PAD);
    static constexpr int TILE_NUMBERS = KEYS * (D + ROW_PAD);
    static constexpr int SHARED_BYTES = (QUERY_NUMBERS + RING * TILE_NUMBERS) * 2;
};

/* ------------------------------------------------------------ kernel */

/* Row group of a warp's 16 rows m, with half 8 rows further down. */
template <int D> __device__ static inline uint32_t row_in_tile(int m, int half) {
    int warp = threadIdx.x / 32, group = threadIdx.x % 32 / 4;
    return (warp * prefill_shape<D>::M + m) * 16 + half * 8 + group;
}

/* A warp begins to copy its rows of queries, zeros for those behind the tile's. */
template <typename T, int D, int M>
__device__ static inline void copy_queries(T *queries, const T *q, const attention_tile &tile,
                                           uint32_t q_stride, uint32_t head_dim, bool whole) {
    const uint32_t lane = threadIdx.x % 32, first = threadIdx.x / 32 * M * 16;
    UNROLL
    for (int m = 0; m < M; m++) {
        uint32_t r = first + m * 16 + lane;
        uint32_t its_row = lane < 16 && r < tile.n_rows ? tile.first_row + r : NO_ROW;
        copy_rows<T, D, 16>(queries + (first + m * 16) * (D + ROW_PAD), q, q_stride, its_row,
                            head_dim, whole);
    }
}

/* s = q * k^T of a warp's rows and a tile of keys; q_row and k are the lane's rows of the first
 * columns (lane_row_down, lane_row_across). Queries are read again for each tile: there are no
 * registers to keep them in. */
template <typename T, int D, int KEYS, int M>
__device__ static inline void score_tile(float (&s)[M][KEYS / 8][4], shared_addr q_row,
                                         shared_addr k) {
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int n = 0; n < KEYS / 8; n++) {
            UNROLL
            for (int i = 0; i < 4; i++) s[m][n][i] = 0;
        }
    }
    UNROLL
    for (int c = 0; c < D / 16; c++) {
        uint32_t q[M][4];
        UNROLL
        for (int m = 0; m < M; m++)
            load_matrices(q[m], q_row + (m * 16 * (D + ROW_PAD) + c * 16) * 2);
        score_columns<T, D, KEYS, M>(s, q, k + c * 32);
    }
}

/* Takes away the keys behind each row. first_key is that of the tile of keys. */
template <int D, int KEYS, int M>
__device__ static inline void mask_scores(float (&s)[M][KEYS / 8][4], uint32_t first_key,
                                          uint32_t n_before) {
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int n = 0; n < KEYS / 8; n++) {
            UNROLL
            for (int i = 0; i < 4; i++) {
                uint32_t key = first_key + n * 8 + threadIdx.x % 4 * 2 + i % 2;
                if (key > n_before + row_in_tile<D>(m, i / 2)) s[m][n][i] = -INFINITY;
            }
        }
    }
}

/* Writes a warp's rows: rounded into shared memory first (its own queries, no longer needed),
 * from there in pieces, or pair by pair if !whole. */
template <typename T, int D, int M>
__device__ static inline void write_rows(T *out, T *staged, row_sums<D, M> &sums,
                                         const attention_tile &tile, size_t out_stride,
                                         uint32_t head_dim, bool whole) {
    const int lane = threadIdx.x % 32, first = threadIdx.x / 32 * M * 16;
    __syncwarp();
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int half = 0; half < 2; half++) {
            float inverse = 1.0f / whole_weight(sums.weight[m][half]);
            T *row = staged + (size_t)row_in_tile<D>(m, half) * (D + ROW_PAD) + lane % 4 * 2;
            UNROLL
            for (int d = 0; d < D / 8; d++) {
                const float *two = &sums.values[m][d][2 * half];
                *(number_pair *)(row + d * 8) =
                    pack_pair<T>(two[0] * inverse, two[1] * inverse);
            }
        }
    }
    __syncwarp();
    const int unit = whole ? PIECE : 2, n_units = D / unit;
    for (int at = lane; at < M * 16 * n_units; at += 32) {
        uint32_t r = first + at / n_units, column = at % n_units * unit;
        if (r >= tile.n_rows || column >= head_dim) continue;
        const T *from = staged + r * (D + ROW_PAD) + column;
        T *to = out + (tile.first_row + r) * out_stride + column;
        if (whole)
            *(number_piece *)to = *(const number_piece *)from;
        else
            *(number_pair *)to = *(const number_pair *)from;
    }
}

/* One tile of queries of one head. Grid (n_heads, n_tiles): the heads of one kv head are
 * neighbours, so their keys are read from memory once and then from L2.
 *
 * Tiles of keys and of values take turns in a ring of three; each warp copies its share of
 * them. While one is used, the next two are under way:
 *
 *   step     uses   begins to copy   into the place of
 *   scores   K j    K j + 1          V j - 1
 *   values   V j    V j + 1          K j
 *
 * Compute bound: 4 * D products and sums per query and key. */
template <typename T, int D>
__global__ static void __launch_bounds__(N_WARPS * 32, 2)
    attend_prefill_kernel(attend_prefill_args a, bool whole) {
    using shape = prefill_shape<D>;
    constexpr int M = shape::M, KEYS = shape::KEYS, SHARE = KEYS / N_WARPS;
    if (a.stopped && *a.stopped) return;
    DYNAMIC_SHARED(shared);
    T *queries = (T *)shared, *ring = queries + shape::QUERY_NUMBERS;
    const attention_tile tile = a.tiles[blockIdx.y];
    const uint32_t head = blockIdx.x, head_dim = a.arena.head_dim;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t first = warp * M * 16, n_keys = tile.n_before + tile.n_rows;
    const uint32_t n_key_tiles = (n_keys + KEYS - 1) / KEYS;
    const kv_source<T> source = kv_source_of<T>(
        a.arena, a.layer, head / (a.n_heads / a.arena.n_kv_heads), a.blocks + tile.first_block);

    uint32_t row; /* this lane's key of the tile that is copied next */
    auto find_row = [&](uint32_t key_tile) {
        uint32_t key = key_tile * KEYS + warp * SHARE + lane;
        row = lane < SHARE && key < n_keys ? key_row(source, key) : NO_ROW;
    };
    auto copy = [&](int place, uint32_t key_tile, uint32_t its_row) {
        if (key_tile < n_key_tiles)
            copy_rows<T, D, SHARE>(ring + place * shape::TILE_NUMBERS +
                                       warp * SHARE * (D + ROW_PAD),
                                   source.keys, source.row_numbers, its_row, head_dim, whole);
        copies_commit();
    };

    copy_queries<T, D, M>(queries, (const T *)a.q + (size_t)head * head_dim, tile,
                          (uint32_t)a.q_stride, head_dim, whole);
    find_row(0);
    copy(0, 0, row);
    copy(1, 0, value_row(source, row));
    find_row(1);

    row_sums<D, M> sums;
    row_sums_init(sums);
    const float scale = a.scale * LOG2_E;
    const shared_addr q_row =
        shared_address(queries + first * (D + ROW_PAD)) + lane_row_down<D>(lane);
    const shared_addr ring_start = shared_address(ring);
    int place = 0; /* in the ring, of K j */
    for (uint32_t j = 0; j < n_key_tiles; j++) {
        const int value_place = (place + 1) % RING, free_place = (place + 2) % RING;
        /* A warp without rows, or with rows before all of these keys, only copies. */
        const bool takes_part =
            first < tile.n_rows && j * KEYS < tile.n_before + first + M * 16;
        float s[M][KEYS / 8][4];

        copies_wait<1>();
        __syncthreads();
        copy(free_place, j + 1, row);
        if (takes_part) {
            shared_addr k =
                ring_start + place * shape::TILE_NUMBERS * 2 + lane_row_across<D>(lane);
            score_tile<T, D, KEYS, M>(s, q_row, k);
            if ((j + 1) * KEYS > tile.n_before + first + 1)
                mask_scores<D, KEYS, M>(s, j * KEYS, tile.n_before);
            weigh_scores<D, KEYS, M>(s, sums, scale);
        }

        copies_wait<1>();
        __syncthreads();
        copy(place, j + 1, value_row(source, row));
        find_row(j + 2);
        if (takes_part)
            add_values<T, D, KEYS, M>(sums.values, s,
                                      ring_start + value_place * shape::TILE_NUMBERS * 2 +
                                          lane_row_down<D>(lane));
        place = free_place;
    }
    if (first < tile.n_rows)
        write_rows<T, D, M>((T *)a.out + (size_t)head * head_dim, queries, sums, tile,
                            (size_t)a.n_heads * head_dim, head_dim, whole);
}

/* ------------------------------------------------------------ launchers */

template <typename T, int D>
static status launch(cudaStream_t stream, const attend_prefill_args &a, bool whole,
                     errbuf *err) {
    auto kernel = attend_prefill_kernel<T, D>;
    constexpr int n_bytes = prefill_shape<D>::SHARED_BYTES;
    TRY(allow_shared("attend_prefill", (const void *)kernel, n_bytes, err));
    LAUNCH(kernel, dim3(a.n_heads, a.n_tiles), N_WARPS * 32, n_bytes, stream, a, whole);
    return launched("attend_prefill", err);
}

template <typename T>
static status launch_width(cudaStream_t stream, const attend_prefill_args &a, errbuf *err) {
    bool whole = a.arena.head_dim % PIECE == 0 && a.q_stride % PIECE == 0 &&
                 is_aligned(a.q, 16) && is_aligned(a.out, 16) && is_aligned(a.arena.values, 16);
    return with_padded_head_dim(a.arena.head_dim, [&](auto width) {
        return launch<T, decltype(width)::value>(stream, a, whole, err);
    });
}

status attend_prefill(cudaStream_t stream, device_dtype dtype, const attend_prefill_args *args,
                      errbuf *err) {
    TRY(attention_check("attend_prefill", &args->arena, args->layer, args->n_heads,
                        args->q_stride, args->scale, err));
    if (args->n_tiles > TILES_MAX)
        return fail(err, ST_INVALID, "attend_prefill: %u tiles of rows, at most %d",
                    args->n_tiles, TILES_MAX);
    if (args->n_tiles == 0) return ST_OK;
    return dtype == DEVICE_BF16 ? launch_width<__nv_bfloat16>(stream, *args, err)
                                : launch_width<__half>(stream, *args, err);
}

/* ------------------------------------------------------------ tiles */

uint32_t attention_tile_rows(uint32_t head_dim) {
    uint32_t width = padded_head_dim(head_dim);
    if (width == 0) return 0;
    return width > 128 ? (uint32_t)prefill_shape<HEAD_DIM_MAX>::ROWS
                       : (uint32_t)prefill_shape<128>::ROWS;
}

/* More keys first; equal ones in the order of the rows. */
static int compare_tiles(const void *a, const void *b) {
    const attention_tile *x = (const attention_tile *)a, *y = (const attention_tile *)b;
    uint32_t x_keys = x->n_before + x->n_rows, y_keys = y->n_before + y->n_rows;
    if (x_keys != y_keys) return x_keys > y_keys ? -1 : 1;
    return (x->first_row > y->first_row) - (x->first_row < y->first_row);
}

status attention_plan_tiles(attention_tile *tiles, uint32_t *n_tiles, uint32_t capacity,
                            const attention_tile *chunks, uint32_t n_chunks, uint32_t tile_rows,
                            errbuf *err) {
    if (tile_rows == 0) return fail(err, ST_INVALID, "attention tiles of 0 rows");
    uint32_t n = 0;
    for (uint32_t c = 0; c < n_chunks; c++) {
        for (uint32_t done = 0; done < chunks[c].n_rows; done += tile_rows) {
            if (n == capacity)
                return fail(err, ST_INVALID, "more than %u attention tiles", capacity);
            uint32_t left = chunks[c].n_rows - done;
            tiles[n++] = {chunks[c].first_row + done, left < tile_rows ? left : tile_rows,
                          chunks[c].n_before + done, chunks[c].first_block};
        }
    }
    qsort(tiles, n, sizeof(*tiles), compare_tiles);
    *n_tiles = n;
    return ST_OK;
}
