/* forward_pass.c - the layers of a transformer, each in a few tasks for all workers.
 *
 * A task splits the tokens, the outputs of a product, or the tiles of attention among the
 * workers; no two write the same values, and none sums what another one computed.
 *     x = embedding (+ position)
 *     each layer:  x += o(attention(q, k, v of norm(x)));  x += down(act(up of norm(x)))
 *     logits = head(norm(x)), of the last tokens of chunks that sample
 * OPT without do_layer_norm_before has each norm behind the sum instead. */
#include <assert.h>
#include <string.h>

#include "forward_state.h"
#include "rope.h"

/* Outputs are split in whole cache lines, so that no two workers share one. */
enum { OUTPUTS_STEP = 16 };

typedef struct range {
    uint32_t first, end;
} range;

/* A worker's share of n, in multiples of step. */
static range share(uint32_t n, uint32_t step, uint32_t worker, uint32_t n_workers) {
    uint64_t n_steps = ((uint64_t)n + step - 1) / step;
    uint64_t first = n_steps * worker / n_workers * step;
    uint64_t end = n_steps * (worker + 1) / n_workers * step;
    return (range){(uint32_t)(first < n ? first : n), (uint32_t)(end < n ? end : n)};
}

static float *scratch_of(const forward *f, uint32_t worker) {
    return f->scratch + worker * f->scratch_floats;
}

/* This worker's outputs of out = w x + b (or out += ...) for n_tokens rows; returns which. */
static range multiply(const forward *f, float *out, const tensor_view *w, const float *bias,
                      const float *x, uint32_t n_tokens, bool accumulate, uint32_t worker) {
    gemm_args a = {.w = w,
                   .bias = bias,
                   .x = x,
                   .n_tokens = n_tokens,
                   .out = out,
                   .accumulate = accumulate};
    range r = share(w->rows, OUTPUTS_STEP, worker, workers_count(f->workers));
    gemm_run(&f->gemm, &a, r.first, r.end, scratch_of(f, worker));
    return r;
}

static void normalise(const forward *f, float *out, const float *x, const norm_vectors *v,
                      uint32_t n) {
    float eps = (float)f->config->norm_eps;
    if (f->config->layer_norm)
        f->gemm.kernels->layer_norm(out, x, v->scale, v->shift, n, eps);
    else
        f->gemm.kernels->rms_norm(out, x, v->scale, n, eps);
}

/* Norms of this worker's tokens, x to out (which may be x). */
static void normalise_share(const forward *f, float *out, const norm_vectors *v,
                            uint32_t worker) {
    uint32_t n = f->config->hidden;
    range r = share(f->batch.n_tokens, 1, worker, workers_count(f->workers));
    for (uint32_t t = r.first; t < r.end; t++)
        normalise(f, out + (size_t)t * n, f->x + (size_t)t * n, v, n);
}

static void embed(void *context, uint32_t worker, uint32_t n_workers) {
    const forward *f = context;
    const model_config *c = f->config;
    range r = share(f->batch.n_tokens, 1, worker, n_workers);
    for (uint32_t t = r.first; t < r.end; t++) {
        const batch_token *token = &f->tokens[t];
        size_t n = c->hidden, half = c->head_dim / 2;
        float *x = f->x + t * n;
        tensor_to_floats(x, &f->weights->embedding, token->id * n, n);
        if (!c->learned_positions) {
            rope_angles(f->cosines + t * half, f->sines + t * half, f->frequencies,
                        (uint32_t)half, token->position);
            continue;
        }
        float *position = f->h + t * n; /* free as yet */
        tensor_to_floats(position, &f->weights->positions,
                         ((size_t)token->position + c->position_offset) * n, n);
        for (size_t i = 0; i < n; i++) x[i] += position[i];
    }
}

static void norm_before_attention(void *context, uint32_t worker, uint32_t n_workers) {
    const forward *f = context;
    (void)n_workers;
    normalise_share(f, f->h, &f->vectors.layers[f->batch.layer].attention_norm, worker);
}

static void norm_before_mlp(void *context, uint32_t worker, uint32_t n_workers) {
    const forward *f = context;
    (void)n_workers;
    normalise_share(f, f->h, &f->vectors.layers[f->batch.layer].mlp_norm, worker);
}

static void norm_after_attention(void *context, uint32_t worker, uint32_t n_workers) {
    const forward *f = context;
    (void)n_workers;
    normalise_share(f, f->x, &f->vectors.layers[f->batch.layer].attention_norm, worker);
}

static void norm_after_mlp(void *context, uint32_t worker, uint32_t n_workers) {
    const forward *f = context;
    (void)n_workers;
    normalise_share(f, f->x, &f->vectors.layers[f->batch.layer].mlp_norm, worker);
}

/* What the products of a layer read. */
static const float *product_input(const forward *f) {
    return f->config->do_layer_norm_before ? f->h : f->x;
}

static void project(void *context, uint32_t worker, uint32_t n_workers) {
    const forward *f = context;
    (void)n_workers;
    const layer_weights *w = &f->weights->layers[f->batch.layer];
    const layer_vectors *v = &f->vectors.layers[f->batch.layer];
    const float *x = product_input(f);
    uint32_t n = f->batch.n_tokens;
    multiply(f, f->q, &w->q.weight, v->q_bias, x, n, false, worker);
    multiply(f, f->k, &w->k.weight, v->k_bias, x, n, false, worker);
    multiply(f, f->v, &w->v.weight, v->v_bias, x, n, false, worker);
}

/* Norm (if any) and position of the n_heads heads of one token. */
static void place_heads(const forward *f, float *heads, const norm_vectors *norm, uint32_t t,
                        uint32_t n_heads) {
    const model_config *c = f->config;
    size_t half = c->head_dim / 2;
    for (uint32_t i = 0; i < n_heads; i++) {
        float *head = heads + (size_t)i * c->head_dim;
        if (norm->scale) normalise(f, head, head, norm, c->head_dim);
        if (!c->learned_positions)
            rope_turn(head, f->cosines + t * half, f->sines + t * half, (uint32_t)half);
    }
}

static float *kv_row(const forward *f, const batch_token *t, kv_part part) {
    uint32_t block_tokens = f->layout.block_tokens;
    float *rows = kv_layout_rows(&f->layout, f->batch.arena,
                                 t->blocks[t->position / block_tokens], f->batch.layer, part);
    return rows + t->position % block_tokens * kv_layout_width(&f->layout);
}

static void store_kv(void *context, uint32_t worker, uint32_t n_workers) {
    const forward *f = context;
    const model_config *c = f->config;
    const layer_vectors *v = &f->vectors.layers[f->batch.layer];
    size_t kv_width = kv_layout_width(&f->layout), q_width = (size_t)c->n_heads * c->head_dim;
    range r = share(f->batch.n_tokens, 1, worker, n_workers);
    for (uint32_t t = r.first; t < r.end; t++) {
        place_heads(f, f->q + t * q_width, &v->q_norm, t, c->n_heads);
        place_heads(f, f->k + t * kv_width, &v->k_norm, t, c->n_kv_heads);
        memcpy(kv_row(f, &f->tokens[t], KV_KEYS), f->k + t * kv_width,
               kv_width * sizeof(float));
        memcpy(kv_row(f, &f->tokens[t], KV_VALUES), f->v + t * kv_width,
               kv_width * sizeof(float));
    }
}

/* Tile `index` of a chunk whose first token is row `row` of the batch. */
static void attend_tile(const forward *f, const token_chunk *chunk, uint32_t row,
                        uint32_t index, float *scratch) {
    uint32_t size = f->attention.tile_tokens, n_kv_heads = f->config->n_kv_heads;
    uint32_t first = index / n_kv_heads * size;
    size_t at = (size_t)(row + first) * f->config->n_heads * f->config->head_dim;
    attention_tile tile = {.arena = f->batch.arena,
                           .blocks = chunk->blocks,
                           .layer = f->batch.layer,
                           .kv_head = index % n_kv_heads,
                           .n_before = chunk->n_before + first,
                           .n_tokens =
                               chunk->n_tokens - first < size ? chunk->n_tokens - first : size,
                           .q = f->q + at,
                           .out = f->mixed + at};
    attention_run(&f->attention, &tile, scratch);
}

/* Tiles differ in length, so workers take the next one when they have done one. */
static void attend(void *context, uint32_t worker, uint32_t n_workers) {
    forward *f = context;
    (void)n_workers;
    forward_batch *b = &f->batch;
    uint32_t chunk = 0, row = 0, n_tiles = f->first_tiles[b->n_chunks];
    for (;;) {
        uint32_t tile = atomic_fetch_add(&b->next_tile, 1);
        if (tile >= n_tiles) return;
        for (; tile >= f->first_tiles[chunk + 1]; chunk++) row += b->chunks[chunk].n_tokens;
        attend_tile(f, &b->chunks[chunk], row, tile - f->first_tiles[chunk],
                    scratch_of(f, worker));
    }
}

static void add_attention(void *context, uint32_t worker, uint32_t n_workers) {
    const forward *f = context;
    (void)n_workers;
    multiply(f, f->x, &f->weights->layers[f->batch.layer].o.weight,
             f->vectors.layers[f->batch.layer].o_bias, f->mixed, f->batch.n_tokens, true,
             worker);
}

static void activate(const forward *f, uint32_t t, range r) {
    float *up = f->up + (size_t)t * f->config->n_ffn + r.first;
    uint32_t n = r.end - r.first;
    if (!f->config->gated_mlp) {
        assert(f->config->activation == ACTIVATION_RELU);
        f->gemm.kernels->relu(up, n);
        return;
    }
    assert(f->config->activation == ACTIVATION_SILU);
    f->gemm.kernels->silu_gate(f->gate + (size_t)t * f->config->n_ffn + r.first, up, n);
}

static void widen_mlp(void *context, uint32_t worker, uint32_t n_workers) {
    const forward *f = context;
    (void)n_workers;
    const layer_weights *w = &f->weights->layers[f->batch.layer];
    const layer_vectors *v = &f->vectors.layers[f->batch.layer];
    const float *x = product_input(f);
    uint32_t n = f->batch.n_tokens;
    range r = multiply(f, f->up, &w->up.weight, v->up_bias, x, n, false, worker);
    if (f->config->gated_mlp)
        multiply(f, f->gate, &w->gate.weight, v->gate_bias, x, n, false, worker);
    for (uint32_t t = 0; t < n; t++) activate(f, t, r);
}

static void add_mlp(void *context, uint32_t worker, uint32_t n_workers) {
    const forward *f = context;
    (void)n_workers;
    const float *inner = f->config->gated_mlp ? f->gate : f->up;
    multiply(f, f->x, &f->weights->layers[f->batch.layer].down.weight,
             f->vectors.layers[f->batch.layer].down_bias, inner, f->batch.n_tokens, true,
             worker);
}

static void compute_logits(void *context, uint32_t worker, uint32_t n_workers) {
    const forward *f = context;
    (void)n_workers;
    multiply(f, f->batch.logits, &f->weights->head, NULL, f->h, f->batch.n_samples, false,
             worker);
}

static void run_layer(forward *f, uint32_t layer) {
    bool before = f->config->do_layer_norm_before;
    f->batch.layer = layer;
    atomic_store(&f->batch.next_tile, 0);
    if (before) workers_run(f->workers, norm_before_attention, f);
    workers_run(f->workers, project, f);
    workers_run(f->workers, store_kv, f);
    workers_run(f->workers, attend, f);
    workers_run(f->workers, add_attention, f);
    workers_run(f->workers, before ? norm_before_mlp : norm_after_attention, f);
    workers_run(f->workers, widen_mlp, f);
    workers_run(f->workers, add_mlp, f);
    if (!before) workers_run(f->workers, norm_after_mlp, f);
}

/* The rows that sample, normed, to the front of h. */
static void gather_samples(forward *f) {
    size_t n = f->config->hidden, n_samples = 0, end = 0;
    for (uint32_t i = 0; i < f->batch.n_chunks; i++) {
        end += f->batch.chunks[i].n_tokens;
        if (!f->batch.chunks[i].samples) continue;
        float *out = f->h + n_samples++ * n, *x = f->x + (end - 1) * n;
        if (f->config->final_norm)
            normalise(f, out, x, &f->vectors.final_norm, (uint32_t)n);
        else
            memcpy(out, x, n * sizeof(*x));
    }
}

static void list_tokens(forward *f) {
    uint32_t n = 0, n_samples = 0, n_tiles = 0, size = f->attention.tile_tokens;
    for (uint32_t i = 0; i < f->batch.n_chunks; i++) {
        const token_chunk *c = &f->batch.chunks[i];
        assert(c->n_tokens > 0 && c->n_tokens <= f->options.max_tokens - n);
        assert(c->n_before + c->n_tokens <= f->config->max_model_len);
        for (uint32_t t = 0; t < c->n_tokens; t++) {
            assert(c->tokens[t] < f->config->vocab);
            f->tokens[n++] = (batch_token){c->tokens[t], c->n_before + t, c->blocks};
        }
        f->first_tiles[i] = n_tiles;
        n_tiles += (c->n_tokens + size - 1) / size * f->config->n_kv_heads;
        n_samples += c->samples;
    }
    f->first_tiles[f->batch.n_chunks] = n_tiles;
    f->batch.n_tokens = n;
    f->batch.n_samples = n_samples;
}

void forward_run(forward *f, float *arena, const token_chunk *chunks, uint32_t n_chunks,
                 float *logits) {
    f->batch.arena = arena;
    f->batch.chunks = chunks;
    f->batch.n_chunks = n_chunks;
    f->batch.logits = logits;
    list_tokens(f);
    workers_run(f->workers, embed, f);
    for (uint32_t layer = 0; layer < f->config->n_layers; layer++) run_layer(f, layer);
    gather_samples(f);
    if (f->batch.n_samples) workers_run(f->workers, compute_logits, f);
}
