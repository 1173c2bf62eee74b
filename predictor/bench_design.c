#include "bench_design.h"

#include "rng.h"

enum { STREAM_DESIGN = 21, DRAWS_PER_POINT = 32, STEP_TOKENS = 64 };

/* Draws of one point, one after the other. */
typedef struct draws {
    uint64_t seed, next;
} draws;

static double uniform(draws *d) {
    return rng_uniform(d->seed, STREAM_DESIGN, d->next++);
}

static uint32_t below(draws *d, uint32_t n) {
    return (uint32_t)(uniform(d) * n);
}

/* From low to high, each doubling of the value as likely as the next; no libm, so the same on
 * every machine. */
static uint32_t spread(draws *d, uint32_t low, uint32_t high) {
    uint32_t octaves = 0;
    for (uint64_t x = low; 2 * x <= high; x *= 2) octaves++;
    double from = (double)low * (double)(UINT64_C(1) << below(d, octaves + 1));
    double to = 2 * from <= high ? 2 * from : (double)high + 1;
    return (uint32_t)(from + uniform(d) * (to - from));
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

uint64_t bench_design_half_pool(const microbench_config *c) {
    uint64_t tokens = (uint64_t)c->n_device_blocks * c->block_tokens / 2;
    uint64_t rounding = ((uint64_t)c->max_seqs + BENCH_CHUNKS_MAX) * c->block_tokens;
    return tokens > rounding ? tokens - rounding : 0;
}

/* New tokens of an iteration: half of the points on a step's edge or right behind it. */
static uint32_t draw_tokens(draws *d, uint32_t highest) {
    uint32_t n = uniform(d) < 0.5 ? spread(d, 2, highest) : 2 + below(d, highest - 1);
    if (n > STEP_TOKENS && uniform(d) < 0.5) n = n / STEP_TOKENS * STEP_TOKENS + below(d, 2);
    return n < 2 ? 2 : least(n, highest);
}

/* Cuts n tokens into chunks, each behind a prefix that fits the model's length. */
static void draw_chunks(draws *d, bench_point *p, const microbench_config *c, uint32_t n) {
    uint64_t half = bench_design_half_pool(c);
    uint32_t wanted = uniform(d) < 0.5 ? 1 : 1 + below(d, BENCH_CHUNKS_MAX);
    while (n > 0 && p->n_chunks < BENCH_CHUNKS_MAX) {
        uint32_t left = wanted - p->n_chunks;
        uint32_t take = left <= 1 ? n : n / left + (n % left != 0);
        take = least(take, c->max_model_len - 1);
        uint64_t room = c->max_model_len - 1 - take, share = (half - n) / BENCH_CHUNKS_MAX;
        if (room > share) room = share;
        uint32_t before = room > 0 && uniform(d) < 0.5 ? spread(d, 1, (uint32_t)room) : 0;
        p->chunks[p->n_chunks].n_tokens = take;
        p->chunks[p->n_chunks++].n_before = before;
        n -= take;
    }
}

static void draw_decodes(draws *d, bench_point *p, const microbench_config *c) {
    p->n_decode = uniform(d) < 0.3 ? 1 + below(d, c->max_seqs) : spread(d, 1, c->max_seqs);
    /* All contexts together must fit; one and a half times the mean is the longest. */
    uint64_t half = bench_design_half_pool(c), longest = (uint64_t)c->max_model_len * 2 / 3;
    if (p->n_decode > half / 16) p->n_decode = (uint32_t)(half / 16);
    if (longest > half / p->n_decode) longest = half / p->n_decode;
    p->mean_context = longest > 16 ? spread(d, 16, (uint32_t)longest) : 16;
}

static bench_point draw_iteration(draws *d, const microbench_config *c) {
    bench_point p = {0};
    double kind = uniform(d); /* 40 % prefill, 30 % decode, 30 % both */
    if (kind >= 0.4) draw_decodes(d, &p, c);
    if (kind < 0.4 || kind >= 0.7) {
        uint64_t half = bench_design_half_pool(c);
        uint32_t most = half < c->max_batched_tokens ? (uint32_t)half : c->max_batched_tokens;
        uint32_t left = most - least(p.n_decode, most - 2);
        draw_chunks(d, &p, c, draw_tokens(d, left));
    }
    return p;
}

uint32_t bench_design_copy_blocks(const microbench_config *c, bool beside_decodes) {
    return least(c->n_device_blocks, c->n_host_blocks) / (beside_decodes ? 2 : 1);
}

static void draw_copy(draws *d, bench_point *p, const microbench_config *c, bool beside) {
    uint32_t most = bench_design_copy_blocks(c, beside) / 8;
    p->direction = below(d, 2) ? LINK_TO_HOST : LINK_TO_DEVICE;
    p->n_blocks = spread(d, 1, most < 1 ? 1 : least(most, 1024));
    double pieces = uniform(d); /* one piece, a piece per block, or between */
    p->run_blocks = pieces < 0.4 ? p->n_blocks : pieces < 0.7 ? 1 : spread(d, 1, p->n_blocks);
    p->other_direction_busy = uniform(d) < 0.4;
}

uint32_t bench_design_n_points(const microbench_config *c) {
    return c->n_iterations + c->n_copies + c->n_copies_beside;
}

bench_point bench_design_point(const microbench_config *c, uint32_t i) {
    draws d = {c->seed, (uint64_t)i * DRAWS_PER_POINT};
    if (i < c->n_iterations) return draw_iteration(&d, c);
    bench_point p = {0};
    bool beside = i >= c->n_iterations + c->n_copies;
    draw_copy(&d, &p, c, beside);
    if (beside) draw_decodes(&d, &p, c);
    return p;
}
