#include "token_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

enum { STREAM_OWN_TOKENS = 91, STREAM_SHARED_TOKENS = 92, STREAM_TOKEN = 93 };

void token_table_init(token_table *t, uint32_t vocab, uint64_t seed) {
    *t = (token_table){.vocab = vocab, .seed = seed};
}

void token_table_finish(token_table *t) {
    for (uint32_t i = 0; i < t->capacity; i++) free(t->rows[i].tokens);
    free(t->rows);
    *t = (token_table){0};
}

uint32_t prompt_token(const token_table *t, const request *req, uint32_t position) {
    uint32_t piece = req->n_prefix_ids ? position / req->prefix_tokens : 0;
    uint64_t text = piece < req->n_prefix_ids
                        ? rng_bits(t->seed, STREAM_SHARED_TOKENS, req->prefix_ids[piece])
                        : rng_bits(t->seed, STREAM_OWN_TOKENS, req->id);
    return (uint32_t)(rng_bits(text, STREAM_TOKEN, position) % t->vocab);
}

static status make_room(token_table *t, uint32_t seq) {
    if (seq < t->capacity) return ST_OK;
    uint32_t capacity = seq + seq / 2 + 64;
    token_row *rows = realloc(t->rows, capacity * sizeof(*rows));
    if (!rows) return ST_NO_MEMORY;
    memset(rows + t->capacity, 0, (capacity - t->capacity) * sizeof(*rows));
    t->rows = rows;
    t->capacity = capacity;
    return ST_OK;
}

status token_table_reserve(token_table *t, uint32_t seq, uint32_t n) {
    token_row *r = &t->rows[seq];
    assert(seq < t->capacity);
    if (n <= r->capacity) return ST_OK;
    uint32_t capacity = n + n / 2 + 64;
    uint32_t *tokens = realloc(r->tokens, capacity * sizeof(*tokens));
    if (!tokens) return ST_NO_MEMORY;
    memset(tokens + r->capacity, 0, (capacity - r->capacity) * sizeof(*tokens));
    r->tokens = tokens;
    r->capacity = capacity;
    return ST_OK;
}

status token_table_admit(token_table *t, const request *req, uint32_t seq, uint32_t n_output) {
    TRY(make_room(t, seq));
    TRY(token_table_reserve(t, seq, req->n_prompt));
    token_row *r = &t->rows[seq];
    r->n_prompt = req->n_prompt;
    r->n_output = n_output;
    r->request_id = req->id;
    for (uint32_t i = 0; i < req->n_prompt; i++) r->tokens[i] = prompt_token(t, req, i);
    if (r->capacity > r->n_prompt) /* of the sequence before it in this slot */
        memset(r->tokens + r->n_prompt, 0, (r->capacity - r->n_prompt) * sizeof(*r->tokens));
    return ST_OK;
}
