/* attention.c - scores, softmax and the mix of values of one tile. See attention.h.
 *
 * A row of the tile is one query head of one token: row = token * group + head. */
#include "attention.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    TILE_ROWS = 16,
    ROW_PADDING = 16
}; /* padding: rows a power of two apart collide in the
      cache */

/* Parts of the scratch. */
typedef struct tile_buffers {
    float *q, *out;      /* [rows, head_dim] */
    float *scores;       /* [rows, score_stride] */
    float *sums;         /* [rows] of softmax */
    size_t score_stride; /* floats between rows */
} tile_buffers;

static uint32_t group_of(const attention *a) {
    return a->n_heads / a->layout.n_kv_heads;
}

static uint32_t rows_max(const attention *a) {
    return a->tile_tokens * group_of(a);
}

void attention_init(attention *a, const cpu_kernels *k, const kv_layout *l, uint32_t n_heads,
                    uint32_t max_len) {
    assert(n_heads % l->n_kv_heads == 0);
    *a = (attention){.kernels = k, .layout = *l, .n_heads = n_heads, .max_len = max_len};
    a->tile_tokens = TILE_ROWS / group_of(a) ? TILE_ROWS / group_of(a) : 1;
}

static size_t score_stride(const attention *a) {
    return ((size_t)a->max_len + ROW_PADDING - 1) / ROW_PADDING * ROW_PADDING + ROW_PADDING;
}

size_t attention_scratch_floats(const attention *a) {
    return rows_max(a) * (2 * (size_t)a->layout.head_dim + score_stride(a) + 1);
}

static tile_buffers cut_scratch(const attention *a, float *scratch) {
    tile_buffers b = {.score_stride = score_stride(a)};
    size_t rows = rows_max(a);
    b.scores = scratch;
    b.q = b.scores + rows * b.score_stride;
    b.out = b.q + rows * a->layout.head_dim;
    b.sums = b.out + rows * a->layout.head_dim;
    return b;
}

/* Floats from the start of q or out to a row of the tile. */
static size_t row_offset(const attention *a, const attention_tile *t, uint32_t row) {
    uint32_t group = group_of(a), head = t->kv_head * group + row % group;
    return ((size_t)(row / group) * a->n_heads + head) * a->layout.head_dim;
}

static void gather_queries(const attention *a, const attention_tile *t, float *q) {
    uint32_t dim = a->layout.head_dim;
    float scale = 1.0f / sqrtf((float)dim);
    for (uint32_t row = 0; row < t->n_tokens * group_of(a); row++) {
        const float *from = t->q + row_offset(a, t, row);
        for (uint32_t i = 0; i < dim; i++) q[(size_t)row * dim + i] = from[i] * scale;
    }
}

/* The tile's KV head in K or V of the block that covers `position`. */
static const float *head_rows(const attention *a, const attention_tile *t, uint32_t position,
                              kv_part part) {
    uint32_t block = t->blocks[position / a->layout.block_tokens];
    const float *rows = kv_layout_rows(&a->layout, t->arena, block, t->layer, part);
    return rows + position % a->layout.block_tokens * kv_layout_width(&a->layout) +
           (size_t)t->kv_head * a->layout.head_dim;
}

/* Positions from `position` on in the same block, up to end. */
static uint32_t run_length(const attention *a, uint32_t position, uint32_t end) {
    uint32_t left = a->layout.block_tokens - position % a->layout.block_tokens;
    return left < end - position ? left : end - position;
}

static void score(const attention *a, const attention_tile *t, const tile_buffers *b) {
    uint32_t end = t->n_before + t->n_tokens, n;
    for (uint32_t position = 0; position < end; position += n) {
        n = run_length(a, position, end);
        matmul_args m = {.x = b->q,
                         .x_stride = a->layout.head_dim,
                         .n_tokens = t->n_tokens * group_of(a),
                         .w = head_rows(a, t, position, KV_KEYS),
                         .w_stride = kv_layout_width(&a->layout),
                         .n_outputs = n,
                         .n_inputs = a->layout.head_dim,
                         .out = b->scores + position,
                         .out_stride = b->score_stride};
        a->kernels->matmul(&m);
    }
}

/* Adds the values of positions [first, end) to n_rows rows. */
static void mix(const attention *a, const attention_tile *t, const tile_buffers *b,
                uint32_t row, uint32_t n_rows, uint32_t first, uint32_t end) {
    uint32_t n;
    for (uint32_t position = first; position < end; position += n) {
        n = run_length(a, position, end);
        mix_args m = {.p = b->scores + row * b->score_stride + position,
                      .p_stride = b->score_stride,
                      .n_rows = n_rows,
                      .v = head_rows(a, t, position, KV_VALUES),
                      .v_stride = kv_layout_width(&a->layout),
                      .n_values = n,
                      .n_dims = a->layout.head_dim,
                      .out = b->out + (size_t)row * a->layout.head_dim};
        a->kernels->mix(&m);
    }
}

static void scatter(const attention *a, const attention_tile *t, const tile_buffers *b) {
    uint32_t dim = a->layout.head_dim;
    for (uint32_t row = 0; row < t->n_tokens * group_of(a); row++) {
        float *to = t->out + row_offset(a, t, row), scale = 1.0f / b->sums[row];
        for (uint32_t i = 0; i < dim; i++) to[i] = b->out[(size_t)row * dim + i] * scale;
    }
}

void attention_run(const attention *a, const attention_tile *t, float *scratch) {
    assert(t->n_tokens <= a->tile_tokens && t->n_before + t->n_tokens <= a->max_len);
    tile_buffers b = cut_scratch(a, scratch);
    uint32_t group = group_of(a), n_rows = t->n_tokens * group;
    gather_queries(a, t, b.q);
    score(a, t, &b);
    for (uint32_t row = 0; row < n_rows; row++)
        b.sums[row] = a->kernels->softmax_weights(b.scores + row * b.score_stride,
                                                  t->n_before + row / group + 1);
    memset(b.out, 0, (size_t)n_rows * a->layout.head_dim * sizeof(*b.out));
    /* What all queries see, together; then for each the queries' own tokens up to itself. */
    mix(a, t, &b, 0, n_rows, 0, t->n_before + 1);
    for (uint32_t i = 1; i < t->n_tokens; i++)
        mix(a, t, &b, i * group, group, t->n_before + 1, t->n_before + i + 1);
    scatter(a, t, &b);
}
