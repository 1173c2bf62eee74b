/* vectors.c - one allocation for all biases and norms. See vectors.h. */
#include "vectors.h"

#include <stdlib.h>

/* Runs through all vectors: counts them while values is NULL, then copies them. */
typedef struct copier {
    float *values;
    size_t n;
} copier;

static const float *copy(copier *c, const tensor_view *t) {
    if (!t->data) return NULL;
    float *to = c->values ? c->values + c->n : NULL;
    if (to) tensor_to_floats(to, t, 0, t->cols);
    c->n += t->cols;
    return to;
}

static norm_vectors copy_norm(copier *c, const norm_weights *w) {
    norm_vectors v;
    v.scale = copy(c, &w->weight);
    v.shift = copy(c, &w->bias);
    return v;
}

static layer_vectors copy_layer(copier *c, const layer_weights *w) {
    layer_vectors v;
    v.attention_norm = copy_norm(c, &w->attention_norm);
    v.mlp_norm = copy_norm(c, &w->mlp_norm);
    v.q_norm = copy_norm(c, &w->q_norm);
    v.k_norm = copy_norm(c, &w->k_norm);
    v.q_bias = copy(c, &w->q.bias);
    v.k_bias = copy(c, &w->k.bias);
    v.v_bias = copy(c, &w->v.bias);
    v.o_bias = copy(c, &w->o.bias);
    v.gate_bias = copy(c, &w->gate.bias);
    v.up_bias = copy(c, &w->up.bias);
    v.down_bias = copy(c, &w->down.bias);
    return v;
}

static void copy_all(model_vectors *v, copier *c, const model *m) {
    const model_weights *w = model_weights_of(m);
    c->n = 0;
    v->final_norm = copy_norm(c, &w->final_norm);
    for (uint32_t i = 0; i < model_config_of(m)->n_layers; i++)
        v->layers[i] = copy_layer(c, &w->layers[i]);
}

status model_vectors_init(model_vectors *v, const model *m) {
    *v = (model_vectors){.layers = calloc(model_config_of(m)->n_layers, sizeof(*v->layers))};
    if (!v->layers) return ST_NO_MEMORY;
    copier c = {0};
    copy_all(v, &c, m);
    c.values = v->values = malloc((c.n ? c.n : 1) * sizeof(*c.values));
    if (!c.values) {
        model_vectors_finish(v);
        return ST_NO_MEMORY;
    }
    copy_all(v, &c, m);
    return ST_OK;
}

void model_vectors_finish(model_vectors *v) {
    free(v->values);
    free(v->layers);
    *v = (model_vectors){0};
}
