#include "model_spec.h"

#include <string.h>

/* The text of a config.json in C: one line of shapes, then what is not the default.
 * Sources: config.json of each repository named hf_name on the Hugging Face hub. Context
 * lengths are max_position_embeddings; Qwen2.5-7B takes the 32,768 of its instruct model,
 * beyond which its authors ask for YaRN. Mistral-7B is v0.3, whose attention has no sliding
 * window. */
static const model_spec specs[] = {
/* OPT: learned positions are stored from row 2 on, so there are 2048 + 2 rows
 * (OPTLearnedPositionalEmbedding in huggingface/transformers). */
#define OPT                                                                                    \
    .qkv_bias = true, .tied_embeddings = true, .linear_bias = true, .layer_norm = true,        \
    .n_positions = 2050, .vocab = 50272, .max_model_len = 2048, .bytes_per_value = 2
#define SHAPE(layers, width, heads, kv_heads, dim, inner)                                      \
    .n_layers = (layers), .hidden = (width), .n_heads = (heads), .n_kv_heads = (kv_heads),     \
    .head_dim = (dim), .ffn = (inner)
#define GATED(words, length)                                                                   \
    .gated_mlp = true, .vocab = (words), .max_model_len = (length), .bytes_per_value = 2
    {"opt-1.3b", "facebook/opt-1.3b", SHAPE(24, 2048, 32, 32, 64, 8192), OPT},
    {"opt-6.7b", "facebook/opt-6.7b", SHAPE(32, 4096, 32, 32, 128, 16384), OPT},
    {"opt-13b", "facebook/opt-13b", SHAPE(40, 5120, 40, 40, 128, 20480), OPT},
    {"opt-30b", "facebook/opt-30b", SHAPE(48, 7168, 56, 56, 128, 28672), OPT},
    {"llama-2-7b", "meta-llama/Llama-2-7b-hf", SHAPE(32, 4096, 32, 32, 128, 11008),
     GATED(32000, 4096)},
    {"llama-2-13b", "meta-llama/Llama-2-13b-hf", SHAPE(40, 5120, 40, 40, 128, 13824),
     GATED(32000, 4096)},
    {"llama-2-70b", "meta-llama/Llama-2-70b-hf", SHAPE(80, 8192, 64, 8, 128, 28672),
     GATED(32000, 4096)},
    {"llama-3-8b", "meta-llama/Meta-Llama-3-8B", SHAPE(32, 4096, 32, 8, 128, 14336),
     GATED(128256, 8192)},
    {"llama-3-70b", "meta-llama/Meta-Llama-3-70B", SHAPE(80, 8192, 64, 8, 128, 28672),
     GATED(128256, 8192)},
    {"mistral-7b", "mistralai/Mistral-7B-v0.3", SHAPE(32, 4096, 32, 8, 128, 14336),
     GATED(32768, 32768)},
    {"qwen2.5-7b", "Qwen/Qwen2.5-7B-Instruct", SHAPE(28, 3584, 28, 4, 128, 18944),
     GATED(152064, 32768), .qkv_bias = true},
    {"qwen3-32b", "Qwen/Qwen3-32B", SHAPE(64, 5120, 64, 8, 128, 25600), GATED(151936, 40960),
     .qk_norm = true},
    {"codellama-34b", "codellama/CodeLlama-34b-hf", SHAPE(48, 8192, 64, 8, 128, 22016),
     GATED(32000, 16384)},
#undef OPT
#undef SHAPE
#undef GATED
};
enum { N_SPECS = sizeof(specs) / sizeof(specs[0]) };

const model_spec *model_specs(size_t *n) {
    *n = N_SPECS;
    return specs;
}

const model_spec *model_spec_find(const char *name) {
    for (size_t i = 0; i < N_SPECS; i++)
        if (strcmp(specs[i].name, name) == 0) return &specs[i];
    return NULL;
}

static uint64_t attention_parameters(const model_spec *m) {
    uint64_t q = (uint64_t)m->n_heads * m->head_dim, kv = (uint64_t)m->n_kv_heads * m->head_dim;
    uint64_t n = m->hidden * (q + 2 * kv) + q * m->hidden;
    if (m->qkv_bias) n += q + 2 * kv;
    if (m->linear_bias) n += m->hidden;
    if (m->qk_norm) n += 2 * m->head_dim;
    return n;
}

static uint64_t mlp_parameters(const model_spec *m) {
    uint64_t n = (m->gated_mlp ? 3 : 2) * (uint64_t)m->hidden * m->ffn;
    if (m->linear_bias) n += (m->gated_mlp ? 2 : 1) * (uint64_t)m->ffn + m->hidden;
    return n;
}

uint64_t model_n_parameters(const model_spec *m) {
    uint64_t norm = (uint64_t)m->hidden * (m->layer_norm ? 2 : 1);
    uint64_t layer = attention_parameters(m) + mlp_parameters(m) + 2 * norm;
    uint64_t tables = (m->tied_embeddings ? 1 : 2) * (uint64_t)m->vocab + m->n_positions;
    return m->n_layers * layer + tables * m->hidden + norm;
}

uint64_t model_kv_bytes_per_token(const model_spec *m, uint32_t tp) {
    uint64_t heads = m->n_kv_heads / tp > 1 ? m->n_kv_heads / tp : 1;
    return 2 * m->n_layers * heads * m->head_dim * m->bytes_per_value;
}
