#include "microbench.h"

#include <math.h>
#include <stdlib.h>

#include "bench_design.h"
#include "kv_pool.h"
#include "rng.h"

enum { STREAM_ORDER = 22 };

/* No sequence of a benchmark ever ends. */
static const uint32_t ENDLESS = 1u << 30;

/* Builds plans without a scheduler. */
typedef struct bench {
    executor *e;
    microbench_config config;
    sequence_table table;
    cohort cohort;
    kv_pool *all, *upper; /* blocks of the device: all, and those that copies leave alone */
    uint32_t first_upper;
    bool beside_copies; /* sequences take their blocks from the upper ones */
    plan plan;
    plan decodes; /* those of `plan` alone */
    uint64_t n_copies, n_placed;
} bench;

microbench_config microbench_config_defaults(void) {
    return (microbench_config){.max_batched_tokens = 8192,
                               .max_seqs = 256,
                               .max_model_len = 8192,
                               .block_tokens = 16,
                               .n_iterations = 900,
                               .n_copies = 240,
                               .n_warmups = 1,
                               .n_repeats_min = 3,
                               .n_repeats_max = 20,
                               .precision = 0.01};
}

static status check_config(const microbench_config *c, errbuf *err) {
    if (c->max_batched_tokens < 2 || c->max_model_len < 32 || c->max_seqs == 0)
        return fail(err, ST_INVALID,
                    "a profile needs at least 2 tokens per iteration, 32 per request and 1 "
                    "sequence, not %u, %u and %u",
                    c->max_batched_tokens, c->max_model_len, c->max_seqs);
    if (bench_design_half_pool(c) < 256)
        return fail(err, ST_INVALID,
                    "a KV pool of %u blocks is too small to profile batches of %u sequences: "
                    "give more with --kv-gib, or lower --max-seqs",
                    c->n_device_blocks, c->max_seqs);
    if ((c->n_copies > 0 && c->n_host_blocks < 8) ||
        (c->n_copies_beside > 0 && bench_design_copy_blocks(c, true) < 8))
        return fail(err, ST_INVALID,
                    "a host pool of %u blocks is too small to profile copies: give 16 or more "
                    "with --host-blocks",
                    c->n_host_blocks);
    if (c->n_repeats_min < 2 || c->n_repeats_max < c->n_repeats_min)
        return fail(err, ST_INVALID, "repeats from %u to %u", c->n_repeats_min,
                    c->n_repeats_max);
    return ST_OK;
}

static status bench_init(bench *b, executor *e, const microbench_config *c) {
    *b = (bench){.e = e, .config = *c};
    sequence_table_init(&b->table);
    TRY(cohort_init(&b->cohort, c->block_tokens));
    b->first_upper = bench_design_copy_blocks(c, true);
    TRY(kv_pool_create(&b->all, c->n_device_blocks, c->block_tokens));
    TRY(kv_pool_create(&b->upper, c->n_device_blocks - b->first_upper, c->block_tokens));
    plan_clear(&b->plan);
    plan_clear(&b->decodes);
    b->plan.seqs = b->decodes.seqs = &b->table;
    b->plan.decodes = b->decodes.decodes = &b->cohort;
    return ST_OK;
}

static void bench_finish(bench *b) {
    plan_finish(&b->plan);
    plan_finish(&b->decodes);
    cohort_finish(&b->cohort);
    kv_pool_destroy(b->all);
    kv_pool_destroy(b->upper);
    sequence_table_finish(&b->table);
}

static kv_pool *pool_of(const bench *b) {
    return b->beside_copies ? b->upper : b->all;
}

static uint32_t first_block(const bench *b) {
    return b->beside_copies ? b->first_upper : 0;
}

/* A running sequence with n_computed tokens cached and room for n_tokens. */
static status add_sequence(bench *b, uint32_t *id, uint32_t n_prompt, uint32_t n_computed,
                           uint32_t n_tokens) {
    request req = {.n_prompt = n_prompt, .n_output_max = ENDLESS};
    TRY(sequence_add(&b->table, id, &req, false));
    sequence *q = &b->table.seqs[*id];
    q->state = SEQ_RUNNING;
    q->n_output_max = ENDLESS;
    q->n_computed = n_computed;
    for (uint32_t i = kv_pool_blocks_for(pool_of(b), n_tokens); i > 0; i--) {
        uint32_t block = kv_pool_take(pool_of(b));
        if (block == KV_NO_BLOCK) return ST_NO_BLOCKS;
        TRY(sequence_push_slot(q, (kv_slot){first_block(b) + block, KV_NO_BLOCK}));
    }
    return b->e->admit(b->e->context, &b->table, *id, ENDLESS);
}

static status add_decodes(bench *b, const bench_point *p) {
    for (uint32_t i = 0; i < p->n_decode; i++) {
        /* From half to one and a half of the mean. */
        uint32_t context = p->mean_context / 2 + (uint32_t)((uint64_t)p->mean_context *
                                                            (2 * i + 1) / (2 * p->n_decode));
        uint32_t id;
        if (context < 2) context = 2;
        TRY(add_sequence(b, &id, context - 1, context - 1, context));
        b->table.seqs[id].n_output = 1;
        b->table.seqs[id].decoding = true;
        TRY(cohort_join(&b->cohort, &b->table, id));
    }
    return ST_OK;
}

static void plan_decodes(plan *out, const bench_point *p) {
    out->runs_cohort = p->n_decode > 0;
    out->n_tokens += p->n_decode;
}

static status build_iteration(bench *b, const bench_point *p) {
    for (uint32_t i = 0; i < p->n_chunks; i++) {
        uint32_t before = p->chunks[i].n_before, n = p->chunks[i].n_tokens, id;
        TRY(add_sequence(b, &id, before + n, before, before + n));
        plan_chunk chunk = {.seq = id, .n_before = before, .n_tokens = n, .samples = true};
        TRY(plan_add_chunk(&b->plan, chunk));
        b->plan.n_tokens += n;
    }
    plan_decodes(&b->plan, p);
    return add_decodes(b, p);
}

static void clear(bench *b) {
    for (uint32_t id = 0; id < b->table.n_touched; id++) {
        sequence *q = &b->table.seqs[id];
        if (q->state == SEQ_UNUSED) continue;
        if (q->in_cohort) cohort_leave(&b->cohort, &b->table, id);
        while (q->n_slots > 0)
            kv_pool_release(pool_of(b), q->slots[--q->n_slots].device - first_block(b));
        sequence_remove(&b->table, id);
    }
    plan_clear(&b->plan);
    plan_clear(&b->decodes);
}

/* Runs the plan once, start to end. */
static status time_iteration(bench *b, double *seconds, errbuf *err) {
    completion c;
    TRY(b->e->submit(b->e->context, &b->plan, err));
    do TRY(b->e->next(b->e->context, INT64_MAX, &c, err));
    while (c.kind != COMPLETION_COMPUTE);
    *seconds = (double)(c.end_ns[0] - c.start_ns) * 1e-9;
    return ST_OK;
}

/* A copy of p->n_blocks in pieces of run_blocks: every other run of blocks is left out. */
static status add_copy(bench *b, uint64_t id, const bench_point *p, link_direction direction,
                       uint32_t n_blocks, uint32_t first) {
    plan_copy copy = {.id = id,
                      .seq = NO_SEQ,
                      .direction = direction,
                      .first_pair = b->plan.n_pairs,
                      .n_pairs = n_blocks};
    for (uint32_t i = 0; i < n_blocks; i++) {
        uint32_t block = first + i + i / p->run_blocks;
        TRY(plan_add_pair(&b->plan, (block_pair){block, block}));
    }
    return plan_add_copy(&b->plan, copy);
}

/* Where the next copy of a point begins: each time elsewhere in the first half of the blocks,
 * as what was copied a moment ago would still lie in a processor's cache. */
static uint32_t next_place(bench *b, const bench_point *p) {
    uint32_t half = bench_design_copy_blocks(&b->config, b->beside_copies) / 2;
    uint32_t span = p->n_blocks + (p->n_blocks + p->run_blocks - 1) / p->run_blocks;
    return half < 2 * span ? 0 : (uint32_t)(b->n_placed++ % (half / span)) * span;
}

/* The copy of a point, last; before it, if the other direction shall be busy, one that has more
 * to do, in the other half of the blocks: there is room, as a point has at most an eighth of
 * them. */
static status plan_copies(bench *b, const bench_point *p) {
    uint64_t id = b->n_copies++;
    plan_clear(&b->plan);
    if (p->other_direction_busy)
        TRY(add_copy(
            b, b->n_copies++, p, p->direction == LINK_TO_HOST ? LINK_TO_DEVICE : LINK_TO_HOST,
            2 * p->n_blocks, bench_design_copy_blocks(&b->config, b->beside_copies) / 2));
    return add_copy(b, id, p, p->direction, p->n_blocks, next_place(b, p));
}

static const plan_copy *measured_copy(const bench *b) {
    return &b->plan.copies[b->plan.n_copies - 1];
}

/* Copies once; decodes, if there are any, run until all is copied. */
static status time_copy(bench *b, const bench_point *p, double *seconds, errbuf *err) {
    bool computes = p->n_decode > 0;
    TRY(plan_copies(b, p));
    plan_decodes(&b->plan, p);
    uint64_t measured = measured_copy(b)->id;
    TRY(b->e->submit(b->e->context, &b->plan, err));
    for (uint32_t n_under_way = b->plan.n_copies; n_under_way > 0 || computes;) {
        completion c;
        TRY(b->e->next(b->e->context, INT64_MAX, &c, err));
        if (c.kind == COMPLETION_COPY) {
            n_under_way--;
            if (c.copy_id == measured) *seconds = c.copy_s;
        } else {
            computes = n_under_way > 0;
            if (computes) TRY(b->e->submit(b->e->context, &b->decodes, err));
        }
    }
    return ST_OK;
}

/* Mean and spread of the times so far. */
typedef struct tally {
    uint32_t n;
    double mean, m2; /* Welford, Technometrics 1962 */
} tally;

static void tally_add(tally *t, double x) {
    double d = x - t->mean;
    t->mean += d / ++t->n;
    t->m2 += d * (x - t->mean);
}

static double tally_deviation(const tally *t) {
    return t->n > 1 ? sqrt(t->m2 / (t->n - 1)) : 0;
}

/* Is the mean known to within the precision? 2 standard errors for 95 %. */
static bool is_known(const bench *b, const tally *t) {
    if (t->n < b->config.n_repeats_min) return false;
    return t->n >= b->config.n_repeats_max ||
           2 * tally_deviation(t) / sqrt(t->n) <= b->config.precision * t->mean;
}

static status measure(bench *b, const bench_point *p, sample *out, errbuf *err) {
    bool is_copy = p->n_blocks > 0;
    b->beside_copies = is_copy && p->n_decode > 0;
    *out = (sample){.op = !is_copy                       ? OP_ITERATION
                          : p->direction == LINK_TO_HOST ? OP_SWAP_OUT
                                                         : OP_SWAP_IN,
                    .tp = 1};
    TRY(is_copy ? add_decodes(b, p) : build_iteration(b, p));
    if (is_copy)
        plan_decodes(&b->decodes, p);
    else
        out->batch = plan_shape(&b->plan);
    tally t = {0};
    for (uint32_t i = 0; !is_known(b, &t); i++) {
        double s = 0;
        TRY(is_copy ? time_copy(b, p, &s, err) : time_iteration(b, &s, err));
        if (i >= b->config.n_warmups) tally_add(&t, s);
    }
    if (is_copy) {
        out->n_blocks = p->n_blocks;
        out->n_segments = plan_copy_segments(&b->plan, measured_copy(b), b->config.n_layers);
        out->bytes = b->config.block_bytes * p->n_blocks;
        out->other_direction_busy = p->other_direction_busy;
        out->compute_busy = b->beside_copies;
    }
    out->seconds = t.mean;
    out->deviation_s = tally_deviation(&t);
    out->n_repeats = t.n;
    clear(b);
    return ST_OK;
}

/* A random order of 0 .. n - 1 (Fisher and Yates). */
static uint32_t *random_order(uint64_t seed, uint32_t n) {
    uint32_t *order = malloc((n ? n : 1) * sizeof(*order));
    if (!order) return NULL;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = (uint32_t)(rng_uniform(seed, STREAM_ORDER, i) * (i + 1));
        if (j < i) order[i] = order[j];
        order[j] = i;
    }
    return order;
}

static status run_all(bench *b, microbench_sink sink, void *context, errbuf *err) {
    uint32_t n = bench_design_n_points(&b->config);
    uint32_t *order = random_order(b->config.seed, n);
    status st = order ? ST_OK : ST_NO_MEMORY;
    for (uint32_t i = 0; i < n && st == ST_OK; i++) {
        bench_point p = bench_design_point(&b->config, order[i]);
        sample s;
        st = measure(b, &p, &s, err);
        if (st == ST_OK) st = sink(context, &s, i + 1, n, err);
    }
    free(order);
    return st;
}

status microbench_run(executor *e, const microbench_config *config, microbench_sink sink,
                      void *context, errbuf *err) {
    TRY(check_config(config, err));
    bench b;
    status st = bench_init(&b, e, config);
    if (st == ST_OK) st = run_all(&b, sink, context, err);
    bench_finish(&b);
    if (st == ST_NO_MEMORY) return fail(err, st, "out of memory while profiling");
    return st;
}
