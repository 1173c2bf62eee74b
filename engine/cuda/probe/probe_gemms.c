#include "probe_gemms.h"

#include <assert.h>

#include "model_spec.h"
#include "rng.h"

enum { STREAM_STEPS = 16 };

static void add_shape(gemm_shape *shapes, size_t *n_shapes, gemm_shape s) {
    for (size_t i = 0; i < *n_shapes; i++)
        if (shapes[i].n == s.n && shapes[i].k == s.k) return;
    assert(*n_shapes < GEMM_SHAPES_MAX);
    shapes[(*n_shapes)++] = s;
}

size_t gemm_shapes(gemm_shape *shapes) {
    static const char *const models[] = {"llama-2-7b", "llama-3-8b", "opt-13b"};
    size_t n = 0;
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        const model_spec *m = model_spec_find(models[i]);
        assert(m);
        uint32_t heads = m->n_heads * m->head_dim, kv = m->n_kv_heads * m->head_dim;
        uint32_t up = (m->gated_mlp ? 2 : 1) * m->ffn; /* gate and up in one product */
        add_shape(shapes, &n, (gemm_shape){m->name, "qkv", heads + 2 * kv, m->hidden});
        add_shape(shapes, &n, (gemm_shape){m->name, "o", m->hidden, heads});
        add_shape(shapes, &n, (gemm_shape){m->name, "up", up, m->hidden});
        add_shape(shapes, &n, (gemm_shape){m->name, "down", m->hidden, m->ffn});
        add_shape(shapes, &n, (gemm_shape){m->name, "head", m->vocab, m->hidden});
    }
    return n;
}

static size_t all_steps(uint32_t *steps) {
    size_t n = 0;
    for (uint32_t m = 1; m < 64; m *= 2) steps[n++] = m;
    for (uint32_t m = 64; m <= GEMM_TOKENS_MAX; m += 64) steps[n++] = m;
    return n;
}

/* Powers of four, then two to an octave. */
static size_t some_steps(uint32_t *steps) {
    size_t n = 0;
    for (uint32_t m = 1; m < 64; m *= 4) steps[n++] = m;
    for (uint32_t m = 64; m <= GEMM_TOKENS_MAX; m *= 2) {
        steps[n++] = m;
        if (m > 64 && m < GEMM_TOKENS_MAX) steps[n++] = m + m / 2;
    }
    return n;
}

size_t gemm_steps(uint32_t *steps, bool full, uint64_t seed) {
    size_t n = full ? all_steps(steps) : some_steps(steps);
    for (size_t i = n; i > 1; i--) { /* Fisher and Yates */
        size_t j = (size_t)(rng_uniform(seed, STREAM_STEPS, i) * (double)i);
        uint32_t step = steps[j];
        steps[j] = steps[i - 1];
        steps[i - 1] = step;
    }
    return n;
}

uint32_t gemm_n_copies(uint64_t weight_bytes, uint64_t l2_bytes) {
    uint64_t between = (2 * l2_bytes + weight_bytes - 1) / weight_bytes;
    return (uint32_t)(between < 1 ? 2 : between + 1);
}

uint32_t gemm_n_together(double seconds, uint32_t n_copies, double window_s) {
    double rounds = window_s / (seconds * n_copies);
    uint32_t rounds_max = n_copies < 1024 ? 1024 / n_copies : 1;
    uint32_t n =
        rounds >= rounds_max ? rounds_max : (uint32_t)rounds + (rounds > (uint32_t)rounds);
    return n_copies * (n ? n : 1);
}
