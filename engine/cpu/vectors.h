/* vectors.h - a model's biases and norms as fp32: small, and needed by every token. */
#ifndef VECTORS_H
#define VECTORS_H

#include "model.h"

typedef struct norm_vectors {
    const float *scale, *shift; /* shift is NULL without one */
} norm_vectors;

/* NULL: the model has none. */
typedef struct layer_vectors {
    norm_vectors attention_norm, mlp_norm, q_norm, k_norm;
    const float *q_bias, *k_bias, *v_bias, *o_bias;
    const float *gate_bias, *up_bias, *down_bias;
} layer_vectors;

typedef struct model_vectors {
    norm_vectors final_norm;
    layer_vectors *layers; /* [n_layers] */
    float *values;         /* what all point into */
} model_vectors;

/* ST_NO_MEMORY: nothing is held. */
MUST_USE status model_vectors_init(model_vectors *v, const model *m);

void model_vectors_finish(model_vectors *v);

#endif
