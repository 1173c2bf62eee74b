/* kv_layout.h - where in the arena the K and V of a token lie.
 *
 * A block is [layer][K | V][token of block_tokens][kv_head][head_dim] float32. */
#ifndef KV_LAYOUT_H
#define KV_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

typedef enum kv_part { KV_KEYS, KV_VALUES, N_KV_PARTS } kv_part;

typedef struct kv_layout {
    uint32_t block_tokens, n_layers, n_kv_heads, head_dim;
} kv_layout;

/* Floats of one token in one layer's K or V. */
static inline size_t kv_layout_width(const kv_layout *l) {
    return (size_t)l->n_kv_heads * l->head_dim;
}

static inline size_t kv_layout_block_floats(const kv_layout *l) {
    return (size_t)l->n_layers * N_KV_PARTS * l->block_tokens * kv_layout_width(l);
}

/* [block_tokens, width] of one block. */
static inline float *kv_layout_rows(const kv_layout *l, float *arena, uint32_t block,
                                    uint32_t layer, kv_part part) {
    size_t matrix = (size_t)layer * N_KV_PARTS + part;
    return arena + block * kv_layout_block_floats(l) +
           matrix * l->block_tokens * kv_layout_width(l);
}

#endif
