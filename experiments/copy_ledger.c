#include "copy_ledger.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void copy_ledger_finish(copy_ledger *l) {
    free(l->copies);
    *l = (copy_ledger){0};
}

static link_direction other(link_direction d) {
    return d == LINK_TO_HOST ? LINK_TO_DEVICE : LINK_TO_HOST;
}

static void advance(copy_ledger *l, int64_t now_ns) {
    assert(now_ns >= l->now_ns);
    for (int d = 0; d < N_LINK_DIRECTIONS; d++)
        if (l->n_of[d] > 0) l->busy_ns[d] += now_ns - l->now_ns;
    l->now_ns = now_ns;
}

static status reserve(copy_ledger *l, uint32_t n) {
    if (n <= l->capacity) return ST_OK;
    uint32_t capacity = 2 * n;
    copy_in_flight *copies = realloc(l->copies, capacity * sizeof(*copies));
    if (!copies) return ST_NO_MEMORY;
    l->copies = copies;
    l->capacity = capacity;
    return ST_OK;
}

/* It gets the stream now. */
static void start(copy_ledger *l, copy_in_flight *c) {
    c->start_ns = l->now_ns;
    c->other_busy_ns = l->busy_ns[other(c->direction)];
}

static void append(copy_ledger *l, const plan_copy *c, uint32_t n_segments) {
    copy_in_flight *added = &l->copies[l->n++];
    *added = (copy_in_flight){.id = c->id,
                              .direction = c->direction,
                              .write_back = c->write_back,
                              .n_blocks = c->n_pairs,
                              .n_segments = n_segments,
                              .predicted_s = NAN};
    if (l->n_of[c->direction]++ == 0) start(l, added);
}

status copy_ledger_submitted(copy_ledger *l, uint32_t *first, const plan *p, uint32_t n_layers,
                             int64_t now_ns) {
    *first = l->n;
    if (p->n_copies == 0) return ST_OK;
    TRY(reserve(l, l->n + p->n_copies));
    advance(l, now_ns);
    for (uint32_t i = 0; i < p->n_copies; i++)
        if (!p->copies[i].ordered)
            append(l, &p->copies[i], plan_copy_segments(p, &p->copies[i], n_layers));
    const bool computes = plan_occupies_compute(p);
    for (uint32_t i = *first; i < l->n; i++)
        l->copies[i].load = (copy_load){
            .other_direction = l->n_of[other(l->copies[i].direction)] > 0, .compute = computes};
    return ST_OK;
}

/* The place of the first copy of a direction; n: there is none. */
static uint32_t first_of(const copy_ledger *l, link_direction d) {
    uint32_t i = 0;
    while (i < l->n && l->copies[i].direction != d) i++;
    return i;
}

bool copy_ledger_completed(copy_ledger *l, copy_in_flight *out, double *busy_share, uint64_t id,
                           int64_t now_ns) {
    uint32_t i = 0;
    while (i < l->n && l->copies[i].id != id) i++;
    if (i == l->n) return false;
    advance(l, now_ns);
    copy_in_flight done = l->copies[i];
    memmove(&l->copies[i], &l->copies[i + 1], (l->n - i - 1) * sizeof(*l->copies));
    l->n--;
    l->n_of[done.direction]--;
    int64_t both_ns = l->busy_ns[other(done.direction)] - done.other_busy_ns;
    int64_t ns = now_ns - done.start_ns;
    *busy_share = ns > 0 ? (double)both_ns / (double)ns : 0;
    uint32_t next = first_of(l, done.direction);
    if (next < l->n) start(l, &l->copies[next]);
    *out = done;
    return true;
}
