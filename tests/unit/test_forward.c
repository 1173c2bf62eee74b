/* test_forward.c - a token's logits and KV do not depend on how its sequence is cut into
 * chunks, where its blocks lie and how large they are, what else is in the batch, and how many
 * threads compute: to the bit when deterministic, else to rounding.
 *
 * That the values are right is test_golden_models.c. The arena starts as NaN: whatever is read
 * before it was written shows. */
#include "forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kv_layout.h"
#include "model_folder.h"
#include "rng.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { VOCAB = 256, LEN = 61, OTHER_LEN = 40, N_BLOCKS = 128, MAX_TOKENS = 160 };

typedef struct way {
    uint32_t block_tokens, n_threads, chunk;
    bool deterministic, shuffled, company;
} way;

/* What a sequence came to. */
typedef struct outcome {
    float logits[VOCAB]; /* after the last token */
    float *kv;           /* [n_kv] of all tokens, in an order free of blocks */
    size_t n_kv;
} outcome;

typedef struct run {
    const model *m;
    forward *f;
    way how;
    float *arena;
    uint32_t tokens[LEN], blocks[LEN], other_tokens[OTHER_LEN], other_blocks[OTHER_LEN];
} run;

static void start(run *r, const model *m, way how) {
    const model_config *c = model_config_of(m);
    *r = (run){.m = m, .how = how};
    forward_options o = {how.block_tokens, how.n_threads, MAX_TOKENS, how.deterministic};
    assert_int_equal(forward_create(&r->f, m, &o, NULL), ST_OK);
    size_t n = N_BLOCKS * forward_block_floats(c, how.block_tokens);
    r->arena = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);
    assert_non_null(r->arena);
    for (size_t i = 0; i < n; i++) r->arena[i] = NAN;
    for (uint32_t i = 0; i < LEN; i++) r->tokens[i] = (uint32_t)(rng_bits(1, 1, i) % VOCAB);
    for (uint32_t i = 0; i < OTHER_LEN; i++)
        r->other_tokens[i] = (uint32_t)(rng_bits(1, 2, i) % VOCAB);
    for (uint32_t i = 0; i < LEN; i++) r->blocks[i] = how.shuffled ? (i * 37 + 11) % 64 : i;
    for (uint32_t i = 0; i < OTHER_LEN; i++) r->other_blocks[i] = N_BLOCKS - 1 - i;
}

/* The next chunk of the sequence, in the company of another sequence's: a decode before it and,
 * at first, a prefill behind it. */
static void step(run *r, uint32_t first, uint32_t n, float *logits) {
    uint32_t n_other = first ? 1 : OTHER_LEN - 20, before = first ? OTHER_LEN - 20 : 0;
    token_chunk own = {r->tokens + first, n, first, r->blocks, true};
    token_chunk other = {r->other_tokens + before, n_other, before, r->other_blocks, true};
    float two[2 * VOCAB];
    if (!r->how.company) {
        forward_run(r->f, r->arena, &own, 1, logits);
        return;
    }
    token_chunk both[2] = {first ? other : own, first ? own : other};
    forward_run(r->f, r->arena, both, 2, two);
    memcpy(logits, two + (first ? VOCAB : 0), VOCAB * sizeof(*logits));
}

static void gather_kv(const run *r, outcome *out) {
    const model_config *c = model_config_of(r->m);
    kv_layout l = {r->how.block_tokens, c->n_layers, c->n_kv_heads, c->head_dim};
    size_t width = kv_layout_width(&l);
    out->n_kv = (size_t)LEN * c->n_layers * N_KV_PARTS * width;
    out->kv = malloc(out->n_kv * sizeof(*out->kv));
    float *to = out->kv;
    for (uint32_t t = 0; t < LEN; t++)
        for (uint32_t layer = 0; layer < c->n_layers; layer++)
            for (int part = 0; part < N_KV_PARTS; part++, to += width)
                memcpy(to,
                       kv_layout_rows(&l, r->arena, r->blocks[t / l.block_tokens], layer,
                                      (kv_part)part) +
                           t % l.block_tokens * width,
                       width * sizeof(*to));
}

static outcome compute(const model *m, way how) {
    run r;
    outcome out;
    start(&r, m, how);
    for (uint32_t first = 0; first < LEN; first += how.chunk)
        step(&r, first, LEN - first < how.chunk ? LEN - first : how.chunk, out.logits);
    gather_kv(&r, &out);
    forward_destroy(r.f);
    free(r.arena);
    return out;
}

static double distance(const float *a, const float *b, size_t n) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(difference / size);
}

static void expect_same(const outcome *a, const outcome *b) {
    assert_memory_equal(a->logits, b->logits, sizeof(a->logits));
    assert_int_equal(a->n_kv, b->n_kv);
    assert_memory_equal(a->kv, b->kv, a->n_kv * sizeof(*a->kv));
}

/* 1e-5: some hundred roundings of 6e-8 along four products, as a random walk. NaN is no less.
 */
static void expect_near(const outcome *a, const outcome *b) {
    assert_true(distance(a->logits, b->logits, VOCAB) < 1e-5);
    assert_true(distance(a->kv, b->kv, a->n_kv) < 1e-5);
}

static const way ways[] = {
    /* block, threads, chunk */
    {16, 1, LEN, false, false, false}, {16, 2, LEN, false, false, false},
    {16, 3, 7, false, false, false},   {1, 1, 1, false, true, false},
    {5, 2, 13, false, true, true},     {4, 4, 1, false, true, true},
    {16, 2, 30, false, true, true},    {64, 1, 16, false, false, true},
};

static void check_model(const model *m) {
    way plain = ways[0];
    outcome near = compute(m, plain);
    plain.deterministic = true;
    outcome same = compute(m, plain);
    for (size_t i = 0; i < VOCAB; i++) assert_true(isfinite(same.logits[i]));
    expect_near(&near, &same);
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        way how = ways[i];
        outcome out = compute(m, how);
        expect_near(&out, &same);
        free(out.kv);
        how.deterministic = true;
        out = compute(m, how);
        expect_same(&out, &same);
        free(out.kv);
    }
    free(near.kv), free(same.kv);
}

static void check_arch(model_arch arch, tensor_dtype dtype) {
    model_folder folder = model_folder_make();
    model_init_options o = model_init_defaults(arch);
    o.dtype = dtype;
    o.vocab = VOCAB;
    if (arch != ARCH_OPT) o.n_kv_heads = 2;
    model_folder_init(&folder, arch, &o);
    model *m = model_folder_open(&folder);
    check_model(m);
    model_close(m);
    model_folder_remove(&folder);
}

static void llama_depends_on_its_sequence_alone(void **state) {
    (void)state;
    check_arch(ARCH_LLAMA, TENSOR_F32);
}

static void qwen2_in_bf16_depends_on_its_sequence_alone(void **state) {
    (void)state;
    check_arch(ARCH_QWEN2, TENSOR_BF16);
}

static void qwen3_in_f16_depends_on_its_sequence_alone(void **state) {
    (void)state;
    check_arch(ARCH_QWEN3, TENSOR_F16);
}

static void opt_depends_on_its_sequence_alone(void **state) {
    (void)state;
    check_arch(ARCH_OPT, TENSOR_F32);
}

/* One model with and one without each: what the sequence before a token says must matter. */
static void a_token_depends_on_all_before_it(void **state) {
    (void)state;
    model_folder folder = model_folder_make();
    model_folder_init(&folder, ARCH_LLAMA, NULL);
    model *m = model_folder_open(&folder);
    outcome first = compute(m, ways[0]);
    for (uint32_t changed = 0; changed < LEN; changed += 20) {
        run r;
        float logits[VOCAB];
        start(&r, m, ways[0]);
        r.tokens[changed] ^= 1;
        step(&r, 0, LEN, logits);
        assert_true(distance(logits, first.logits, VOCAB) > 1e-4);
        forward_destroy(r.f);
        free(r.arena);
    }
    free(first.kv);
    model_close(m);
    model_folder_remove(&folder);
}

static void only_the_blocks_of_the_batch_are_written(void **state) {
    (void)state;
    model_folder folder = model_folder_make();
    model_folder_init(&folder, ARCH_LLAMA, NULL);
    model *m = model_folder_open(&folder);
    run r;
    float logits[VOCAB];
    start(&r, m, (way){8, 2, LEN, false, true, false});
    step(&r, 0, LEN, logits);
    size_t n = forward_block_floats(model_config_of(m), 8);
    for (uint32_t block = 0; block < N_BLOCKS; block++) {
        bool own = false;
        for (uint32_t i = 0; i < (LEN + 7) / 8; i++) own = own || r.blocks[i] == block;
        for (size_t i = 0; !own && i < n; i++) assert_true(isnan(r.arena[block * n + i]));
    }
    forward_destroy(r.f);
    free(r.arena);
    model_close(m);
    model_folder_remove(&folder);
}

static void chunks_without_samples_have_no_logits(void **state) {
    (void)state;
    model_folder folder = model_folder_make();
    model_folder_init(&folder, ARCH_LLAMA, NULL);
    model *m = model_folder_open(&folder);
    outcome alone = compute(m, (way){16, 1, LEN, true, false, false});
    run r;
    start(&r, m, (way){16, 1, LEN, true, false, true});
    token_chunk both[2] = {{r.other_tokens, OTHER_LEN, 0, r.other_blocks, false},
                           {r.tokens, LEN, 0, r.blocks, true}};
    float logits[2 * VOCAB];
    logits[VOCAB] = 77;
    forward_run(r.f, r.arena, both, 2, logits);
    assert_memory_equal(logits, alone.logits, sizeof(alone.logits));
    assert_true(logits[VOCAB] == 77);
    both[1].samples = false;
    forward_run(r.f, r.arena, both, 2, NULL);
    forward_destroy(r.f);
    free(r.arena), free(alone.kv);
    model_close(m);
    model_folder_remove(&folder);
}

static void options_of_zero_are_refused(void **state) {
    (void)state;
    model_folder folder = model_folder_make();
    model_folder_init(&folder, ARCH_LLAMA, NULL);
    model *m = model_folder_open(&folder);
    const forward_options bad[] = {{0, 1, 1, false}, {1, 0, 1, false}, {1, 1, 0, false}};
    for (size_t i = 0; i < 3; i++) {
        forward *f = NULL;
        errbuf err = {0};
        assert_int_equal(forward_create(&f, m, &bad[i], &err), ST_INVALID);
        assert_true(err.text[0] && !f);
    }
    model_close(m);
    model_folder_remove(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama_depends_on_its_sequence_alone),
        cmocka_unit_test(qwen2_in_bf16_depends_on_its_sequence_alone),
        cmocka_unit_test(qwen3_in_f16_depends_on_its_sequence_alone),
        cmocka_unit_test(opt_depends_on_its_sequence_alone),
        cmocka_unit_test(a_token_depends_on_all_before_it),
        cmocka_unit_test(only_the_blocks_of_the_batch_are_written),
        cmocka_unit_test(chunks_without_samples_have_no_logits),
        cmocka_unit_test(options_of_zero_are_refused),
    };
    return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
