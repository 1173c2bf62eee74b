#include "copy_pieces.h"

#include <stdlib.h>

void copy_pieces_finish(copy_pieces *p) {
    free(p->to);
    free(p->from);
    free(p->sizes);
    *p = (copy_pieces){0};
}

void copy_pieces_clear(copy_pieces *p) {
    p->n = 0;
}

/* Arrays that have grown stay as long as they are, whether or not the others could. */
static status reserve(copy_pieces *p, size_t n) {
    if (n <= p->capacity) return ST_OK;
    void **to = realloc(p->to, 2 * n * sizeof(*to));
    if (to) p->to = to;
    const void **from = realloc(p->from, 2 * n * sizeof(*from));
    if (from) p->from = from;
    size_t *sizes = realloc(p->sizes, 2 * n * sizeof(*sizes));
    if (sizes) p->sizes = sizes;
    if (!to || !from || !sizes) return ST_NO_MEMORY;
    p->capacity = 2 * n;
    return ST_OK;
}

static void add(copy_pieces *p, link_direction direction, char *device, char *host,
                size_t bytes) {
    p->to[p->n] = direction == LINK_TO_HOST ? host : device;
    p->from[p->n] = direction == LINK_TO_HOST ? device : host;
    p->sizes[p->n++] = bytes;
}

static void add_by_layer(copy_pieces *p, const block_pair *pairs, const plan_copy *c,
                         const copy_memory *m) {
    size_t piece = m->block_bytes / (2 * m->n_layers);
    for (uint32_t i = 0; i < c->n_pairs; i++)
        for (size_t at = 0; at < m->block_bytes; at += piece)
            add(p, c->direction, m->device + pairs[i].device * m->block_bytes + at,
                m->host + pairs[i].host * m->block_bytes + at, piece);
}

/* Blocks from pairs[0] on that lie behind one another on both sides. */
static uint32_t run_length(const block_pair *pairs, uint32_t n) {
    uint32_t length = 1;
    while (length < n && pairs[length].device == pairs[0].device + length &&
           pairs[length].host == pairs[0].host + length)
        length++;
    return length;
}

status copy_pieces_add(copy_pieces *p, const plan *of, const plan_copy *c,
                       const copy_memory *m) {
    const block_pair *pairs = of->pairs + c->first_pair;
    if (reserve(p, p->n + plan_copy_segments(of, c, m->n_layers)) != ST_OK) return ST_NO_MEMORY;
    if (c->per_layer) {
        add_by_layer(p, pairs, c, m);
        return ST_OK;
    }
    for (uint32_t i = 0; i < c->n_pairs;) {
        uint32_t n = run_length(pairs + i, c->n_pairs - i);
        add(p, c->direction, m->device + pairs[i].device * m->block_bytes,
            m->host + pairs[i].host * m->block_bytes, n * m->block_bytes);
        i += n;
    }
    return ST_OK;
}
