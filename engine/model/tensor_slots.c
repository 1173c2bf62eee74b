#include "tensor_slots.h"

#include <assert.h>
#include <stdio.h>

typedef struct slot_list {
    tensor_slot *slots; /* [capacity] */
    uint32_t n, capacity;
} slot_list;

static void add(slot_list *list, tensor_slot slot) {
    assert(list->n < list->capacity);
    list->slots[list->n++] = slot;
}

static void add_linear(slot_list *list, const char *module, size_t offset, uint64_t rows,
                       uint64_t cols, bool bias) {
    add(list, (tensor_slot){module, "weight", TENSOR_MATRIX, (uint32_t)rows, (uint32_t)cols,
                            offset + offsetof(linear_weights, weight)});
    if (bias)
        add(list, (tensor_slot){module, "bias", TENSOR_BIAS, 1, (uint32_t)rows,
                                offset + offsetof(linear_weights, bias)});
}

static void add_norm(slot_list *list, const char *module, size_t offset, uint32_t width,
                     bool bias) {
    add(list, (tensor_slot){module, "weight", TENSOR_SCALE, 1, width,
                            offset + offsetof(norm_weights, weight)});
    if (bias)
        add(list, (tensor_slot){module, "bias", TENSOR_BIAS, 1, width,
                                offset + offsetof(norm_weights, bias)});
}

#define AT(member) offsetof(layer_weights, member)

static void add_attention(slot_list *list, const model_config *c, const char *output) {
    uint64_t q = (uint64_t)c->n_heads * c->head_dim, kv = (uint64_t)c->n_kv_heads * c->head_dim;
    add_linear(list, "self_attn.q_proj", AT(q), q, c->hidden, c->qkv_bias);
    add_linear(list, "self_attn.k_proj", AT(k), kv, c->hidden, c->qkv_bias);
    add_linear(list, "self_attn.v_proj", AT(v), kv, c->hidden, c->qkv_bias);
    add_linear(list, output, AT(o), c->hidden, q, c->o_bias);
    if (!c->qk_norm) return;
    add_norm(list, "self_attn.q_norm", AT(q_norm), c->head_dim, false);
    add_norm(list, "self_attn.k_norm", AT(k_norm), c->head_dim, false);
}

static void add_rotary_layer(slot_list *list, const model_config *c) {
    add_norm(list, "input_layernorm", AT(attention_norm), c->hidden, c->layer_norm);
    add_attention(list, c, "self_attn.o_proj");
    add_norm(list, "post_attention_layernorm", AT(mlp_norm), c->hidden, c->layer_norm);
    add_linear(list, "mlp.gate_proj", AT(gate), c->n_ffn, c->hidden, c->mlp_bias);
    add_linear(list, "mlp.up_proj", AT(up), c->n_ffn, c->hidden, c->mlp_bias);
    add_linear(list, "mlp.down_proj", AT(down), c->hidden, c->n_ffn, c->mlp_bias);
}

static void add_opt_layer(slot_list *list, const model_config *c) {
    add_norm(list, "self_attn_layer_norm", AT(attention_norm), c->hidden, c->layer_norm);
    add_attention(list, c, "self_attn.out_proj");
    add_norm(list, "final_layer_norm", AT(mlp_norm), c->hidden, c->layer_norm);
    add_linear(list, "fc1", AT(up), c->n_ffn, c->hidden, c->mlp_bias);
    add_linear(list, "fc2", AT(down), c->hidden, c->n_ffn, c->mlp_bias);
}

#undef AT
#define AT(member) offsetof(model_weights, member)

static void add_matrix(slot_list *list, const char *module, size_t offset, uint32_t rows,
                       uint32_t cols) {
    add(list, (tensor_slot){module, "weight", TENSOR_MATRIX, rows, cols, offset});
}

void tensor_slots_of(tensor_slots *out, const model_config *c) {
    const bool opt = c->arch == ARCH_OPT;
    slot_list layer = {.slots = out->layer, .capacity = LAYER_SLOTS_MAX};
    slot_list rest = {.slots = out->model, .capacity = MODEL_SLOTS_MAX};
    (opt ? add_opt_layer : add_rotary_layer)(&layer, c);
    add_matrix(&rest, opt ? "model.decoder.embed_tokens" : "model.embed_tokens", AT(embedding),
               c->vocab, c->hidden);
    if (c->learned_positions)
        add_matrix(&rest, "model.decoder.embed_positions", AT(positions),
                   c->max_model_len + c->position_offset, c->hidden);
    if (c->final_norm)
        add_norm(&rest, opt ? "model.decoder.final_layer_norm" : "model.norm", AT(final_norm),
                 c->hidden, c->layer_norm);
    if (!c->tied_embeddings) add_matrix(&rest, "lm_head", AT(head), c->vocab, c->hidden);
    out->stem = opt ? "model.decoder" : "model";
    out->n_layer = layer.n;
    out->n_model = rest.n;
}

uint32_t tensor_slots_count(const tensor_slots *slots, const model_config *c) {
    return slots->n_model + c->n_layers * slots->n_layer;
}

void tensor_slots_at(tensor_place *out, const tensor_slots *slots, uint32_t i) {
    out->in_layer = i >= slots->n_model;
    if (!out->in_layer) {
        out->slot = &slots->model[i];
        snprintf(out->name, sizeof(out->name), "%s.%s", out->slot->module, out->slot->part);
        return;
    }
    i -= slots->n_model;
    out->layer = i / slots->n_layer;
    out->slot = &slots->layer[i % slots->n_layer];
    snprintf(out->name, sizeof(out->name), "%s.layers.%lu.%s.%s", slots->stem,
             (unsigned long)out->layer, out->slot->module, out->slot->part);
}

tensor_view *tensor_slots_view(model_weights *w, const tensor_place *place) {
    void *base = place->in_layer ? (void *)&w->layers[place->layer] : (void *)w;
    return (tensor_view *)((char *)base + place->slot->offset);
}
