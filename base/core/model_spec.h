/* model_spec.h - shapes of the transformer models that can be served.
 *
 * Only what sizes and costs follow from; the values come from the models' published
 * config.json files. Parameter bytes are those of 16-bit weights. */
#ifndef MODEL_SPEC_H
#define MODEL_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct model_spec {
    const char *name;    /* as on the command line */
    const char *hf_name; /* as on the Hugging Face hub, for provenance */
    uint32_t n_layers, hidden, n_heads, n_kv_heads, head_dim;
    uint32_t ffn;   /* inner width of the MLP */
    bool gated_mlp; /* three matrices (SwiGLU) instead of two */
    bool qkv_bias, tied_embeddings;
    bool linear_bias;     /* on every other matrix too, except the output head */
    bool layer_norm;      /* LayerNorm (scale and shift) instead of RMSNorm (scale) */
    bool qk_norm;         /* RMSNorm over head_dim on queries and keys */
    uint32_t n_positions; /* rows of learned position embeddings; 0: rotary positions */
    uint32_t vocab;
    uint32_t max_model_len;   /* tokens of prompt and output together */
    uint32_t bytes_per_value; /* of weights and KV: 2 */
} model_spec;

/* All models, in the order in which they are listed; *n is set. */
const model_spec *model_specs(size_t *n);

/* NULL when there is none of that name. */
const model_spec *model_spec_find(const char *name);

/* Weights and embeddings, exact for the shapes above. */
uint64_t model_n_parameters(const model_spec *m);

/* KV bytes of one token over all layers, on one of tp devices:
 * 2 * layers * max(kv_heads / tp, 1) * head_dim * bytes_per_value. */
uint64_t model_kv_bytes_per_token(const model_spec *m, uint32_t tp);

#endif
