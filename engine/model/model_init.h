/* model_init.h - writes a random model in the format that model.h reads.
 *
 * Weights are normal with deviation 1 / sqrt(in_features), biases and what scales (norms) are
 * normal around 0 and 1, so that activations keep their size through the layers and every
 * tensor matters to the result. No weight is zero. The bytes follow from the options alone. */
#ifndef MODEL_INIT_H
#define MODEL_INIT_H

#include "model_config.h"

typedef struct model_init_options {
    model_arch arch;
    uint32_t n_layers, hidden, n_heads, vocab;
    uint32_t n_kv_heads; /* 0: n_heads */
    uint32_t head_dim;   /* 0: hidden / n_heads */
    uint32_t n_ffn;      /* 0: 4 * hidden */
    uint32_t max_model_len;
    bool tied_embeddings;
    tensor_dtype dtype;
    uint64_t seed;
} model_init_options;

/* 2 layers, hidden 64, 4 heads, vocab 256, 2048 tokens, float32, seed 1; head tied for OPT. */
model_init_options model_init_defaults(model_arch arch);

/* Makes the directory (its parent must exist) with config.json and model.safetensors. An
 * existing model is not overwritten. ST_INVALID: the options do not make a model. ST_IO: cannot
 * be written, needs more bytes than are free, or the directory holds one of the files; what
 * this call wrote is removed. ST_NO_MEMORY. */
MUST_USE status model_init_random(const char *dir, const model_init_options *o, errbuf *err);

#endif
