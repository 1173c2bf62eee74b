/* attention.h - causal attention over paged KV, tile by tile of queries.
 *
 * A tile is some neighbouring tokens of one sequence with the query heads that share one KV
 * head: their keys and values are read once for all of them. For each query the sums run over
 * the positions 0, 1, 2, ... in this order, whatever the tile and the block size are, so its
 * result depends on its own sequence alone.
 * Threads: any number, each with its own scratch. */
#ifndef ATTENTION_H
#define ATTENTION_H

#include "kernels.h"
#include "kv_layout.h"

typedef struct attention {
    const cpu_kernels *kernels;
    kv_layout layout;
    uint32_t n_heads;     /* of queries: a multiple of layout.n_kv_heads */
    uint32_t tile_tokens; /* of a tile, at most */
    uint32_t max_len;     /* positions of a sequence, at most */
} attention;

typedef struct attention_tile {
    float *arena;
    const uint32_t *blocks; /* the sequence's table */
    uint32_t layer, kv_head;
    uint32_t n_before, n_tokens; /* queries [n_before, n_before + n_tokens), KV of all there */
    const float *q; /* [n_tokens, n_heads * head_dim], first row: position n_before */
    float *out;     /* the same shape; only the heads of kv_head are written */
} attention_tile;

void attention_init(attention *a, const cpu_kernels *k, const kv_layout *l, uint32_t n_heads,
                    uint32_t max_len);

size_t attention_scratch_floats(const attention *a);

void attention_run(const attention *a, const attention_tile *t, float *scratch);

#endif
