#include "device_pass.cuh"

#include <math.h>
#include <stdlib.h>

#include "cuda_call.cuh"
#include "row_kernels.cuh"

enum { QKV, O, UP, DOWN, HEAD, N_PRODUCTS };

struct device_pass {
    const device_model *model;
    const model_config *config;
    device_pass_options options;
    gemm *products;
    uint32_t ids[N_PRODUCTS]; /* their numbers in products */
    uint32_t n_sms;
    char *memory; /* what the arrays are cut from */
    /* Rows as many as the products touch, numbers of 16 bit unless it says otherwise. */
    void *x;          /* [rows, hidden] residual stream */
    void *h;          /* [rows, hidden] its norm */
    void *delta;      /* [rows, hidden] what is to be added to x */
    void *heads;      /* [rows, (n_heads + 2 n_kv_heads) head_dim] */
    void *mixed;      /* [rows, n_heads head_dim] result of attention */
    void *wide;       /* [rows, n_ffn], or gate and up [rows, 2 n_ffn] */
    void *gated;      /* [rows, n_ffn]; wide itself without a gate */
    void *last;       /* [samples, hidden] */
    float *logits;    /* [samples, vocab] */
    float *workspace; /* of decoding */
};

static uint32_t q_width(const model_config *c) {
    return c->n_heads * c->head_dim;
}

static uint32_t heads_width(const model_config *c) {
    return (c->n_heads + 2 * c->n_kv_heads) * c->head_dim;
}

/* ------------------------------------------------------------ making */

static void list_products(gemm_product out[N_PRODUCTS], const model_config *c) {
    const uint32_t wide = c->gated_mlp ? 2 * c->n_ffn : c->n_ffn;
    out[QKV] = {heads_width(c), c->hidden, false, c->qkv_bias, false};
    out[O] = {c->hidden, q_width(c), false, c->o_bias, false};
    out[UP] = {wide, c->hidden, false, c->mlp_bias, !c->gated_mlp};
    out[DOWN] = {c->hidden, c->n_ffn, false, c->mlp_bias, false};
    out[HEAD] = {c->vocab, c->hidden, true, false, false};
}

static uint32_t product_rows(const device_pass_options *o, int product) {
    return product == HEAD ? o->max_samples : o->max_rows;
}

static status add_products(device_pass *p, errbuf *err) {
    gemm_product all[N_PRODUCTS];
    list_products(all, p->config);
    for (int i = 0; i < N_PRODUCTS; i++)
        TRY(gemm_add(p->products, &p->ids[i], &all[i], product_rows(&p->options, i), err));
    return ST_OK;
}

static decode_splits splits_of(const device_pass *p, uint32_t n_rows) {
    return attend_decode_splits(n_rows, p->config->n_kv_heads, p->config->head_dim,
                                p->options.max_context, p->n_sms);
}

/* Over all sizes of batch, since fewer rows are split more. */
static size_t workspace_bytes(const device_pass *p) {
    size_t most = 0;
    for (uint32_t n = 1; n <= p->options.max_samples; n++) {
        size_t bytes = attend_decode_workspace_bytes(n, p->config->n_heads, p->config->head_dim,
                                                     splits_of(p, n));
        if (bytes > most) most = bytes;
    }
    return most;
}

/* Cuts an array off; memory is NULL while bytes are counted. */
static void *cut(char *memory, size_t *at, size_t bytes) {
    void *array = memory ? memory + *at : NULL;
    *at += (bytes + 255) / 256 * 256;
    return array;
}

static size_t cut_all(device_pass *p) {
    const model_config *c = p->config;
    const bool deterministic = p->options.gemm.deterministic;
    const size_t rows = gemm_rows_touched(deterministic, p->options.max_rows);
    const size_t samples = gemm_rows_touched(deterministic, p->options.max_samples);
    size_t at = 0;
    p->x = cut(p->memory, &at, rows * c->hidden * 2);
    p->h = cut(p->memory, &at, rows * c->hidden * 2);
    p->delta = cut(p->memory, &at, rows * c->hidden * 2);
    p->heads = cut(p->memory, &at, rows * heads_width(c) * 2);
    p->mixed = cut(p->memory, &at, rows * q_width(c) * 2);
    p->wide = cut(p->memory, &at, rows * c->n_ffn * (c->gated_mlp ? 4 : 2));
    p->gated = c->gated_mlp ? cut(p->memory, &at, rows * c->n_ffn * 2) : p->wide;
    p->last = cut(p->memory, &at, samples * c->hidden * 2);
    p->logits = (float *)cut(p->memory, &at, samples * c->vocab * sizeof(float));
    p->workspace = (float *)cut(p->memory, &at, workspace_bytes(p));
    return at;
}

device_pass_memory device_pass_bytes(const model_config *c, const device_pass_options *o,
                                     uint32_t n_sms) {
    gemm_product all[N_PRODUCTS];
    gemm_scratch_bytes scratch = {};
    device_pass p = {};
    p.config = c;
    p.options = *o;
    p.n_sms = n_sms;
    list_products(all, c);
    for (int i = 0; i < N_PRODUCTS; i++)
        gemm_scratch_grow(&scratch, &o->gemm, &all[i], product_rows(o, i));
    return {cut_all(&p) + o->gemm.workspace_bytes,
            scratch.w + scratch.x + scratch.out + scratch.bias};
}

static status reserve(device_pass *p, errbuf *err) {
    size_t bytes = cut_all(p);
    char what[96];
    snprintf(what, sizeof(what), "%.2f GiB of device memory for activations",
             (double)bytes / (1 << 30));
    TRY_CUDA(cudaMalloc((void **)&p->memory, bytes), what);
    /* Products read whole buckets: rows that nobody wrote shall at least be numbers. */
    TRY_CUDA(cudaMemset(p->memory, 0, bytes), what);
    cut_all(p);
    return ST_OK;
}

static status build(device_pass *p, errbuf *err) {
    const model_config *c = p->config;
    if (attention_tile_rows(c->head_dim) == 0)
        return fail(err, ST_INVALID,
                    "head_dim %u: the attention kernels take even ones up to %d", c->head_dim,
                    HEAD_DIM_MAX);
    int device, n_sms;
    TRY_CUDA(cudaGetDevice(&device), "the device");
    TRY_CUDA(cudaDeviceGetAttribute(&n_sms, cudaDevAttrMultiProcessorCount, device),
             "the number of multiprocessors");
    p->n_sms = (uint32_t)n_sms;
    TRY(gemm_create(&p->products, &p->options.gemm, err));
    TRY(add_products(p, err));
    return reserve(p, err);
}

status device_pass_create(device_pass **out, const device_model *m,
                          const device_pass_options *o, errbuf *err) {
    if (o->max_rows == 0 || o->max_samples == 0 || o->max_context == 0)
        return fail(err, ST_INVALID, "a pass of %u rows, %u samples, contexts of %u",
                    o->max_rows, o->max_samples, o->max_context);
    device_pass *p = (device_pass *)calloc(1, sizeof(*p));
    if (!p) return fail(err, ST_NO_MEMORY, "out of memory for a pass");
    p->model = m;
    p->config = m->config;
    p->options = *o;
    p->options.gemm.dtype = m->dtype;
    status st = build(p, err);
    if (st == ST_OK)
        *out = p;
    else
        device_pass_destroy(p);
    return st;
}

void device_pass_destroy(device_pass *p) {
    if (!p) return;
    gemm_destroy(p->products);
    (void)cudaFree(p->memory);
    free(p);
}

gemm *device_pass_gemm(device_pass *p) {
    return p->products;
}

float *device_pass_logits(device_pass *p) {
    return p->logits;
}

/* ------------------------------------------------------------ running */

/* A pass under way. */
typedef struct step {
    device_pass *p;
    cudaStream_t stream;
    const kv_arena *arena;
    const pass_batch *batch;
    errbuf *err;
} step;

static status multiply(const step *s, uint32_t product, void *out, const void *x,
                       const void *weight, const void *bias, uint32_t n_rows) {
    gemm_operands o = {out, x, weight, bias};
    return gemm_run(s->p->products, s->stream, product, &o, n_rows, s->err);
}

/* x += delta, if there is one; to = norm(x). A norm that the model lacks is none. */
static status normalise(const step *s, void *to, const void *delta, const norm_weights *w) {
    const model_config *c = s->p->config;
    add_norm_args a = {};
    a.x = s->p->x;
    a.h = to;
    a.delta = delta;
    a.scale = w->weight.data;
    a.shift = w->bias.data;
    a.eps = (float)c->norm_eps;
    a.n_rows = s->batch->rows.n_rows;
    a.hidden = c->hidden;
    return add_norm_rows(s->stream, s->p->model->dtype, &a, s->err);
}

static status embed(const step *s) {
    const model_config *c = s->p->config;
    const model_weights *w = &s->p->model->weights;
    embed_args a = {};
    a.x = s->p->x;
    a.embedding = w->embedding.data;
    a.positions_table = w->positions.data;
    a.position_offset = c->position_offset;
    a.hidden = c->hidden;
    a.rows = s->batch->rows;
    return embed_rows(s->stream, s->p->model->dtype, &a, s->err);
}

static status place(const step *s, uint32_t layer) {
    const device_model *m = s->p->model;
    const layer_weights *w = &m->weights.layers[layer];
    place_args a = {};
    a.qkv = s->p->heads;
    a.cosines = m->cosines;
    a.sines = m->sines;
    a.q_scale = w->q_norm.weight.data;
    a.k_scale = w->k_norm.weight.data;
    a.eps = (float)s->p->config->norm_eps;
    a.n_heads = s->p->config->n_heads;
    a.layer = layer;
    a.rows = s->batch->rows;
    a.arena = *s->arena;
    a.stopped = s->batch->stopped;
    return place_and_store_rows(s->stream, m->dtype, &a, s->err);
}

static status attend_tiles(const step *s, uint32_t layer) {
    const model_config *c = s->p->config;
    if (s->batch->n_tiles == 0) return ST_OK;
    attend_prefill_args a = {};
    a.tiles = s->batch->tiles;
    a.n_tiles = s->batch->n_tiles;
    a.q = s->p->heads;
    a.q_stride = heads_width(c);
    a.out = s->p->mixed;
    a.blocks = s->batch->rows.blocks;
    a.arena = *s->arena;
    a.layer = layer;
    a.n_heads = c->n_heads;
    a.scale = 1.0f / sqrtf((float)c->head_dim);
    a.stopped = s->batch->stopped;
    return attend_prefill(s->stream, s->p->model->dtype, &a, s->err);
}

static device_rows rows_from(const device_rows *rows, uint32_t first) {
    return device_rows{rows->tokens + first, rows->positions + first, rows->first_block + first,
                       rows->blocks, rows->n_rows - first};
}

static status attend_single(const step *s, uint32_t layer) {
    const model_config *c = s->p->config;
    const uint32_t n = s->batch->n_single;
    if (n == 0) return ST_OK;
    const size_t first = s->batch->rows.n_rows - n;
    attend_decode_args a = {};
    a.rows = rows_from(&s->batch->rows, (uint32_t)first);
    a.q = (const uint16_t *)s->p->heads + first * heads_width(c);
    a.q_stride = heads_width(c);
    a.out = (uint16_t *)s->p->mixed + first * q_width(c);
    a.arena = *s->arena;
    a.layer = layer;
    a.n_heads = c->n_heads;
    a.scale = 1.0f / sqrtf((float)c->head_dim);
    a.splits = splits_of(s->p, n);
    a.workspace = s->p->workspace;
    a.stopped = s->batch->stopped;
    return attend_decode(s->stream, s->p->model->dtype, &a, s->err);
}

/* delta = o(attention(q, k, v of from)) */
static status attention(const step *s, uint32_t layer, const void *from) {
    device_pass *p = s->p;
    const layer_weights *w = &p->model->weights.layers[layer];
    const uint32_t n = s->batch->rows.n_rows;
    TRY(multiply(s, p->ids[QKV], p->heads, from, w->q.weight.data, w->q.bias.data, n));
    TRY(place(s, layer));
    TRY(attend_tiles(s, layer));
    TRY(attend_single(s, layer));
    return multiply(s, p->ids[O], p->delta, p->mixed, w->o.weight.data, w->o.bias.data, n);
}

/* delta = down(act(up of from)) */
static status mlp(const step *s, uint32_t layer, const void *from) {
    device_pass *p = s->p;
    const model_config *c = p->config;
    const layer_weights *w = &p->model->weights.layers[layer];
    const linear_weights *first = c->gated_mlp ? &w->gate : &w->up;
    const uint32_t n = s->batch->rows.n_rows;
    TRY(multiply(s, p->ids[UP], p->wide, from, first->weight.data, first->bias.data, n));
    if (c->gated_mlp)
        TRY(gate_rows(s->stream, p->model->dtype, p->gated, p->wide, n, c->n_ffn, s->err));
    return multiply(s, p->ids[DOWN], p->delta, p->gated, w->down.weight.data, w->down.bias.data,
                    n);
}

/* `delta` of the layer before is still to be added; so is this one's behind it. */
static status layer_norms_first(const step *s, uint32_t layer) {
    device_pass *p = s->p;
    const layer_weights *w = &p->model->weights.layers[layer];
    TRY(normalise(s, p->h, layer ? p->delta : NULL, &w->attention_norm));
    TRY(attention(s, layer, p->h));
    TRY(normalise(s, p->h, p->delta, &w->mlp_norm));
    return mlp(s, layer, p->h);
}

static status layer_norms_last(const step *s, uint32_t layer) {
    device_pass *p = s->p;
    const layer_weights *w = &p->model->weights.layers[layer];
    TRY(attention(s, layer, p->x));
    TRY(normalise(s, p->x, p->delta, &w->attention_norm));
    TRY(mlp(s, layer, p->x));
    return normalise(s, p->x, p->delta, &w->mlp_norm);
}

/* What the head reads. */
static status finish_stream(const step *s, const void **out) {
    device_pass *p = s->p;
    const bool pending = p->config->do_layer_norm_before;
    const norm_weights *norm = &p->model->weights.final_norm;
    *out = p->config->final_norm ? p->h : p->x;
    if (!pending && !p->config->final_norm) return ST_OK;
    return normalise(s, p->h, pending ? p->delta : NULL, norm);
}

static status run_layers(const step *s) {
    TRY(embed(s));
    for (uint32_t i = 0; i < s->p->config->n_layers; i++)
        TRY(s->p->config->do_layer_norm_before ? layer_norms_first(s, i)
                                               : layer_norms_last(s, i));
    return ST_OK;
}

static status sample(const step *s) {
    device_pass *p = s->p;
    const model_config *c = p->config;
    const void *stream_end;
    TRY(finish_stream(s, &stream_end));
    TRY(gather_rows(s->stream, p->model->dtype, p->last, stream_end, s->batch->sample_rows,
                    s->batch->n_samples, c->hidden, s->err));
    return multiply(s, p->ids[HEAD], p->logits, p->last, p->model->weights.head.data, NULL,
                    s->batch->n_samples);
}

status device_pass_run(device_pass *p, cudaStream_t stream, const kv_arena *arena,
                       const pass_batch *b, errbuf *err) {
    if (b->rows.n_rows == 0 || b->rows.n_rows > p->options.max_rows ||
        b->n_samples > p->options.max_samples || b->n_single > b->rows.n_rows)
        return fail(
            err, ST_INVALID,
            "a pass of %u rows, %u of them single, and %u samples, where at most %u and "
            "%u were announced",
            b->rows.n_rows, b->n_single, b->n_samples, p->options.max_rows,
            p->options.max_samples);
    const step s = {p, stream, arena, b, err};
    TRY(run_layers(&s));
    return b->n_samples > 0 ? sample(&s) : ST_OK;
}
