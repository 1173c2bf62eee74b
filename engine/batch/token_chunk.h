/* token_chunk.h - what an engine computes of one sequence in one iteration. */
#ifndef TOKEN_CHUNK_H
#define TOKEN_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

/* Consecutive tokens of one sequence. */
typedef struct token_chunk {
    const uint32_t *tokens; /* [n_tokens] those to compute, each below the vocabulary's size */
    uint32_t n_tokens;      /* at least 1 */
    uint32_t n_before;      /* KV of [0, n_before) is in the blocks */
    const uint32_t *blocks; /* the sequence's table: covers n_before + n_tokens */
    bool samples;           /* logits of its last token are wanted */
} token_chunk;

#endif
