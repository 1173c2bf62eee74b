#include "restore_case.h"

#include <stdlib.h>

#include "rng.h"

enum { STREAM_CASE = 61, DRAWS_PER_TRY = 512 };

typedef struct draws {
    uint64_t seed, next;
} draws;

static double uniform(draws *d) {
    return rng_uniform(d->seed, STREAM_CASE, d->next++);
}

/* From low to high, each as likely. */
static uint32_t between(draws *d, uint32_t low, uint32_t high) {
    return low + (uint32_t)(uniform(d) * (high - low + 1));
}

/* From low to high, each doubling of the value about as likely as the next. */
static uint32_t spread(draws *d, uint32_t low, uint32_t high) {
    uint32_t octaves = 1;
    while ((uint64_t)low << octaves <= high) octaves++;
    uint64_t from = (uint64_t)low << between(d, 0, octaves - 1), to = 2 * from - 1;
    return between(d, (uint32_t)from, to < high ? (uint32_t)to : high);
}

static int by_left(const void *a, const void *b) {
    const decoding *x = a, *y = b;
    return (x->n_left > y->n_left) - (x->n_left < y->n_left);
}

/* Lengths lie between half and one and a half times a mean. */
static uint32_t around(draws *d, uint32_t mean) {
    return between(d, mean - mean / 2, mean + mean / 2);
}

static void draw_others(draws *d, restore_case *c, const restore_limits *limits) {
    uint32_t context = spread(d, 16, limits->max_model_len / 2);
    uint32_t n_left = spread(d, 2, limits->max_model_len / 8);
    c->n_others = uniform(d) < 0.1 ? 0 : spread(d, 1, RESTORE_OTHERS_MAX);
    for (uint32_t i = 0; i < c->n_others; i++)
        c->others[i] = (decoding){around(d, context), around(d, n_left)};
    qsort(c->others, c->n_others, sizeof(*c->others), by_left);
}

static void draw_victim(draws *d, restore_case *c, const restore_limits *limits) {
    uint32_t block = limits->block_tokens;
    c->n_left = spread(d, 1, limits->max_model_len / 8);
    uint32_t most = limits->max_model_len - c->n_left - 1;
    if (most > RESTORE_KV_MAX) most = RESTORE_KV_MAX;
    c->n_kv = uniform(d) < 0.5 ? spread(d, block, most) : between(d, block, most);
    if (uniform(d) < 0.5) c->n_kv = c->n_kv / block * block;
    c->n_blocks = c->n_kv / block + (c->n_kv % block != 0);
    double pieces = uniform(d); /* one piece, a piece per block, or between */
    c->run_blocks = pieces < 0.4 ? c->n_blocks : pieces < 0.7 ? 1 : spread(d, 1, c->n_blocks);
}

static void draw_link(draws *d, restore_case *c) {
    c->n_queued_blocks = uniform(d) < 0.4 ? 0 : spread(d, 1, RESTORE_QUEUE_MAX);
    c->other_direction_busy = uniform(d) < 0.25;
}

static uint64_t tokens_of(const restore_case *c) {
    uint64_t n = (uint64_t)c->n_kv + c->n_left + 1;
    for (uint32_t i = 0; i < c->n_others; i++) n += c->others[i].context + c->others[i].n_left;
    return n;
}

void restore_case_draw(restore_case *out, const restore_limits *limits, uint64_t seed,
                       uint64_t index) {
    static const uint32_t budgets[] = {512, 2048, 8192};
    draws d = {rng_bits(seed, STREAM_CASE, index), 0};
    for (uint64_t attempt = 0;; attempt++) {
        d.next = attempt * DRAWS_PER_TRY;
        out->budget = budgets[between(&d, 0, 2)];
        draw_victim(&d, out, limits);
        draw_link(&d, out);
        draw_others(&d, out, limits);
        if (tokens_of(out) <= limits->pool_tokens) return;
    }
}

uint32_t restore_case_segments(const restore_case *c) {
    return c->n_blocks / c->run_blocks + (c->n_blocks % c->run_blocks != 0);
}
