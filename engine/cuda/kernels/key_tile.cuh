/* key_tile.cuh - a tile of keys and values against a warp's rows of queries: gathering through
 * the block table, scores, softmax, weighted sum. The inside of both attention kernels.
 *
 * D is head_dim rounded up to a supported width; what lies behind head_dim is zero. KEYS are in
 * a tile, M * 16 rows of queries (or query heads) belong to a warp. Tiles lie in shared memory
 * as [rows][D + ROW_PAD]: the padding makes the row an odd number of 16-byte pieces, so that
 * the eight rows of a fragment load touch all banks once. Fragments are as in tensor_core.cuh.
 *
 * Softmax works on scores in units of log 2: `scale` below is the scale times log2(e). */
#ifndef KEY_TILE_CUH
#define KEY_TILE_CUH

#include <math.h>

#include <type_traits>

#include "tensor_core.cuh"

enum { ROW_PAD = 8, PIECE = 8 /* numbers in 16 bytes */, HEAD_DIM_MAX = 256 };

static const uint32_t NO_ROW = UINT32_MAX; /* of no key: zeros are taken */
static const float LOG2_E = 1.44269504088896341f;

/* The smallest supported width that holds head_dim; 0 if there is none. */
static inline uint32_t padded_head_dim(uint32_t head_dim) {
    static const uint32_t widths[] = {16, 32, 64, 80, 96, 128, HEAD_DIM_MAX};
    if (head_dim == 0 || head_dim % 2 != 0) return 0;
    for (uint32_t width : widths)
        if (head_dim <= width) return width;
    return 0;
}

/* f(its width as a type: decltype(width)::value), for the width that holds head_dim. */
template <class F> static inline status with_padded_head_dim(uint32_t head_dim, F f) {
    switch (padded_head_dim(head_dim)) {
    case 16:
        return f(std::integral_constant<int, 16>());
    case 32:
        return f(std::integral_constant<int, 32>());
    case 64:
        return f(std::integral_constant<int, 64>());
    case 80:
        return f(std::integral_constant<int, 80>());
    case 96:
        return f(std::integral_constant<int, 96>());
    case 128:
        return f(std::integral_constant<int, 128>());
    default:
        return f(std::integral_constant<int, HEAD_DIM_MAX>());
    }
}

/* Lets a kernel have n_bytes of dynamic shared memory; `name` is the launcher's. Asked for at
 * each launch: it costs less than a microsecond, and what was granted is of one device. */
static inline status allow_shared(const char *name, const void *kernel, int n_bytes,
                                  errbuf *err) {
    cudaError_t e =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, n_bytes);
    if (e == cudaSuccess) return ST_OK;
    return fail(err, ST_INVALID, "%s: %d bytes of shared memory: %s", name, n_bytes,
                cudaGetErrorString(e));
}

static inline bool is_aligned(const void *p, size_t n_bytes) {
    return (uintptr_t)p % n_bytes == 0;
}

/* What both launchers are given; `name` is the launcher's. */
static inline status attention_check(const char *name, const kv_arena *arena, uint32_t layer,
                                     uint32_t n_heads, size_t q_stride, float scale,
                                     errbuf *err) {
    if (padded_head_dim(arena->head_dim) == 0)
        return fail(err, ST_INVALID, "%s: head_dim %u is odd, 0 or above %d", name,
                    arena->head_dim, HEAD_DIM_MAX);
    if (arena->n_kv_heads == 0 || n_heads == 0 || n_heads % arena->n_kv_heads != 0)
        return fail(err, ST_INVALID, "%s: %u heads over %u kv heads", name, n_heads,
                    arena->n_kv_heads);
    if (arena->block_tokens == 0 || layer >= arena->n_layers)
        return fail(err, ST_INVALID, "%s: layer %u of %u, blocks of %u tokens", name, layer,
                    arena->n_layers, arena->block_tokens);
    if (q_stride % 2 != 0 || q_stride < (size_t)n_heads * arena->head_dim ||
        q_stride > UINT32_MAX)
        return fail(err, ST_INVALID, "%s: %zu numbers from row to row", name, q_stride);
    /* The top of the scaled scores is taken before they are scaled. */
    if (!(scale > 0)) return fail(err, ST_INVALID, "%s: scale %g", name, (double)scale);
    return ST_OK;
}

/* ------------------------------------------------------------ gathering */

/* Keys and values of one head of one sequence in one layer. Value rows are block_tokens rows
 * behind those of the keys. */
template <typename T> struct kv_source {
    const T *keys;          /* of row 0 of block 0 */
    const uint32_t *blocks; /* the sequence's table */
    uint32_t row_numbers;   /* numbers from row to row */
    uint32_t block_tokens, block_rows /* from block to block */;
};

template <typename T>
__device__ static inline kv_source<T> kv_source_of(const kv_arena &arena, uint32_t layer,
                                                   uint32_t kv_head, const uint32_t *blocks) {
    kv_source<T> source;
    source.keys = (const T *)arena.values + kv_arena_rows(&arena, 0, layer, 0) +
                  (size_t)kv_head * arena.head_dim;
    source.blocks = blocks;
    source.row_numbers = arena.n_kv_heads * arena.head_dim;
    source.block_tokens = arena.block_tokens;
    source.block_rows = arena.n_layers * 2 * arena.block_tokens;
    return source;
}

/* The row of a key. */
template <typename T>
__device__ static inline uint32_t key_row(const kv_source<T> &source, uint32_t key) {
    uint32_t block = key / source.block_tokens;
    return source.blocks[block] * source.block_rows + (key - block * source.block_tokens);
}

/* The row of the same key's value. */
template <typename T>
__device__ static inline uint32_t value_row(const kv_source<T> &source, uint32_t key_row) {
    return key_row == NO_ROW ? NO_ROW : key_row + source.block_tokens;
}

/* copy_rows of rows that are no whole pieces: pair by pair, at once. Rare, and kept out of the
 * kernels' code, where it would cost registers. */
template <typename T, int D, int N>
__device__ static __attribute__((noinline)) void
copy_rows_in_pairs(T *to, const T *from, uint32_t row_numbers, uint32_t row,
                   uint32_t head_dim) {
    for (int at = threadIdx.x % 32; at < N * (D / 2); at += 32) {
        int r = at / (D / 2), column = at % (D / 2) * 2;
        uint32_t its_row = __shfl_sync(~0u, row, r);
        number_pair pair = 0;
        if (its_row != NO_ROW && (uint32_t)column < head_dim)
            pair = *(const number_pair *)(from + (size_t)its_row * row_numbers + column);
        *(number_pair *)(to + r * (D + ROW_PAD) + column) = pair;
    }
}

/* A warp begins to copy N rows of head_dim numbers to shared memory, zeros behind them: lane
 * i < N names row i, counted from `from` in steps of row_numbers, or NO_ROW. `whole`: rows
 * start on 16 bytes and are whole pieces. */
template <typename T, int D, int N>
__device__ static inline void copy_rows(T *to, const T *from, uint32_t row_numbers,
                                        uint32_t row, uint32_t head_dim, bool whole) {
    constexpr int n_pieces = D / PIECE;
    const int lane = threadIdx.x % 32;
    if (!whole) {
        copy_rows_in_pairs<T, D, N>(to, from, row_numbers, row, head_dim);
        return;
    }
    UNROLL
    for (int i = 0; i < N * n_pieces / 32; i++) {
        int at = i * 32 + lane, r = at / n_pieces, column = at % n_pieces * PIECE;
        uint32_t its_row = __shfl_sync(~0u, row, r);
        bool there = its_row != NO_ROW && (uint32_t)column < head_dim;
        const T *piece = there ? from + (size_t)its_row * row_numbers + column : from;
        copy_piece(shared_address(to + r * (D + ROW_PAD) + column), piece, there);
    }
}

/* ------------------------------------------------------------ fragments */

/* Byte offset of the row that a lane names to load_matrices for the left operand of a product
 * (queries), and, transposed, for values as the right one: matrices below one another first. */
template <int D> __device__ static inline uint32_t lane_row_down(int lane) {
    return (uint32_t)((lane % 16) * (D + ROW_PAD) + lane / 16 * 8) * 2;
}

/* The same for keys as the right operand: matrices beside one another first. */
template <int D> __device__ static inline uint32_t lane_row_across(int lane) {
    return (uint32_t)((lane % 8 + lane / 16 * 8) * (D + ROW_PAD) + lane / 8 % 2 * 8) * 2;
}

/* Adds the products over 16 of the columns: s += q * k^T. k is the lane's row of these columns
 * in the tile (lane_row_across). */
template <typename T, int D, int KEYS, int M>
__device__ static inline void score_columns(float (&s)[M][KEYS / 8][4],
                                            const uint32_t (&q)[M][4], shared_addr k) {
    UNROLL
    for (int n = 0; n < KEYS / 16; n++) {
        uint32_t b[4];
        load_matrices(b, k + n * 16 * (D + ROW_PAD) * 2);
        UNROLL
        for (int m = 0; m < M; m++) {
            multiply_add<T>(s[m][2 * n], q[m], b[0], b[1]);
            multiply_add<T>(s[m][2 * n + 1], q[m], b[2], b[3]);
        }
    }
}

/* Adds the values weighted by p: o += p * v. The scores' layout as a result is the weights' as
 * a left operand, so weights stay in registers. v is the lane's row (lane_row_down). */
template <typename T, int D, int KEYS, int M>
__device__ static inline void add_values(float (&o)[M][D / 8][4],
                                         const float (&p)[M][KEYS / 8][4], shared_addr v) {
    UNROLL
    for (int n = 0; n < KEYS / 16; n++) {
        uint32_t a[M][4];
        UNROLL
        for (int m = 0; m < M; m++) {
            UNROLL
            for (int i = 0; i < 4; i++) {
                const float(&from)[4] = p[m][2 * n + i / 2];
                a[m][i] = pack_pair<T>(from[i % 2 * 2], from[i % 2 * 2 + 1]);
            }
        }
        UNROLL
        for (int d = 0; d < D / 16; d++) {
            uint32_t b[4];
            load_matrices_transposed(b, v + (n * 16 * (D + ROW_PAD) + d * 16) * 2);
            UNROLL
            for (int m = 0; m < M; m++) {
                multiply_add<T>(o[m][2 * d], a[m], b[0], b[1]);
                multiply_add<T>(o[m][2 * d + 1], a[m], b[2], b[3]);
            }
        }
    }
}

/* ------------------------------------------------------------ softmax */

/* What is summed so far for the rows group and group + 8 of each 16. */
template <int D, int M> struct row_sums {
    float values[M][D / 8][4]; /* weighted sum of the values, as a result of multiply_add */
    float top[M][2];           /* greatest scaled score, the same in the four lanes of a row */
    float weight[M][2];        /* sum of this lane's weights 2^(score - top) */
};

template <int D, int M> __device__ static inline void row_sums_init(row_sums<D, M> &sums) {
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int d = 0; d < D / 8; d++) {
            UNROLL
            for (int i = 0; i < 4; i++) sums.values[m][d][i] = 0;
        }
        UNROLL
        for (int half = 0; half < 2; half++) {
            sums.top[m][half] = -INFINITY;
            sums.weight[m][half] = 0;
        }
    }
}

/* Turns the scores of a tile into weights and scales the sums down to the new top. A row must
 * have seen a key by now. The additions are written as fmaf, so that no compiler's choice
 * decides the bits. The top is rounded after scaling and used everywhere so: an error of
 * rounding is then common to a row and leaves with the division by its weight. */
template <int D, int KEYS, int M>
__device__ static inline void weigh_scores(float (&s)[M][KEYS / 8][4], row_sums<D, M> &sums,
                                           float scale) {
    UNROLL
    for (int m = 0; m < M; m++) {
        float factor[2];
        UNROLL
        for (int half = 0; half < 2; half++) {
            float top = -INFINITY;
            UNROLL
            for (int n = 0; n < KEYS / 8; n++)
                top = fmaxf(top, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
            top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
            top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
            top = fmaxf(sums.top[m][half], top * scale);
            float weight = 0;
            factor[half] = exp2_fast(sums.top[m][half] - top);
            UNROLL
            for (int n = 0; n < KEYS / 8; n++) {
                UNROLL
                for (int i = 2 * half; i < 2 * half + 2; i++) {
                    s[m][n][i] = exp2_fast(fmaf(s[m][n][i], scale, -top));
                    weight += s[m][n][i];
                }
            }
            sums.top[m][half] = top;
            sums.weight[m][half] = fmaf(sums.weight[m][half], factor[half], weight);
        }
        /* Seldom behind the first tiles. */
        if (!__any_sync(~0u, factor[0] != 1 || factor[1] != 1)) continue;
        UNROLL
        for (int d = 0; d < D / 8; d++) {
            UNROLL
            for (int i = 0; i < 4; i++) sums.values[m][d][i] *= factor[i / 2];
        }
    }
}

/* The four lanes of a row add up their weights. */
__device__ static inline float whole_weight(float weight) {
    weight += __shfl_xor_sync(~0u, weight, 1);
    return weight + __shfl_xor_sync(~0u, weight, 2);
}

#endif
