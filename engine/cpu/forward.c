/* forward.c - a pass is made: memory for its largest batch, threads, small weights. See
 * forward.h; what it computes is in forward_pass.c. */
#include <stdlib.h>

#include "forward_state.h"
#include "rope.h"

enum { ALIGNMENT = 64 }; /* bytes of a cache line, and of the widest vector */

static kv_layout layout_of(const model_config *c, uint32_t block_tokens) {
    return (kv_layout){.block_tokens = block_tokens,
                       .n_layers = c->n_layers,
                       .n_kv_heads = c->n_kv_heads,
                       .head_dim = c->head_dim};
}

size_t forward_block_floats(const model_config *c, uint32_t block_tokens) {
    kv_layout l = layout_of(c, block_tokens);
    return kv_layout_block_floats(&l);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Of one thread: attention and the widening of weights take turns. */
static size_t scratch_floats(const forward *f) {
    const model_weights *w = f->weights;
    size_t most =
        larger(attention_scratch_floats(&f->attention), gemm_scratch_floats(&w->head));
    for (uint32_t i = 0; i < f->config->n_layers; i++) {
        const layer_weights *l = &w->layers[i];
        const tensor_view *all[] = {&l->q.weight,   &l->k.weight,    &l->v.weight,
                                    &l->o.weight,   &l->gate.weight, &l->up.weight,
                                    &l->down.weight};
        for (size_t j = 0; j < sizeof(all) / sizeof(*all); j++)
            if (all[j]->data) most = larger(most, gemm_scratch_floats(all[j]));
    }
    return most;
}

/* Cuts n * width floats, in whole cache lines; counts only while there is no memory. */
static float *cut(const forward *f, size_t *used, size_t n, size_t width) {
    const size_t line = ALIGNMENT / sizeof(float);
    float *part = f->memory ? f->memory + *used : NULL;
    *used += (n * width + line - 1) / line * line;
    return part;
}

static size_t cut_all(forward *f) {
    const model_config *c = f->config;
    size_t n = f->options.max_tokens, used = 0;
    size_t q_width = (size_t)c->n_heads * c->head_dim;
    f->x = cut(f, &used, n, c->hidden);
    f->h = cut(f, &used, n, c->hidden);
    f->q = cut(f, &used, n, q_width);
    f->mixed = cut(f, &used, n, q_width);
    f->k = cut(f, &used, n, kv_layout_width(&f->layout));
    f->v = cut(f, &used, n, kv_layout_width(&f->layout));
    f->up = cut(f, &used, n, c->n_ffn);
    f->gate = cut(f, &used, c->gated_mlp ? n : 0, c->n_ffn);
    size_t n_turned = c->learned_positions ? 0 : n;
    f->cosines = cut(f, &used, n_turned, c->head_dim / 2);
    f->sines = cut(f, &used, n_turned, c->head_dim / 2);
    f->frequencies = cut(f, &used, 1, c->head_dim / 2);
    const size_t line = ALIGNMENT / sizeof(float);
    f->scratch_floats = (scratch_floats(f) + line - 1) / line * line;
    f->scratch = cut(f, &used, f->options.n_threads, f->scratch_floats);
    return used;
}

static status allocate(forward *f, errbuf *err) {
    size_t bytes = cut_all(f) * sizeof(float), n = f->options.max_tokens;
    f->memory = aligned_alloc(ALIGNMENT, bytes);
    f->tokens = calloc(n, sizeof(*f->tokens));
    f->first_tiles = calloc(n + 1, sizeof(*f->first_tiles));
    if (!f->memory || !f->tokens || !f->first_tiles)
        return fail(err, ST_NO_MEMORY, "no memory for batches of %u tokens (%zu bytes)",
                    f->options.max_tokens, bytes);
    cut_all(f);
    return ST_OK;
}

static status check_options(const forward_options *o, const model_config *c, errbuf *err) {
    if (o->block_tokens == 0) return fail(err, ST_INVALID, "block_tokens is 0");
    if (o->n_threads == 0) return fail(err, ST_INVALID, "n_threads is 0");
    if (o->max_tokens == 0) return fail(err, ST_INVALID, "max_tokens is 0");
    if (!c->learned_positions && c->head_dim % 2)
        return fail(err, ST_INVALID, "head_dim %u is odd, rotary positions need pairs",
                    c->head_dim);
    return ST_OK;
}

static status init(forward *f, const model *m, errbuf *err) {
    const model_config *c = f->config;
    gemm_init(&f->gemm, f->options.deterministic);
    f->layout = layout_of(c, f->options.block_tokens);
    attention_init(&f->attention, f->gemm.kernels, &f->layout, c->n_heads, c->max_model_len);
    TRY(allocate(f, err));
    if (!c->learned_positions) rope_frequencies(f->frequencies, c);
    TRY(model_vectors_init(&f->vectors, m));
    return workers_create(&f->workers, f->options.n_threads, err);
}

status forward_create(forward **out, const model *m, const forward_options *o, errbuf *err) {
    TRY(check_options(o, model_config_of(m), err));
    forward *f = calloc(1, sizeof(*f));
    if (!f) return ST_NO_MEMORY;
    f->config = model_config_of(m);
    f->weights = model_weights_of(m);
    f->options = *o;
    status st = init(f, m, err);
    if (st != ST_OK) {
        forward_destroy(f);
        return st;
    }
    *out = f;
    return ST_OK;
}

void forward_destroy(forward *f) {
    if (!f) return;
    workers_destroy(f->workers);
    model_vectors_finish(&f->vectors);
    free(f->first_tiles);
    free(f->tokens);
    free(f->memory);
    free(f);
}
