#include "model_config.h"

#include <stdlib.h>
#include <string.h>

#include "mapped_file.h"
#include "model_files.h"
#include "tensor_slots.h"

static const struct {
    const char *class_name, *name;
} archs[N_MODEL_ARCHS] = {
    {"LlamaForCausalLM", "llama"}, {"MistralForCausalLM", "mistral"},
    {"Qwen2ForCausalLM", "qwen2"}, {"Qwen3ForCausalLM", "qwen3"},
    {"OPTForCausalLM", "opt"},
};

const char *model_arch_class(model_arch arch) {
    return archs[arch].class_name;
}

const char *model_arch_name(model_arch arch) {
    return archs[arch].name;
}

bool model_arch_find(model_arch *out, const char *name) {
    for (int i = 0; i < N_MODEL_ARCHS; i++)
        if (strcmp(archs[i].name, name) == 0) {
            *out = (model_arch)i;
            return true;
        }
    return false;
}

status model_config_read(model_config *out, const char *dir, errbuf *err) {
    char *path = model_path(dir, "config.json");
    if (!path) return fail(err, ST_NO_MEMORY, "%s: out of memory", dir);
    mapped_file file = {0};
    status st = mapped_file_init(&file, path, err);
    if (st == ST_OK) st = model_config_parse(out, (const char *)file.bytes, file.n, path, err);
    mapped_file_finish(&file);
    free(path);
    return st;
}

static uint64_t n_values(const tensor_slot *slots, uint32_t n) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (uint64_t)slots[i].rows * slots[i].cols;
    return sum;
}

uint64_t model_config_n_parameters(const model_config *c) {
    tensor_slots slots;
    tensor_slots_of(&slots, c);
    return n_values(slots.model, slots.n_model) +
           c->n_layers * n_values(slots.layer, slots.n_layer);
}

uint64_t model_config_bytes(const model_config *c, tensor_dtype dtype) {
    return model_config_n_parameters(c) * tensor_dtype_bytes(dtype);
}

uint64_t model_config_kv_bytes(const model_config *c, uint32_t bytes_per_value) {
    return (uint64_t)2 * c->n_layers * c->n_kv_heads * c->head_dim * bytes_per_value;
}

void model_config_spec(model_spec *out, const model_config *c, const char *name,
                       uint32_t bytes_per_value) {
    *out = (model_spec){
        .name = name,
        .hf_name = name,
        .n_layers = c->n_layers,
        .hidden = c->hidden,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .head_dim = c->head_dim,
        .ffn = c->n_ffn,
        .gated_mlp = c->gated_mlp,
        .qkv_bias = c->qkv_bias,
        .tied_embeddings = c->tied_embeddings,
        .linear_bias = c->o_bias && c->mlp_bias,
        .layer_norm = c->layer_norm,
        .qk_norm = c->qk_norm,
        .n_positions = c->learned_positions ? c->max_model_len + c->position_offset : 0,
        .vocab = c->vocab,
        .max_model_len = c->max_model_len,
        .bytes_per_value = bytes_per_value,
    };
}

static model_arch arch_of(const model_spec *m) {
    if (m->n_positions) return ARCH_OPT;
    if (m->qk_norm) return ARCH_QWEN3;
    return m->qkv_bias ? ARCH_QWEN2 : ARCH_LLAMA;
}

/* OPT's learned positions begin at row 2. */
void model_config_of_spec(model_config *out, const model_spec *m) {
    const bool opt = m->n_positions > 0;
    *out = (model_config){
        .arch = arch_of(m),
        .n_layers = m->n_layers,
        .hidden = m->hidden,
        .n_heads = m->n_heads,
        .n_kv_heads = m->n_kv_heads,
        .head_dim = m->head_dim,
        .n_ffn = m->ffn,
        .vocab = m->vocab,
        .max_model_len = m->max_model_len,
        .norm_eps = 1e-5,
        .activation = m->gated_mlp ? ACTIVATION_SILU : ACTIVATION_RELU,
        .gated_mlp = m->gated_mlp,
        .layer_norm = m->layer_norm,
        .do_layer_norm_before = true,
        .final_norm = true,
        .qk_norm = m->qk_norm,
        .learned_positions = opt,
        .position_offset = opt ? m->n_positions - m->max_model_len : 0,
        .rope_theta = 10000,
        .tied_embeddings = m->tied_embeddings,
        .qkv_bias = m->qkv_bias || m->linear_bias,
        .o_bias = m->linear_bias,
        .mlp_bias = m->linear_bias,
        .dtype = TENSOR_BF16,
    };
}
