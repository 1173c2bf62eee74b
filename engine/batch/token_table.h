/* token_table.h - the token ids of the sequences: prompts made up from a seed, outputs as they
 * were picked.
 *
 * A trace says how long a prompt is, and at most where it equals another: pieces of equal
 * prefix ids get equal tokens, all else is the request's own. So a token of a prompt is a hash
 * of (seed, prefix id or request, position), the same under every policy. Positions count
 * prompt and outputs together. */
#ifndef TOKEN_TABLE_H
#define TOKEN_TABLE_H

#include "sequence.h"

typedef struct token_row {
    uint32_t *tokens; /* [capacity] those not known yet are 0 */
    uint32_t capacity;
    uint32_t n_prompt;
    uint32_t n_output; /* outputs that end it */
    uint64_t request_id;
} token_row;

typedef struct token_table {
    token_row *rows; /* [capacity] by sequence slot */
    uint32_t capacity;
    uint32_t vocab;
    uint64_t seed;
} token_table;

void token_table_init(token_table *t, uint32_t vocab, uint64_t seed);
void token_table_finish(token_table *t);

/* A new sequence in a slot, which ends after n_output tokens. ST_NO_MEMORY. */
MUST_USE status token_table_admit(token_table *t, const request *req, uint32_t seq,
                                  uint32_t n_output);

/* Room for n tokens of a sequence. ST_NO_MEMORY: nothing changed. */
MUST_USE status token_table_reserve(token_table *t, uint32_t seq, uint32_t n);

/* The token at a position of a request's prompt. */
uint32_t prompt_token(const token_table *t, const request *req, uint32_t position);

#endif
