/* test_golden_models.c - the CPU engine computes what Hugging Face transformers computes, with
 * the models of tests/golden/: logits at each position, greedy continuations, in chunks of any
 * size, over shuffled blocks, in batches, with and without determinism.
 *
 * The arena starts as NaN, and so do the logits: whatever is read before it was written shows.
 * Tolerance: relative L2 of each row. The references are within 2e-6 of float64 arithmetic
 * (make_models.py sees to that); another order of summation costs as much again. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forward.h"
#include "golden_model.h"
#include "rng.h"
#include "sampling.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DISTANCE_MAX 1e-5

enum {
    BATCH_MAX = GOLDEN_TOKENS_MAX,
    BATCH_TOKENS_MAX = BATCH_MAX * (BATCH_MAX + 1) / 2,
    ARENA_TOKENS = 8192, /* BATCH_MAX sequences of as many tokens, and a block more each */
};

static const char *const names[] = {
    "llama", "mistral", "qwen2", "qwen3", "opt", "llama_biased", "opt_post_norm",
};
enum { N_MODELS = sizeof(names) / sizeof(names[0]) };

/* How a model is run; none of it may show in the results. */
typedef struct setting {
    uint32_t block_tokens, n_threads, chunk_tokens;
    bool deterministic, shuffled;
} setting;

static const setting settings[] = {
    {16, 1, GOLDEN_TOKENS_MAX, true, false},
    {16, 1, GOLDEN_TOKENS_MAX, false, false},
    {16, 2, 1, true, true},
    {8, 2, 5, true, true},
    {5, 1, 7, false, true},
    {1, 2, 16, false, true},
    {64, 2, 33, true, true},
};
enum { N_SETTINGS = sizeof(settings) / sizeof(settings[0]) };

/* ------------------------------------------------------------ a model that runs */

typedef struct rig {
    golden_model golden;
    model *m;
    forward *f;
    float *arena;
    uint32_t *blocks; /* [n_blocks] a permutation */
    uint32_t n_blocks, block_tokens;
    float *logits; /* [BATCH_MAX, vocab] */
} rig;

static const char *golden_root(void) {
    const char *root = getenv("ADAPTIVELLM_GOLDEN");
    if (!root) fail_msg("ADAPTIVELLM_GOLDEN must name the folder tests/golden");
    return root;
}

static void expect_ok(status st, const errbuf *err) {
    if (st != ST_OK) fail_msg("%s: %s", status_text(st), err->text);
}

static float *make_nans(size_t n) {
    const size_t line = 64 / sizeof(float);
    float *out = aligned_alloc(64, (n + line - 1) / line * 64);
    assert_non_null(out);
    for (size_t i = 0; i < n; i++) out[i] = NAN;
    return out;
}

/* Fisher-Yates; the identity without shuffling. */
static uint32_t *make_permutation(uint32_t n, bool shuffled) {
    uint32_t *ids = malloc(n * sizeof(*ids));
    assert_non_null(ids);
    for (uint32_t i = 0; i < n; i++) ids[i] = i;
    for (uint32_t i = n - 1; shuffled && i > 0; i--) {
        uint32_t j = (uint32_t)(rng_bits(7, 0, i) % (i + 1)), kept = ids[i];
        ids[i] = ids[j];
        ids[j] = kept;
    }
    return ids;
}

static rig start(const char *name, const setting *s) {
    errbuf err = {0};
    rig r = {.block_tokens = s->block_tokens};
    expect_ok(golden_model_read(&r.golden, golden_root(), name, &err), &err);
    expect_ok(model_open(&r.m, r.golden.dir, true, &err), &err);
    const forward_options o = {.block_tokens = s->block_tokens,
                               .n_threads = s->n_threads,
                               .max_tokens = BATCH_TOKENS_MAX,
                               .deterministic = s->deterministic};
    expect_ok(forward_create(&r.f, r.m, &o, &err), &err);
    r.n_blocks = ARENA_TOKENS / s->block_tokens;
    r.blocks = make_permutation(r.n_blocks, s->shuffled);
    const model_config *c = model_config_of(r.m);
    assert_int_equal(c->vocab, r.golden.vocab);
    r.arena = make_nans(r.n_blocks * forward_block_floats(c, s->block_tokens));
    r.logits = make_nans((size_t)BATCH_MAX * c->vocab);
    return r;
}

static void stop(rig *r) {
    forward_destroy(r->f);
    model_close(r->m);
    golden_model_finish(&r->golden);
    free(r->arena);
    free(r->blocks);
    free(r->logits);
}

/* Blocks of the i-th sequence of a batch. */
static const uint32_t *table_of(const rig *r, uint32_t i, uint32_t n_tokens_max) {
    const size_t n = n_tokens_max / r->block_tokens + 1;
    assert_true((i + 1) * n <= r->n_blocks);
    return r->blocks + i * n;
}

/* ------------------------------------------------------------ logits */

static void expect_row(const rig *r, const float *logits, uint32_t i, uint32_t position) {
    double distance =
        relative_l2(logits, golden_model_row(&r->golden, i, position), r->golden.vocab);
    if (!(distance < DISTANCE_MAX))
        fail_msg("%s: sequence %u, position %u: relative distance %.2g", r->golden.dir,
                 (unsigned)i, (unsigned)position, distance);
}

/* Computes one sequence chunk by chunk, with logits at the end of each. */
static void expect_sequence(rig *r, uint32_t i, uint32_t chunk_tokens) {
    const golden_tokens *sequence = &r->golden.sequences[i];
    for (uint32_t at = 0; at < sequence->n;) {
        uint32_t left = sequence->n - at, n = left < chunk_tokens ? left : chunk_tokens;
        const token_chunk chunk = {.tokens = sequence->ids + at,
                                   .n_tokens = n,
                                   .n_before = at,
                                   .blocks = table_of(r, i, sequence->n),
                                   .samples = true};
        forward_run(r->f, r->arena, &chunk, 1, r->logits);
        at += n;
        expect_row(r, r->logits, i, at - 1);
    }
}

static void logits_are_those_of_transformers_in_chunks_of_any_size(void **state) {
    (void)state;
    for (uint32_t m = 0; m < N_MODELS; m++)
        for (uint32_t s = 0; s < N_SETTINGS; s++) {
            rig r = start(names[m], &settings[s]);
            for (uint32_t i = 0; i < r.golden.n_sequences; i++)
                expect_sequence(&r, i, settings[s].chunk_tokens);
            stop(&r);
        }
}

/* All prefixes of the longest sequence in one pass; every third one samples nothing. */
static void expect_prefixes(rig *r) {
    const uint32_t last = r->golden.n_sequences - 1;
    const golden_tokens *sequence = &r->golden.sequences[last];
    token_chunk chunks[BATCH_MAX];
    for (uint32_t i = 0; i < sequence->n; i++)
        chunks[i] = (token_chunk){.tokens = sequence->ids,
                                  .n_tokens = i + 1,
                                  .blocks = table_of(r, i, sequence->n),
                                  .samples = i % 3 != 0};
    forward_run(r->f, r->arena, chunks, sequence->n, r->logits);
    for (uint32_t i = 0, row = 0; i < sequence->n; i++)
        if (chunks[i].samples)
            expect_row(r, r->logits + (size_t)row++ * r->golden.vocab, last, i);
}

static void logits_are_those_of_transformers_in_a_batch_of_unequal_prompts(void **state) {
    (void)state;
    for (uint32_t m = 0; m < N_MODELS; m++)
        for (uint32_t s = 0; s < N_SETTINGS; s++) {
            rig r = start(names[m], &settings[s]);
            expect_prefixes(&r);
            stop(&r);
        }
}

/* ------------------------------------------------------------ greedy decoding */

/* A sequence that grows: what was computed, and what is known so far. */
typedef struct growing {
    uint32_t ids[2 * GOLDEN_TOKENS_MAX];
    uint32_t n, n_computed;
} growing;

static token_chunk next_chunk(const rig *r, const growing *g, uint32_t i,
                              uint32_t chunk_tokens) {
    uint32_t left = g->n - g->n_computed, n = left < chunk_tokens ? left : chunk_tokens;
    return (token_chunk){.tokens = g->ids + g->n_computed,
                         .n_tokens = n,
                         .n_before = g->n_computed,
                         .blocks = table_of(r, i, 2 * GOLDEN_TOKENS_MAX),
                         .samples = n == left};
}

/* One pass of all that have tokens to give, prompts in chunks beside decodes. */
static bool step(rig *r, sampler *pick, growing *all, uint32_t chunk_tokens) {
    const sampling_options greedy = sampling_options_defaults();
    token_chunk chunks[GOLDEN_LISTS_MAX];
    uint32_t of[GOLDEN_LISTS_MAX], n = 0;
    for (uint32_t i = 0; i < r->golden.n_continuations; i++) {
        uint32_t end = r->golden.prompts[i].n + r->golden.continuations[i].n;
        if (all[i].n == end) continue;
        of[n] = i;
        chunks[n++] = next_chunk(r, &all[i], i, chunk_tokens);
    }
    if (n == 0) return false;
    forward_run(r->f, r->arena, chunks, n, r->logits);
    for (uint32_t c = 0, row = 0; c < n; c++) {
        growing *g = &all[of[c]];
        g->n_computed += chunks[c].n_tokens;
        if (!chunks[c].samples) continue;
        const float *logits = r->logits + (size_t)row++ * r->golden.vocab;
        uint32_t index = g->n - r->golden.prompts[of[c]].n;
        g->ids[g->n++] = sampler_pick(pick, logits, &greedy, of[c], index);
    }
    return true;
}

static void expect_continuations(rig *r, uint32_t chunk_tokens) {
    sampler *pick;
    assert_int_equal(sampler_create(&pick, r->golden.vocab), ST_OK);
    growing all[GOLDEN_LISTS_MAX] = {0};
    for (uint32_t i = 0; i < r->golden.n_continuations; i++) {
        const golden_tokens *prompt = &r->golden.prompts[i];
        memcpy(all[i].ids, prompt->ids, prompt->n * sizeof(prompt->ids[0]));
        all[i].n = prompt->n;
    }
    while (step(r, pick, all, chunk_tokens)) {
    }
    for (uint32_t i = 0; i < r->golden.n_continuations; i++) {
        const golden_tokens *golden = &r->golden.continuations[i];
        const uint32_t *output = all[i].ids + r->golden.prompts[i].n;
        assert_memory_equal(output, golden->ids, golden->n * sizeof(output[0]));
    }
    sampler_destroy(pick);
}

static void greedy_continuations_are_those_of_transformers(void **state) {
    (void)state;
    for (uint32_t m = 0; m < N_MODELS; m++)
        for (uint32_t s = 0; s < N_SETTINGS; s++) {
            rig r = start(names[m], &settings[s]);
            assert_true(r.golden.n_continuations > 1);
            expect_continuations(&r, settings[s].chunk_tokens);
            stop(&r);
        }
}

/* ------------------------------------------------------------ spellings of config.json */

static model_config read_config(const char *dir, const char *file) {
    char path[600], text[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    errbuf err = {0};
    model_config c;
    expect_ok(model_config_parse(&c, text, n, path, &err), &err);
    return c;
}

static void expect_same_model(const model_config *a, const model_config *b) {
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->arch, b->arch);
    assert_int_equal(a->max_model_len, b->max_model_len);
    assert_true(a->rope_theta == b->rope_theta);
    assert_int_equal(a->rope.kind, b->rope.kind);
    assert_true(a->rope.factor == b->rope.factor);
    assert_true(a->rope.low_freq_factor == b->rope.low_freq_factor);
    assert_true(a->rope.high_freq_factor == b->rope.high_freq_factor);
    assert_int_equal(a->rope.original_max_positions, b->rope.original_max_positions);
}

static void the_old_spelling_of_config_json_is_the_same_model(void **state) {
    (void)state;
    const char *const both[] = {"llama", "mistral"};
    const rope_scaling_kind kinds[] = {ROPE_LLAMA3, ROPE_LINEAR};
    for (uint32_t m = 0; m < 2; m++) {
        errbuf err = {0};
        golden_model golden;
        expect_ok(golden_model_read(&golden, golden_root(), both[m], &err), &err);
        model_config newer = read_config(golden.dir, "config.json");
        model_config older = read_config(golden.dir, "config_old.json");
        assert_int_equal(newer.rope.kind, kinds[m]);
        expect_same_model(&older, &newer);
        golden_model_finish(&golden);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_transformers_in_chunks_of_any_size),
        cmocka_unit_test(logits_are_those_of_transformers_in_a_batch_of_unequal_prompts),
        cmocka_unit_test(greedy_continuations_are_those_of_transformers),
        cmocka_unit_test(the_old_spelling_of_config_json_is_the_same_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
