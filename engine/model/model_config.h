/* model_config.h - the shape of a transformer, read from the config.json of a Hugging Face
 * directory.
 *
 * Both spellings are read: rope_theta, rope_scaling and torch_dtype, and the rope_parameters
 * and dtype of transformers 5. What this engine does not compute (sliding windows below the
 * context length, quantised weights, other rope scalings) is refused, never ignored. A config
 * that was read holds together: sizes are at least 1 and at most MODEL_SIZE_MAX, and n_kv_heads
 * divides n_heads. Must not know: where the weights are. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model_spec.h"
#include "status.h"
#include "tensor_view.h"

typedef enum model_arch {
    ARCH_LLAMA,
    ARCH_MISTRAL,
    ARCH_QWEN2,
    ARCH_QWEN3,
    ARCH_OPT,
    N_MODEL_ARCHS
} model_arch;

typedef enum model_activation { ACTIVATION_SILU, ACTIVATION_RELU } model_activation;

typedef enum rope_scaling_kind { ROPE_UNSCALED, ROPE_LINEAR, ROPE_LLAMA3 } rope_scaling_kind;

typedef struct rope_scaling {
    rope_scaling_kind kind;
    double factor;                   /* linear and llama3 */
    double low_freq_factor;          /* llama3 */
    double high_freq_factor;         /* llama3 */
    uint32_t original_max_positions; /* llama3 */
} rope_scaling;

/* Far above any model; within them no product of shapes overflows 64 bits. */
enum {
    MODEL_LAYERS_MAX = 1 << 12,
    MODEL_WIDTH_MAX = 1 << 20, /* hidden; n_heads * head_dim */
    MODEL_SIZE_MAX = 1 << 24,  /* n_ffn, vocab, max_model_len */
    MODEL_EOS_MAX = 16,
};

typedef struct model_config {
    model_arch arch;
    uint32_t n_layers, hidden, n_heads, n_kv_heads, head_dim;
    uint32_t n_ffn; /* inner width of the MLP */
    uint32_t vocab;
    uint32_t max_model_len; /* tokens of prompt and output together: max_position_embeddings */
    double norm_eps;        /* of RMSNorm, or of LayerNorm (OPT) */
    model_activation activation;
    bool gated_mlp;            /* down(act(gate(x)) * up(x)), else down(act(up(x))) */
    bool layer_norm;           /* LayerNorm, else RMSNorm */
    bool do_layer_norm_before; /* norms before attention and MLP; false: after (OPT) */
    bool final_norm;           /* a norm before the head; OPT may have none */
    bool qk_norm; /* RMSNorm over head_dim on each query and key head, before rope */

    /* Positions: rotary, or learned and added to the embeddings. */
    bool learned_positions;
    uint32_t position_offset; /* of learned ones: position p is row p + offset (OPT: 2) */
    double rope_theta;
    rope_scaling rope;

    bool tied_embeddings; /* the head is the token embedding */
    bool qkv_bias, o_bias, mlp_bias;
    tensor_dtype dtype; /* as declared, F32 when it is not; each tensor says its own */

    uint32_t eos_tokens[MODEL_EOS_MAX]; /* [n_eos_tokens] each ends a generation */
    uint32_t n_eos_tokens;
} model_config;

/* "LlamaForCausalLM", and as on the command line: "llama". */
const char *model_arch_class(model_arch arch);
const char *model_arch_name(model_arch arch);

/* False: there is none of that command-line name. */
bool model_arch_find(model_arch *out, const char *name);

/* Reads text[0..n), which needs no end; file stands in messages. On error *out is not written.
 * ST_FORMAT: no JSON, a field is missing, negative, no integer, too large or contradicts
 * another one, or asks for what this engine does not compute. */
MUST_USE status model_config_parse(model_config *out, const char *text, size_t n,
                                   const char *file, errbuf *err);

/* Reads dir/config.json, nothing else. ST_IO, ST_FORMAT, ST_NO_MEMORY. */
MUST_USE status model_config_read(model_config *out, const char *dir, errbuf *err);

/* Values in the weights; a tied head counts once. */
uint64_t model_config_n_parameters(const model_config *c);

/* Bytes of all weights with each value in dtype: what loading needs, known before it. */
uint64_t model_config_bytes(const model_config *c, tensor_dtype dtype);

/* KV bytes of one token over all layers, bytes_per_value each (the CPU engine: 4). */
uint64_t model_config_kv_bytes(const model_config *c, uint32_t bytes_per_value);

/* The same shapes as a specification, for cost models and listings; name is borrowed. Its
 * parameters are counted without the biases that only a part of the matrices has. */
void model_config_spec(model_spec *out, const model_config *c, const char *name,
                       uint32_t bytes_per_value);

/* A configuration of those shapes: of the architecture that has them, with its usual constants
 * (positions turn at base 10,000, eps is 1e-5). For random weights, whose cost does not depend
 * on them. */
void model_config_of_spec(model_config *out, const model_spec *spec);

#endif
