#include "plan.h"

#include <stdlib.h>
#include <string.h>

void plan_finish(plan *p) {
    free(p->chunks);
    free(p->copies);
    free(p->pairs);
    free(p->preempted);
    free(p->ignored);
    *p = (plan){0};
}

void plan_clear(plan *p) {
    p->n_chunks = p->n_copies = p->n_pairs = p->n_preempted = p->n_ignored = 0;
    p->runs_cohort = false;
    p->n_tokens = p->n_padding = 0;
    p->horizon = 1;
}

/* Makes room for one more entry of `size` bytes in *array. */
static status reserve(void **array, uint32_t n, uint32_t *capacity, size_t size) {
    if (n < *capacity) return ST_OK;
    uint32_t wanted = *capacity ? 2 * *capacity : 16;
    void *grown = realloc(*array, wanted * size);
    if (!grown) return ST_NO_MEMORY;
    *array = grown;
    *capacity = wanted;
    return ST_OK;
}

#define APPEND(p, list, value)                                                                 \
    do {                                                                                       \
        void *array = (p)->list;                                                               \
        status st = reserve(&array, (p)->n_##list, &(p)->list##_capacity, sizeof(value));      \
        if (st != ST_OK) return st;                                                            \
        (p)->list = array;                                                                     \
        (p)->list[(p)->n_##list++] = (value);                                                  \
        return ST_OK;                                                                          \
    } while (0)

status plan_add_chunk(plan *p, plan_chunk chunk) {
    APPEND(p, chunks, chunk);
}

status plan_add_copy(plan *p, plan_copy copy) {
    APPEND(p, copies, copy);
}

status plan_add_pair(plan *p, block_pair pair) {
    APPEND(p, pairs, pair);
}

status plan_add_preempted(plan *p, uint32_t seq) {
    APPEND(p, preempted, seq);
}

status plan_add_ignored(plan *p, uint32_t seq) {
    APPEND(p, ignored, seq);
}

uint32_t plan_drop_chunk(plan *p, uint32_t seq) {
    for (uint32_t i = 0; i < p->n_chunks; i++) {
        if (p->chunks[i].seq != seq) continue;
        uint32_t n_tokens = p->chunks[i].n_tokens;
        memmove(p->chunks + i, p->chunks + i + 1, (p->n_chunks - i - 1) * sizeof(*p->chunks));
        p->n_chunks--;
        return n_tokens;
    }
    return 0;
}

bool plan_has_work(const plan *p) {
    return p->n_chunks || p->runs_cohort || p->n_copies;
}

bool plan_has_ordered_copies(const plan *p) {
    for (uint32_t i = 0; i < p->n_copies; i++)
        if (p->copies[i].ordered) return true;
    return false;
}

bool plan_occupies_compute(const plan *p) {
    return p->n_chunks || p->runs_cohort || plan_has_ordered_copies(p);
}

/* The batch with padding, or without it and the first n_recomputed tokens of each chunk. */
static batch_shape shape_of(const plan *p, bool with_recomputed) {
    batch_shape b = {.n_tokens = with_recomputed ? p->n_padding : 0};
    for (uint32_t i = 0; i < p->n_chunks; i++) {
        const plan_chunk *c = &p->chunks[i];
        uint32_t left_out = with_recomputed ? 0 : c->n_recomputed;
        if (left_out < c->n_tokens)
            batch_shape_add_chunk(&b, c->n_before + left_out, c->n_tokens - left_out,
                                  c->samples);
    }
    if (p->runs_cohort)
        batch_shape_add_decodes(&b, p->decodes->n, p->decodes->kv_tokens + p->decodes->n,
                                cohort_kv_max(p->decodes) + 1);
    return b;
}

batch_shape plan_shape(const plan *p) {
    return shape_of(p, true);
}

batch_shape plan_shape_without_recompute(const plan *p) {
    return shape_of(p, false);
}

uint32_t plan_copy_segments(const plan *p, const plan_copy *c, uint32_t n_layers) {
    if (c->per_layer) return c->n_pairs * 2 * n_layers;
    const block_pair *pairs = p->pairs + c->first_pair;
    uint32_t n = c->n_pairs > 0;
    for (uint32_t i = 1; i < c->n_pairs; i++)
        n += pairs[i].device != pairs[i - 1].device + 1 ||
             pairs[i].host != pairs[i - 1].host + 1;
    return n;
}
