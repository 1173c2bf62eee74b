/* kernels_matmul.c - products with matrices, tile by tile in registers. See kernels.h. */
#include "kernels_variant.h"

/* Accumulators of a tile stay in registers: AVX-512 has 32 vectors, the others 16. */
enum { TILE_TOKENS = LANES == 16 ? 8 : 4, TILE_OUTPUTS = 3 };
enum { TILE_SUMS = (TILE_TOKENS * TILE_OUTPUTS + LANES - 1) / LANES * LANES };
enum { TILE_ROWS = LANES == 16 ? 4 : 2, TILE_VECTORS = 4 };

/* A product is summed in pieces of this many inputs, which keeps a tile's x and w in the L1
 * cache, and the outputs are taken in groups whose w stays in the L2 cache. */
enum { INPUTS_PIECE = 1024, OUTPUTS_GROUP = 48 };

typedef struct tile_args {
    const float *x, *w;
    size_t x_stride, w_stride;
    uint32_t n_inputs;
} tile_args;

/* sums[t * n_outputs + o] = x[t] . w[o] over the whole vectors; the two counts are constants of
 * the caller, so that the loops unroll and the accumulators are registers. */
ALWAYS_INLINE void tile_sums(float sums[TILE_SUMS], const tile_args *a, const int n_tokens,
                             const int n_outputs) {
    lanes acc[TILE_SUMS] = {0};
    for (uint32_t i = 0; i + LANES <= a->n_inputs; i += LANES) {
        lanes w[TILE_OUTPUTS];
        UNROLL for (int o = 0; o < n_outputs; o++) w[o] =
            lanes_load(a->w + o * a->w_stride + i);
        UNROLL for (int t = 0; t < n_tokens; t++) {
            lanes x = lanes_load(a->x + t * a->x_stride + i);
            UNROLL for (int o = 0; o < n_outputs; o++) acc[t * n_outputs + o] += x * w[o];
        }
    }
    UNROLL for (int first = 0; first < n_tokens * n_outputs; first += LANES)
        lanes_store(sums + first, lanes_sums(acc + first));
}

/* Adds the inputs that fill no vector. */
static void tile_rest(float sums[TILE_SUMS], const tile_args *a, uint32_t n_tokens,
                      uint32_t n_outputs) {
    uint32_t first = a->n_inputs / LANES * LANES;
    for (uint32_t t = 0; t < n_tokens; t++)
        for (uint32_t o = 0; o < n_outputs; o++)
            for (uint32_t i = first; i < a->n_inputs; i++)
                sums[t * n_outputs + o] +=
                    a->x[t * a->x_stride + i] * a->w[o * a->w_stride + i];
}

static void tile_store(const matmul_args *a, const float *sums, uint32_t t0, uint32_t o0,
                       uint32_t n_tokens, uint32_t n_outputs, bool first_piece) {
    for (uint32_t t = 0; t < n_tokens; t++) {
        float *out = a->out + (t0 + t) * a->out_stride + o0;
        for (uint32_t o = 0; o < n_outputs; o++) {
            float sum = *sums++;
            if (first_piece && a->bias) sum += a->bias[o0 + o];
            if (!first_piece || a->accumulate) sum += out[o];
            out[o] = sum;
        }
    }
}

/* One tile; its size becomes a constant here. */
static void tile_any(float sums[TILE_SUMS], const tile_args *a, uint32_t n_tokens,
                     uint32_t n_outputs) {
#define CASE(t)                                                                                \
    case t:                                                                                    \
        if (n_outputs == 3)                                                                    \
            tile_sums(sums, a, t, 3);                                                          \
        else if (n_outputs == 2)                                                               \
            tile_sums(sums, a, t, 2);                                                          \
        else                                                                                   \
            tile_sums(sums, a, t, 1);                                                          \
        return
    switch (n_tokens) {
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
#if KERNELS_LANES == 16
        CASE(5);
        CASE(6);
        CASE(7);
        CASE(8);
#endif
    }
#undef CASE
}

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Outputs [o0, o_end) of all tokens over inputs [i0, i0 + n). */
static void matmul_group(const matmul_args *a, uint32_t o0, uint32_t o_end, uint32_t i0,
                         uint32_t n) {
    for (uint32_t t = 0; t < a->n_tokens; t += TILE_TOKENS) {
        uint32_t n_tokens = smaller(TILE_TOKENS, a->n_tokens - t);
        for (uint32_t o = o0; o < o_end; o += TILE_OUTPUTS) {
            uint32_t n_outputs = smaller(TILE_OUTPUTS, o_end - o);
            tile_args tile = {.x = a->x + t * a->x_stride + i0,
                              .w = a->w + o * a->w_stride + i0,
                              .x_stride = a->x_stride,
                              .w_stride = a->w_stride,
                              .n_inputs = n};
            float sums[TILE_SUMS];
            tile_any(sums, &tile, n_tokens, n_outputs);
            if (n % LANES) tile_rest(sums, &tile, n_tokens, n_outputs);
            tile_store(a, sums, t, o, n_tokens, n_outputs, i0 == 0);
        }
    }
}

void KERNEL(matmul)(const matmul_args *a) {
    for (uint32_t o = 0; o < a->n_outputs; o += OUTPUTS_GROUP)
        for (uint32_t i = 0; i < a->n_inputs; i += INPUTS_PIECE)
            matmul_group(a, o, smaller(o + OUTPUTS_GROUP, a->n_outputs), i,
                         smaller(INPUTS_PIECE, a->n_inputs - i));
}

/* Rows [r, r + n_rows) of dimensions [d, d + n_vectors * LANES); both counts are constants. */
ALWAYS_INLINE void mix_tile(const mix_args *a, uint32_t r, uint32_t d, const int n_rows,
                            const int n_vectors) {
    lanes acc[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int i = 0; i < n_rows; i++) UNROLL for (int k = 0; k < n_vectors; k++)
        acc[i][k] = lanes_load(a->out + (size_t)(r + i) * a->n_dims + d + k * LANES);
    for (uint32_t j = 0; j < a->n_values; j++) {
        lanes v[TILE_VECTORS];
        UNROLL for (int k = 0; k < n_vectors; k++) v[k] =
            lanes_load(a->v + j * a->v_stride + d + k * LANES);
        UNROLL for (int i = 0; i < n_rows; i++) {
            lanes p = lanes_of(a->p[(r + i) * a->p_stride + j]);
            UNROLL for (int k = 0; k < n_vectors; k++) acc[i][k] += p * v[k];
        }
    }
    UNROLL for (int i = 0; i < n_rows; i++) UNROLL for (int k = 0; k < n_vectors; k++)
        lanes_store(a->out + (size_t)(r + i) * a->n_dims + d + k * LANES, acc[i][k]);
}

/* Dimensions [d, n_dims) of one row, one by one. */
static void mix_rest(const mix_args *a, uint32_t r, uint32_t d) {
    for (; d < a->n_dims; d++) {
        float *out = a->out + (size_t)r * a->n_dims + d;
        float sum = *out;
        for (uint32_t j = 0; j < a->n_values; j++)
            sum += a->p[r * a->p_stride + j] * a->v[j * a->v_stride + d];
        *out = sum;
    }
}

void KERNEL(mix)(const mix_args *a) {
    uint32_t d = 0;
    for (; d + TILE_VECTORS * LANES <= a->n_dims; d += TILE_VECTORS * LANES) {
        uint32_t r = 0;
        for (; r + TILE_ROWS <= a->n_rows; r += TILE_ROWS)
            mix_tile(a, r, d, TILE_ROWS, TILE_VECTORS);
        for (; r < a->n_rows; r++) mix_tile(a, r, d, 1, TILE_VECTORS);
    }
    for (; d + LANES <= a->n_dims; d += LANES)
        for (uint32_t r = 0; r < a->n_rows; r++) mix_tile(a, r, d, 1, 1);
    for (uint32_t r = 0; d < a->n_dims && r < a->n_rows; r++) mix_rest(a, r, d);
}
