#include "device_model.cuh"

#include <math.h>
#include <stdlib.h>

#include "cuda_call.cuh"
#include "fill.cuh"

extern "C" {
#include "rope.h"
#include "tensor_slots.h"
}

enum { GROUP_ALIGNMENT = 256 };
static const size_t STAGED_VALUES = 1 << 22;

/* ------------------------------------------------------------ what there is, and where */

static uint64_t values_of(const tensor_view *v) {
    return (uint64_t)v->rows * v->cols;
}

/* Rows and columns of every tensor that the shape asks for; the others stay 0. */
static void take_shapes(model_weights *w, const model_config *c) {
    tensor_slots slots;
    tensor_slots_of(&slots, c);
    for (uint32_t i = 0; i < tensor_slots_count(&slots, c); i++) {
        tensor_place place;
        tensor_slots_at(&place, &slots, i);
        tensor_view *v = tensor_slots_view(w, &place);
        v->rows = place.slot->rows;
        v->cols = place.slot->cols;
    }
}

/* Hands out addresses from `memory` on, which is NULL while bytes are counted. */
typedef struct placer {
    char *memory;
    size_t at;
    tensor_dtype dtype;
} placer;

static void place_group(placer *p, tensor_view *const *views, uint32_t n) {
    p->at = (p->at + GROUP_ALIGNMENT - 1) / GROUP_ALIGNMENT * GROUP_ALIGNMENT;
    for (uint32_t i = 0; i < n; i++) {
        if (values_of(views[i]) == 0) continue;
        views[i]->data = p->memory ? p->memory + p->at : NULL;
        views[i]->dtype = p->dtype;
        p->at += values_of(views[i]) * tensor_dtype_bytes(p->dtype);
    }
}

static void place_one(placer *p, tensor_view *view) {
    place_group(p, &view, 1);
}

static void place_norm(placer *p, norm_weights *w) {
    place_one(p, &w->weight);
    place_one(p, &w->bias);
}

static void place_layer(placer *p, layer_weights *w) {
    tensor_view *qkv[] = {&w->q.weight, &w->k.weight, &w->v.weight};
    tensor_view *qkv_bias[] = {&w->q.bias, &w->k.bias, &w->v.bias};
    tensor_view *gate_up[] = {&w->gate.weight, &w->up.weight};
    tensor_view *gate_up_bias[] = {&w->gate.bias, &w->up.bias};
    place_norm(p, &w->attention_norm);
    place_group(p, qkv, 3);
    place_group(p, qkv_bias, 3);
    place_one(p, &w->o.weight);
    place_one(p, &w->o.bias);
    place_norm(p, &w->q_norm);
    place_norm(p, &w->k_norm);
    place_norm(p, &w->mlp_norm);
    place_group(p, gate_up, 2);
    place_group(p, gate_up_bias, 2);
    place_one(p, &w->down.weight);
    place_one(p, &w->down.bias);
}

static void place_all(placer *p, model_weights *w, const model_config *c) {
    place_one(p, &w->embedding);
    place_one(p, &w->positions);
    place_norm(p, &w->final_norm);
    if (c->tied_embeddings)
        w->head = w->embedding;
    else
        place_one(p, &w->head);
    for (uint32_t i = 0; i < c->n_layers; i++) place_layer(p, &w->layers[i]);
}

static size_t rope_values(const model_config *c, uint32_t n_positions) {
    return c->learned_positions ? 0 : (size_t)n_positions * (c->head_dim / 2);
}

/* Shapes and the size of the memory; the layers are the caller's to free. */
static status measure(model_weights *w, size_t *bytes, const model_config *c, errbuf *err) {
    *w = model_weights{};
    w->layers = (layer_weights *)calloc(c->n_layers, sizeof(*w->layers));
    if (!w->layers) return fail(err, ST_NO_MEMORY, "out of memory for %u layers", c->n_layers);
    take_shapes(w, c);
    placer p = {NULL, 0, TENSOR_BF16};
    place_all(&p, w, c);
    *bytes = p.at;
    return ST_OK;
}

status device_model_bytes(size_t *out, const model_config *c, uint32_t n_positions,
                          errbuf *err) {
    model_weights w;
    size_t bytes;
    TRY(measure(&w, &bytes, c, err));
    free(w.layers);
    *out = bytes + 2 * rope_values(c, n_positions) * sizeof(float);
    return ST_OK;
}

/* ------------------------------------------------------------ filling */

static void round_values(uint16_t *out, const float *x, size_t n, device_dtype dtype) {
    for (size_t i = 0; i < n; i++)
        out[i] = dtype == DEVICE_BF16 ? bfloat_from_float(x[i]) : half_from_float(x[i]);
}

/* Room on the host for values on their way to the device. */
typedef struct staging {
    float *wide;      /* [STAGED_VALUES] */
    uint16_t *narrow; /* [STAGED_VALUES] */
} staging;

static status upload(const tensor_view *to, const tensor_view *from, device_dtype dtype,
                     const staging *s, errbuf *err) {
    size_t n = values_of(to);
    char *at = (char *)to->data;
    if (from->dtype == to->dtype) {
        TRY_CUDA(cudaMemcpy(at, from->data, n * 2, cudaMemcpyHostToDevice), "copying weights");
        return ST_OK;
    }
    for (size_t first = 0; first < n; first += STAGED_VALUES) {
        size_t part = n - first < STAGED_VALUES ? n - first : STAGED_VALUES;
        tensor_to_floats(s->wide, from, first, part);
        round_values(s->narrow, s->wide, part, dtype);
        TRY_CUDA(cudaMemcpy(at + 2 * first, s->narrow, part * 2, cudaMemcpyHostToDevice),
                 "copying weights");
    }
    return ST_OK;
}

static status upload_all(device_model *out, const model *m, const staging *s, errbuf *err) {
    model_weights from = *model_weights_of(m);
    tensor_slots slots;
    tensor_slots_of(&slots, out->config);
    for (uint32_t i = 0; i < tensor_slots_count(&slots, out->config); i++) {
        tensor_place place;
        tensor_slots_at(&place, &slots, i);
        TRY(upload(tensor_slots_view(&out->weights, &place), tensor_slots_view(&from, &place),
                   out->dtype, s, err));
    }
    return ST_OK;
}

static status fill_all(device_model *out, uint64_t seed, errbuf *err) {
    tensor_slots slots;
    tensor_slots_of(&slots, out->config);
    for (uint32_t i = 0; i < tensor_slots_count(&slots, out->config); i++) {
        tensor_place place;
        tensor_slots_at(&place, &slots, i);
        bool scale = place.slot->role == TENSOR_SCALE;
        float deviation =
            place.slot->role == TENSOR_MATRIX ? 0.5f / sqrtf((float)place.slot->cols) : 0.02f;
        const tensor_view *v = tensor_slots_view(&out->weights, &place);
        const fill_law law = {seed, i, scale ? 1.0f : 0.0f, deviation};
        TRY(fill_random(0, (void *)v->data, values_of(v), out->dtype, &law, err));
    }
    TRY_CUDA(cudaDeviceSynchronize(), "making weights up");
    return ST_OK;
}

/* ------------------------------------------------------------ rotary tables */

static status upload_angles(device_model *m, float *host, size_t n, errbuf *err) {
    const uint32_t half = m->config->head_dim / 2;
    float *cosines = host, *sines = host + n, *frequencies = host + 2 * n;
    rope_frequencies(frequencies, m->config);
    for (uint32_t p = 0; p < m->n_positions; p++)
        rope_angles(cosines + (size_t)p * half, sines + (size_t)p * half, frequencies, half, p);
    TRY_CUDA(cudaMalloc((void **)&m->cosines, n * sizeof(float)), "rotary positions");
    TRY_CUDA(cudaMalloc((void **)&m->sines, n * sizeof(float)), "rotary positions");
    TRY_CUDA(cudaMemcpy(m->cosines, cosines, n * sizeof(float), cudaMemcpyHostToDevice),
             "rotary positions");
    TRY_CUDA(cudaMemcpy(m->sines, sines, n * sizeof(float), cudaMemcpyHostToDevice),
             "rotary positions");
    return ST_OK;
}

static status make_angles(device_model *m, errbuf *err) {
    size_t n = rope_values(m->config, m->n_positions);
    if (n == 0) return ST_OK;
    float *host = (float *)malloc((2 * n + m->config->head_dim / 2) * sizeof(float));
    if (!host) return fail(err, ST_NO_MEMORY, "out of memory for rotary positions");
    status st = upload_angles(m, host, n, err);
    free(host);
    return st;
}

/* ------------------------------------------------------------ making and ending */

/* Memory and addresses, nothing in it yet. */
static status reserve(device_model *m, const model_config *c, device_dtype dtype,
                      uint32_t n_positions, errbuf *err) {
    *m = device_model{};
    m->config = c;
    m->dtype = dtype;
    m->n_positions = n_positions;
    TRY(measure(&m->weights, &m->bytes, c, err));
    char what[96];
    snprintf(what, sizeof(what), "%.2f GiB of device memory for the weights",
             (double)m->bytes / (1 << 30));
    TRY_CUDA(cudaMalloc((void **)&m->memory, m->bytes), what);
    placer p = {m->memory, 0, dtype == DEVICE_BF16 ? TENSOR_BF16 : TENSOR_F16};
    place_all(&p, &m->weights, c);
    return make_angles(m, err);
}

static status load_weights(device_model *m, const model *from, errbuf *err) {
    staging s = {(float *)malloc(STAGED_VALUES * sizeof(float)),
                 (uint16_t *)malloc(STAGED_VALUES * sizeof(uint16_t))};
    status st = s.wide && s.narrow
                    ? upload_all(m, from, &s, err)
                    : fail(err, ST_NO_MEMORY, "out of memory for weights on their way");
    free(s.wide);
    free(s.narrow);
    return st;
}

status device_model_load(device_model *out, const model *m, device_dtype dtype,
                         uint32_t n_positions, errbuf *err) {
    device_model made;
    status st = reserve(&made, model_config_of(m), dtype, n_positions, err);
    if (st == ST_OK) st = load_weights(&made, m, err);
    if (st == ST_OK)
        *out = made;
    else
        device_model_finish(&made);
    return st;
}

status device_model_random(device_model *out, const model_config *c, device_dtype dtype,
                           uint32_t n_positions, uint64_t seed, errbuf *err) {
    device_model made;
    status st = reserve(&made, c, dtype, n_positions, err);
    if (st == ST_OK) st = fill_all(&made, seed, err);
    if (st == ST_OK)
        *out = made;
    else
        device_model_finish(&made);
    return st;
}

void device_model_finish(device_model *m) {
    (void)cudaFree(m->memory);
    (void)cudaFree(m->cosines);
    (void)cudaFree(m->sines);
    free(m->weights.layers);
    *m = device_model{};
}
