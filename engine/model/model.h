/* model.h - a transformer in a Hugging Face directory: its shape, and views of its weights.
 *
 * config.json and one model.safetensors, or several and model.safetensors.index.json, all
 * checked before anything is handed out: every tensor that the shape asks for is there once,
 * with that shape, inside its file. The files are mapped into memory, read-only; a page is read
 * when it is first touched. (A file that is cut short while it is mapped ends the process, as
 * with any mapping.)
 *
 * Ignored, since they hold nothing to compute with: rotary_emb.inv_freq, and lm_head.weight
 * where the head is tied. Any other tensor that the shape does not ask for is an error.
 * Threads: an open model does not change; any number may read it.
 * Must not know: how it is computed. */
#ifndef MODEL_H
#define MODEL_H

#include "model_config.h"
#include "tensor_view.h"

typedef struct linear_weights {
    tensor_view weight; /* [out_features, in_features] */
    tensor_view bias;   /* [1, out_features], or absent */
} linear_weights;

typedef struct norm_weights {
    tensor_view weight; /* [1, width] */
    tensor_view bias;   /* [1, width] of a LayerNorm, else absent */
} norm_weights;

typedef struct layer_weights {
    norm_weights attention_norm; /* input_layernorm; OPT: self_attn_layer_norm */
    linear_weights q;            /* [n_heads * head_dim, hidden] */
    linear_weights k, v;         /* [n_kv_heads * head_dim, hidden] */
    linear_weights o;            /* [hidden, n_heads * head_dim] */
    norm_weights q_norm, k_norm; /* [1, head_dim] with qk_norm, else absent */
    norm_weights mlp_norm;       /* post_attention_layernorm; OPT: final_layer_norm */
    linear_weights gate, up;     /* [n_ffn, hidden]; gate only with gated_mlp; OPT: up is fc1 */
    linear_weights down;         /* [hidden, n_ffn]; OPT: fc2 */
} layer_weights;

typedef struct model_weights {
    tensor_view embedding; /* [vocab, hidden] */
    tensor_view
        positions; /* [max_model_len + position_offset, hidden] with learned_positions */
    norm_weights final_norm;
    tensor_view head;      /* [vocab, hidden]; the embedding itself when tied */
    layer_weights *layers; /* [n_layers] */
} model_weights;

typedef struct model model;

/* check_weights: also reads every value and refuses NaN and infinity. On error *out is not
 * written. ST_IO: a file cannot be opened or mapped. ST_FORMAT: the files are not as above; the
 * message names file, tensor and value. ST_NO_MEMORY. */
MUST_USE status model_open(model **out, const char *dir, bool check_weights, errbuf *err);

/* m may be NULL. Views of its weights end with it. */
void model_close(model *m);

const model_config *model_config_of(const model *m);
const model_weights *model_weights_of(const model *m);

/* Bytes of all weights as stored; a tied head counts once. */
uint64_t model_stored_bytes(const model *m);

#endif
