/* tensor_slots.h - the tensors that a shape asks for: name, shape, and where the view goes.
 *
 * The one list from which models are read, written and counted. */
#ifndef TENSOR_SLOTS_H
#define TENSOR_SLOTS_H

#include "model.h"

typedef enum tensor_role { TENSOR_MATRIX, TENSOR_BIAS, TENSOR_SCALE } tensor_role;

typedef struct tensor_slot {
    const char *module, *part; /* the name ends in MODULE.PART */
    tensor_role role;          /* of a vector in files: only a matrix has two dimensions */
    uint32_t rows, cols;
    size_t offset; /* of the view in layer_weights, or in model_weights */
} tensor_slot;

enum { LAYER_SLOTS_MAX = 24, MODEL_SLOTS_MAX = 6, TENSOR_NAME_SIZE = 96 };

typedef struct tensor_slots {
    const char *stem;                   /* names of layer i begin with STEM.layers.i. */
    tensor_slot layer[LAYER_SLOTS_MAX]; /* [n_layer] of each layer */
    tensor_slot model[MODEL_SLOTS_MAX]; /* [n_model] of no layer; names in full */
    uint32_t n_layer, n_model;
} tensor_slots;

void tensor_slots_of(tensor_slots *out, const model_config *c);

/* One of all tensors of a model. */
typedef struct tensor_place {
    const tensor_slot *slot;
    bool in_layer;
    uint32_t layer;
    char name[TENSOR_NAME_SIZE]; /* in full */
} tensor_place;

uint32_t tensor_slots_count(const tensor_slots *slots, const model_config *c);

/* The i-th tensor: those of no layer first, then layer by layer. */
void tensor_slots_at(tensor_place *out, const tensor_slots *slots, uint32_t i);

/* The view that a tensor has in w, whose layers are there. */
tensor_view *tensor_slots_view(model_weights *w, const tensor_place *place);

#endif
