#include "token_batch.h"

#include <assert.h>
#include <stdlib.h>

#include "kv_pool.h"

void token_batch_finish(token_batch *b) {
    free(b->chunks);
    free(b->seqs);
    free(b->blocks);
    *b = (token_batch){0};
}

/* Makes *array [n] of elements of `size` bytes; what was there is lost. */
static status resize(void **array, size_t n, size_t size) {
    if (n > SIZE_MAX / size) return ST_NO_MEMORY;
    free(*array);
    *array = malloc(n * size);
    return *array ? ST_OK : ST_NO_MEMORY;
}

#define RESIZE(array, n)                                                                       \
    do {                                                                                       \
        void *resized = (array);                                                               \
        status resize_status = resize(&resized, (n), sizeof(*(array)));                        \
        (array) = resized;                                                                     \
        TRY(resize_status);                                                                    \
    } while (0)

static status reserve_chunks(token_batch *b, uint32_t n) {
    if (n <= b->capacity) return ST_OK;
    b->capacity = 0;
    RESIZE(b->chunks, 2 * (size_t)n);
    RESIZE(b->seqs, 2 * (size_t)n);
    b->capacity = 2 * n;
    return ST_OK;
}

static status reserve_blocks(token_batch *b, size_t n) {
    if (n <= b->blocks_capacity) return ST_OK;
    b->blocks_capacity = 0;
    RESIZE(b->blocks, 2 * n);
    b->blocks_capacity = 2 * n;
    return ST_OK;
}

/* One line of a batch before its table is known. */
static void append(token_batch *b, uint32_t seq, uint32_t n_before, uint32_t n_tokens,
                   bool samples) {
    b->seqs[b->n] = seq;
    b->chunks[b->n++] =
        (token_chunk){.n_before = n_before, .n_tokens = n_tokens, .samples = samples};
    b->n_tokens += n_tokens;
    b->n_sampling += samples;
}

static void append_all(token_batch *b, const plan *p) {
    b->n = b->n_tokens = b->n_sampling = 0;
    for (uint32_t i = 0; i < p->n_chunks; i++) {
        const plan_chunk *c = &p->chunks[i];
        append(b, c->seq, c->n_before, c->n_tokens, c->samples);
    }
    if (!p->runs_cohort) return;
    for (uint32_t phase = 0; phase < p->decodes->block_tokens; phase++) {
        uint32_t id = p->decodes->buckets[phase].first;
        for (; id != NO_SEQ; id = p->seqs->seqs[id].phase_next)
            append(b, id, cohort_n_computed(p->decodes, &p->seqs->seqs[id]), 1, true);
    }
}

/* Blocks that a chunk reaches by the end of the horizon. */
static uint32_t n_blocks_of(const token_chunk *c, uint32_t horizon, uint32_t block_tokens) {
    uint64_t end = (uint64_t)token_batch_end(c) + horizon - 1;
    return (uint32_t)((end + block_tokens - 1) / block_tokens);
}

static status load_row(token_batch *b, uint32_t i, uint32_t *blocks, const plan *p,
                       token_table *tokens, uint32_t n_device_blocks) {
    token_chunk *c = &b->chunks[i];
    const sequence *q = &p->seqs->seqs[b->seqs[i]];
    uint32_t n = n_blocks_of(c, p->horizon, p->decodes->block_tokens);
    assert(n <= q->n_slots);
    for (uint32_t j = 0; j < n; j++) {
        assert(q->slots[j].device < n_device_blocks);
        blocks[j] = q->slots[j].device;
    }
    c->blocks = blocks;
    TRY(token_table_reserve(tokens, b->seqs[i], token_batch_end(c) + p->horizon));
    c->tokens = tokens->rows[b->seqs[i]].tokens + c->n_before;
    return ST_OK;
}

status token_batch_load(token_batch *b, const plan *p, token_table *tokens,
                        uint32_t n_device_blocks) {
    TRY(reserve_chunks(b, p->n_chunks + (p->runs_cohort ? p->decodes->n : 0)));
    append_all(b, p);
    b->n_blocks = 0;
    for (uint32_t i = 0; i < b->n; i++)
        b->n_blocks += n_blocks_of(&b->chunks[i], p->horizon, p->decodes->block_tokens);
    TRY(reserve_blocks(b, b->n_blocks));
    uint32_t *blocks = b->blocks;
    for (uint32_t i = 0; i < b->n; i++) {
        TRY(load_row(b, i, blocks, p, tokens, n_device_blocks));
        blocks += n_blocks_of(&b->chunks[i], p->horizon, p->decodes->block_tokens);
    }
    return ST_OK;
}

void token_batch_advance(token_batch *b) {
    for (uint32_t i = 0; i < b->n; i++) {
        assert(b->chunks[i].n_tokens == 1 && b->chunks[i].samples);
        b->chunks[i].n_before++;
        b->chunks[i].tokens++;
    }
}
