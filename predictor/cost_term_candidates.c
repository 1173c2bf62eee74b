/* The terms that an operation is offered; see cost_terms.h. */
#include <math.h>

#include "cost_terms.h"

typedef struct list {
    term *terms; /* [TERMS_MAX] */
    size_t n;
} list;

static void add(list *l, term t) {
    if (l->n == TERMS_MAX) return;
    t.inverse = 1 / t.p;
    l->terms[l->n++] = t;
}

static void add_product(list *l, variable a, variable b) {
    add(l, (term){TERM_PRODUCT, a, b, VAR_ONE, 1, 1, 0});
}

/* Thresholds from low to high, `factor` apart. */
static void add_beyond(list *l, variable a, double low, double high, double factor) {
    for (double p = low; p <= high; p *= factor)
        add(l, (term){TERM_BEYOND, a, VAR_ONE, VAR_ONE, p, 1, 0});
}

/* A matrix product over `rows`: its cost goes up by tiles of rows, and by waves of g thread
 * blocks per row tile over the multiprocessors. How many columns of tiles a kernel has is its
 * library's secret, so g runs over a geometric grid. */
static void add_matrix_product(list *l, variable rows, uint32_t n_sms) {
    add_product(l, rows, VAR_ONE);
    for (double tile = 8; tile <= 256; tile *= 2)
        add(l, (term){TERM_TILES, rows, VAR_ONE, VAR_ONE, tile, 1, 0});
    add_beyond(l, rows, 64, 8192, 2);
    for (double tile = 64; tile <= 256; tile *= 2) {
        double last = 0;
        for (double columns = 1.4; columns < 1.7 * n_sms; columns *= 1.19) {
            double whole = round(columns);
            if (whole > last)
                add(l, (term){TERM_WAVES, rows, VAR_ONE, VAR_ONE, tile, whole / n_sms, 0});
            last = whole;
        }
    }
}

/* Prefill attention: thread blocks of 64 or 128 queries of one head, each walking its keys. */
static void add_prefill(list *l, const term_shape *shape) {
    add_product(l, VAR_CHUNKS, VAR_ONE);
    add_product(l, VAR_PREFILL_TOKENS, VAR_ONE);
    add_product(l, VAR_PAIRS, VAR_ONE);
    add_product(l, VAR_KEYS, VAR_ONE);
    add_product(l, VAR_KEYS, VAR_CHUNKS);
    double heads = shape->n_heads ? shape->n_heads : 32;
    double kv_heads = shape->n_kv_heads ? shape->n_kv_heads : heads;
    for (double tile = 16; tile <= 128; tile *= tile < 64 ? 4 : 2) {
        add(l, (term){TERM_TILES, VAR_QUERY, VAR_PAIRS, VAR_ONE, tile, 1, 0});
        add(l, (term){TERM_TILES, VAR_QUERY, VAR_KEYS, VAR_ONE, tile, 1, 0});
        for (int share = 1; share <= 2; share++) /* thread blocks per multiprocessor */
            for (int grouped = 0; grouped < 2; grouped++) {
                double g = (grouped ? kv_heads : heads) / (share * (double)shape->n_sms);
                if (grouped && kv_heads == heads) continue;
                add(l, (term){TERM_WAVES, VAR_QUERY, VAR_ONE, VAR_CHUNKS, tile, g, 0});
                add(l, (term){TERM_WAVES, VAR_QUERY, VAR_KEYS, VAR_CHUNKS, tile, g, 0});
                add(l, (term){TERM_WAVES, VAR_QUERY, VAR_CACHED, VAR_CHUNKS, tile, g, 0});
            }
    }
    add_beyond(l, VAR_PAIRS, 4096 / heads, 1e8 / heads * 32, 4);
}

/* Decode attention: reads each context once, split over thread blocks where the batch is small;
 * waves of sequences and heads over the multiprocessors. */
static void add_decode(list *l, const term_shape *shape) {
    add_product(l, VAR_DECODES, VAR_ONE);
    add_product(l, VAR_DECODE_KV, VAR_ONE);
    add_product(l, VAR_CONTEXT, VAR_ONE);
    add_product(l, VAR_CONTEXT_MAX, VAR_ONE);
    double heads = shape->n_heads ? shape->n_heads : 32;
    double kv_heads = shape->n_kv_heads ? shape->n_kv_heads : heads;
    add_beyond(l, VAR_DECODE_KV, 64, 4e6, 4);
    add_beyond(l, VAR_DECODES, 8, 512, 2);
    for (double pieces = 0.5; pieces <= 4; pieces *= 2) {
        double g = kv_heads * pieces / shape->n_sms;
        add(l, (term){TERM_WAVES, VAR_DECODES, VAR_ONE, VAR_ONE, 1, g, 0});
        add(l, (term){TERM_WAVES, VAR_DECODES, VAR_CONTEXT, VAR_ONE, 1, g, 0});
    }
}

static void add_mixed(list *l) {
    static const variable parts[] = {VAR_DECODES, VAR_DECODE_KV, VAR_KEYS, VAR_PAIRS,
                                     VAR_CONTEXT};
    add_product(l, VAR_HAS_PREFILL, VAR_ONE);
    add_product(l, VAR_HAS_DECODE, VAR_ONE);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        add_product(l, VAR_MIXED, parts[i]);
    add_beyond(l, VAR_ALL_KV, 1024, 4e6, 4);
}

/* A call, its pieces, its bytes, and what the other direction and compute take away. No
 * thresholds: they would only stand in for the constant where no small copy was measured. */
static void add_copy(list *l) {
    static const variable parts[] = {VAR_BYTES,      VAR_SEGMENTS, VAR_BUSY,
                                     VAR_BUSY_BYTES, VAR_COMPUTE,  VAR_COMPUTE_BYTES};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        add_product(l, parts[i], VAR_ONE);
    add_product(l, VAR_SEGMENTS, VAR_BUSY);
}

size_t cost_terms_candidates(term *out, const term_shape *shape) {
    list l = {out, 0};
    add_product(&l, VAR_ONE, VAR_ONE);
    switch (shape->op) {
    case OP_ITERATION:
        add_product(&l, VAR_SAMPLED, VAR_ONE);
        add_prefill(&l, shape);
        add_decode(&l, shape);
        add_mixed(&l);
        add_matrix_product(&l, VAR_TOKENS, shape->n_sms);
        break;
    case OP_GEMM:
    case OP_LAYER:
        add_matrix_product(&l, VAR_TOKENS, shape->n_sms);
        break;
    case OP_PER_SEQUENCE:
        add_matrix_product(&l, VAR_SAMPLED, shape->n_sms);
        break;
    case OP_HOST:
        add_product(&l, VAR_DECODES, VAR_ONE);
        add_beyond(&l, VAR_DECODES, 8, 512, 2);
        break;
    case OP_PREFILL_ATTENTION:
        add_prefill(&l, shape);
        break;
    case OP_DECODE_ATTENTION:
        add_decode(&l, shape);
        break;
    case OP_MIXED_ATTENTION:
        add_prefill(&l, shape);
        add_decode(&l, shape);
        add_mixed(&l);
        break;
    case OP_SWAP_OUT:
    case OP_SWAP_IN:
    case OP_ALL_REDUCE:
        add_copy(&l);
        break;
    case N_OPERATIONS:
        break;
    }
    return l.n;
}
