/* forward_state.h - what a forward pass holds; for forward.c and forward_pass.c alone. */
#ifndef FORWARD_STATE_H
#define FORWARD_STATE_H

#include <stdatomic.h>

#include "attention.h"
#include "forward.h"
#include "gemm.h"
#include "vectors.h"
#include "workers.h"

/* A token of the batch. */
typedef struct batch_token {
    uint32_t id, position;
    const uint32_t *blocks; /* of its sequence */
} batch_token;

/* The batch at hand. */
typedef struct forward_batch {
    float *arena;
    const token_chunk *chunks; /* [n_chunks] */
    uint32_t n_chunks, n_tokens, n_samples;
    float *logits;
    uint32_t layer;
    atomic_uint next_tile; /* of attention, to be taken by a worker */
} forward_batch;

struct forward {
    const model_config *config;
    const model_weights *weights;
    model_vectors vectors;
    forward_options options;
    kv_layout layout;
    gemm gemm;
    attention attention;
    workers *workers;
    forward_batch batch;

    /* Of the batch: rows are its tokens, in the order of the chunks. */
    batch_token *tokens;    /* [max_tokens] */
    uint32_t *first_tiles;  /* [max_tokens + 1] of each chunk, and their number */
    float *x;               /* [max_tokens, hidden] residual stream */
    float *h;               /* [max_tokens, hidden] its norm */
    float *q, *mixed;       /* [max_tokens, n_heads * head_dim] queries; result of attention */
    float *k, *v;           /* [max_tokens, n_kv_heads * head_dim] */
    float *gate, *up;       /* [max_tokens, n_ffn]; gate only with gated_mlp */
    float *cosines, *sines; /* [max_tokens, head_dim / 2] unless positions are learned */
    float *frequencies;     /* [head_dim / 2] likewise */
    float *scratch;         /* [n_threads, scratch_floats] */
    size_t scratch_floats;
    float *memory; /* what the arrays of floats are cut from */
};

#endif
