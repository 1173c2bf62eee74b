/* config_parse.c - the fields of a config.json, those of one architecture at a time. Defaults
 * are those of the config classes of transformers; what a file of that class always states has
 * none. */
#include <string.h>

#include "config_rope.h"
#include "json_fields.h"
#include "model_config.h"

/* ------------------------------------------------------------ architecture */

static status parse_arch(model_arch *out, const json_fields *f, errbuf *err) {
    const json_t *list = fields_get(f, "architectures");
    if (!list) return fail(err, ST_FORMAT, "%s: architectures is missing", f->file);
    const char *class_name = json_string_value(json_array_get(list, 0));
    if (!class_name || json_array_size(list) != 1)
        return fields_wrong(f, "architectures", "not a list of one name", err);
    for (int i = 0; i < N_MODEL_ARCHS; i++) {
        if (strcmp(class_name, model_arch_class((model_arch)i)) != 0) continue;
        const char *type;
        TRY(fields_text_or(&type, f, "model_type", model_arch_name((model_arch)i), err));
        if (strcmp(type, model_arch_name((model_arch)i)) != 0)
            return fields_wrong(f, "model_type", "of another model than architectures", err);
        *out = (model_arch)i;
        return ST_OK;
    }
    return fields_wrong(f, "architectures",
                        "not Llama, Mistral, Qwen2, Qwen3 or OPT ...ForCausalLM", err);
}

/* ------------------------------------------------------------ shapes */

static status parse_head_dim(model_config *c, const json_fields *f, errbuf *err) {
    if (fields_get(f, "head_dim") || c->arch == ARCH_QWEN3) /* whose class defaults to 128 */
        TRY(fields_size_or(&c->head_dim, f, "head_dim", MODEL_WIDTH_MAX, 128, err));
    else if (c->hidden % c->n_heads != 0)
        return fields_wrong(f, "hidden_size", "no multiple of num_attention_heads", err);
    else
        c->head_dim = c->hidden / c->n_heads;
    if ((uint64_t)c->n_heads * c->head_dim > MODEL_WIDTH_MAX)
        return fail(err, ST_FORMAT,
                    "%s: num_attention_heads %lu times head_dim %lu is more than %d", f->file,
                    (unsigned long)c->n_heads, (unsigned long)c->head_dim, MODEL_WIDTH_MAX);
    return ST_OK;
}

/* Llama alone may leave the KV heads out; null means as many as heads everywhere. */
static status parse_kv_heads(model_config *c, const json_fields *f, errbuf *err) {
    static const char key[] = "num_key_value_heads";
    if (c->arch != ARCH_LLAMA && !json_object_get(f->object, key))
        return fail(err, ST_FORMAT, "%s: %s is missing", f->file, key);
    TRY(fields_size_or(&c->n_kv_heads, f, key, c->n_heads, c->n_heads, err));
    if (c->n_heads % c->n_kv_heads != 0)
        return fields_wrong(f, key, "no divisor of num_attention_heads", err);
    return ST_OK;
}

static status parse_sizes(model_config *c, const json_fields *f, errbuf *err) {
    TRY(fields_size(&c->n_layers, f, "num_hidden_layers", MODEL_LAYERS_MAX, err));
    TRY(fields_size(&c->hidden, f, "hidden_size", MODEL_WIDTH_MAX, err));
    TRY(fields_size(&c->n_heads, f, "num_attention_heads", MODEL_WIDTH_MAX, err));
    TRY(fields_size(&c->vocab, f, "vocab_size", MODEL_SIZE_MAX, err));
    return fields_size(&c->max_model_len, f, "max_position_embeddings", MODEL_SIZE_MAX, err);
}

/* ------------------------------------------------------------ attention windows */

/* Does any layer look back no further than sliding_window? */
static status has_window(bool *out, const model_config *c, const json_fields *f, errbuf *err) {
    *out = c->arch == ARCH_MISTRAL;
    if (c->arch == ARCH_QWEN2 || c->arch == ARCH_QWEN3) {
        static const char key[] = "max_window_layers"; /* the layers from there on */
        const json_t *first = fields_get(f, key);
        if (first && !(json_is_integer(first) && json_integer_value(first) >= 0))
            return fields_wrong(f, key, "not a whole number from 0 on", err);
        TRY(fields_bool_or(out, f, "use_sliding_window", false, err));
        *out = *out && (first ? json_integer_value(first) : 28) < c->n_layers;
    }
    const json_t *kinds = fields_get(f, "layer_types");
    if (kinds && json_array_size(kinds) != c->n_layers)
        return fields_wrong(f, "layer_types", "not as long as num_hidden_layers", err);
    for (size_t i = 0; i < json_array_size(kinds); i++) {
        const char *kind = json_string_value(json_array_get(kinds, i));
        if (kind && strcmp(kind, "sliding_attention") == 0)
            *out = true;
        else if (!kind || strcmp(kind, "full_attention") != 0)
            return fields_wrong(f, "layer_types", "neither full nor sliding attention", err);
    }
    return ST_OK;
}

static status refuse_window(const model_config *c, const json_fields *f, errbuf *err) {
    bool windowed;
    TRY(has_window(&windowed, c, f, err));
    if (!windowed || !fields_get(f, "sliding_window")) return ST_OK;
    uint32_t window;
    TRY(fields_size(&window, f, "sliding_window", MODEL_SIZE_MAX, err));
    if (window >= c->max_model_len) return ST_OK;
    return fields_wrong(f, "sliding_window",
                        "below max_position_embeddings: such attention cannot be computed",
                        err);
}

/* ------------------------------------------------------------ architectures */

static status parse_biases(model_config *c, const json_fields *f, errbuf *err) {
    if (c->arch == ARCH_LLAMA || c->arch == ARCH_QWEN3) {
        TRY(fields_bool_or(&c->qkv_bias, f, "attention_bias", false, err));
        c->o_bias = c->qkv_bias;
    }
    if (c->arch == ARCH_QWEN2) c->qkv_bias = true;
    if (c->arch == ARCH_LLAMA) TRY(fields_bool_or(&c->mlp_bias, f, "mlp_bias", false, err));
    return ST_OK;
}

static status parse_activation(const json_fields *f, const char *key, const char *wanted,
                               errbuf *err) {
    const char *name;
    TRY(fields_text(&name, f, key, err));
    if (strcmp(name, wanted) == 0) return ST_OK;
    return fields_wrong(f, key, "not the function of this architecture", err);
}

/* Llama and its kin: rotary positions, RMSNorm, a gated MLP. */
static status parse_rotary(model_config *c, const json_fields *f, errbuf *err) {
    TRY(parse_head_dim(c, f, err));
    if (c->head_dim % 2 != 0)
        return fail(err, ST_FORMAT, "%s: head_dim %lu is odd, but pairs are rotated", f->file,
                    (unsigned long)c->head_dim);
    TRY(parse_kv_heads(c, f, err));
    TRY(fields_size(&c->n_ffn, f, "intermediate_size", MODEL_SIZE_MAX, err));
    TRY(fields_positive(&c->norm_eps, f, "rms_norm_eps", err));
    TRY(parse_activation(f, "hidden_act", "silu", err));
    TRY(config_rope_parse(c, f, err));
    TRY(parse_biases(c, f, err));
    TRY(refuse_window(c, f, err));
    c->activation = ACTIVATION_SILU;
    c->gated_mlp = c->do_layer_norm_before = c->final_norm = true;
    c->qk_norm = c->arch == ARCH_QWEN3;
    return fields_bool_or(&c->tied_embeddings, f, "tie_word_embeddings", false, err);
}

/* What opt-350m alone asks for, and what no released model does. */
static status refuse_opt_variants(const model_config *c, const json_fields *f, errbuf *err) {
    uint32_t projected;
    TRY(fields_size_or(&projected, f, "word_embed_proj_dim", MODEL_WIDTH_MAX, c->hidden, err));
    if (projected != c->hidden)
        return fields_wrong(f, "word_embed_proj_dim", "not hidden_size", err);
    bool affine;
    TRY(fields_bool_or(&affine, f, "layer_norm_elementwise_affine", true, err));
    if (!affine)
        return fields_wrong(f, "layer_norm_elementwise_affine",
                            "and norms without weights cannot be computed", err);
    return ST_OK;
}

static status parse_opt(model_config *c, const json_fields *f, errbuf *err) {
    if (c->hidden % c->n_heads != 0)
        return fields_wrong(f, "hidden_size", "no multiple of num_attention_heads", err);
    c->head_dim = c->hidden / c->n_heads;
    c->n_kv_heads = c->n_heads;
    TRY(fields_size(&c->n_ffn, f, "ffn_dim", MODEL_SIZE_MAX, err));
    TRY(parse_activation(f, "activation_function", "relu", err));
    TRY(refuse_opt_variants(c, f, err));
    bool no_final_norm;
    TRY(fields_bool_or(&c->do_layer_norm_before, f, "do_layer_norm_before", true, err));
    TRY(fields_bool_or(&no_final_norm, f, "_remove_final_layer_norm", false, err));
    c->final_norm = c->do_layer_norm_before && !no_final_norm;
    TRY(fields_bool_or(&c->qkv_bias, f, "enable_bias", true, err));
    c->o_bias = c->mlp_bias = c->qkv_bias;
    c->activation = ACTIVATION_RELU;
    c->layer_norm = c->learned_positions = true;
    c->position_offset = 2; /* OPTLearnedPositionalEmbedding.offset */
    c->norm_eps = 1e-5;     /* torch.nn.LayerNorm */
    return fields_bool_or(&c->tied_embeddings, f, "tie_word_embeddings", true, err);
}

/* ------------------------------------------------------------ data type, ends */

static status parse_dtype(tensor_dtype *out, const json_fields *f, errbuf *err) {
    static const char *const names[N_TENSOR_DTYPES] = {"float32", "float16", "bfloat16"};
    const char *older, *name;
    TRY(fields_text_or(&older, f, "torch_dtype", NULL, err));
    TRY(fields_text_or(&name, f, "dtype", older ? older : "float32", err));
    if (older && strcmp(older, name) != 0)
        return fields_wrong(f, "torch_dtype", "another one than dtype", err);
    for (int i = 0; i < N_TENSOR_DTYPES; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (tensor_dtype)i;
            return ST_OK;
        }
    return fields_wrong(f, older ? "torch_dtype" : "dtype", "not float32, float16 or bfloat16",
                        err);
}

/* One token or a list of them. */
static status parse_eos(model_config *c, const json_fields *f, errbuf *err) {
    static const char key[] = "eos_token_id";
    const json_t *ids = fields_get(f, key);
    size_t n = json_is_array(ids) ? json_array_size(ids) : ids != NULL;
    if (n > MODEL_EOS_MAX) return fields_wrong(f, key, "too many tokens", err);
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(ids) ? json_array_get(ids, i) : ids;
        json_int_t token = json_is_integer(id) ? json_integer_value(id) : -1;
        if (token < 0 || token >= c->vocab)
            return fields_wrong(f, key, "not a token of the vocabulary", err);
        c->eos_tokens[c->n_eos_tokens++] = (uint32_t)token;
    }
    return ST_OK;
}

static status parse_fields(model_config *c, const json_fields *f, errbuf *err) {
    TRY(parse_arch(&c->arch, f, err));
    if (fields_get(f, "quantization_config"))
        return fields_wrong(f, "quantization_config",
                            "and quantised weights cannot be computed", err);
    TRY(parse_sizes(c, f, err));
    TRY(c->arch == ARCH_OPT ? parse_opt(c, f, err) : parse_rotary(c, f, err));
    TRY(parse_dtype(&c->dtype, f, err));
    return parse_eos(c, f, err);
}

status model_config_parse(model_config *out, const char *text, size_t n, const char *file,
                          errbuf *err) {
    json_t *root = NULL;
    TRY(fields_parse(&root, text, n, file, err));
    const json_fields f = {.object = root, .file = file, .prefix = ""};
    model_config c = {0};
    status st = parse_fields(&c, &f, err);
    json_decref(root);
    if (st == ST_OK) *out = c;
    return st;
}
