#include "cohort.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

status cohort_init(cohort *c, uint32_t block_tokens) {
    *c = (cohort){.block_tokens = block_tokens};
    c->buckets = malloc(block_tokens * sizeof(*c->buckets));
    if (!c->buckets) return ST_NO_MEMORY;
    for (uint32_t i = 0; i < block_tokens; i++)
        c->buckets[i] = (cohort_bucket){NO_SEQ, NO_SEQ, 0};
    return ST_OK;
}

void cohort_finish(cohort *c) {
    free(c->buckets);
    free(c->joined);
    *c = (cohort){0};
}

/* The phase of the ticks at which n_computed is a multiple of block_tokens. */
static cohort_bucket *bucket_of(const cohort *c, const sequence *s) {
    uint32_t bt = c->block_tokens;
    return &c->buckets[(s->joined_tick % bt + bt - s->n_computed % bt) % bt];
}

static void bucket_insert(cohort_bucket *b, sequence_table *t, uint32_t id) {
    sequence *s = &t->seqs[id];
    uint32_t after = b->last; /* mostly the newest: found at once */
    while (after != NO_SEQ && t->seqs[after].running_no > s->running_no)
        after = t->seqs[after].phase_prev;
    uint32_t before = after == NO_SEQ ? b->first : t->seqs[after].phase_next;
    s->phase_prev = after;
    s->phase_next = before;
    if (after == NO_SEQ)
        b->first = id;
    else
        t->seqs[after].phase_next = id;
    if (before == NO_SEQ)
        b->last = id;
    else
        t->seqs[before].phase_prev = id;
    b->n++;
}

static void bucket_remove(cohort_bucket *b, sequence_table *t, uint32_t id) {
    const sequence *s = &t->seqs[id];
    if (s->phase_prev == NO_SEQ)
        b->first = s->phase_next;
    else
        t->seqs[s->phase_prev].phase_next = s->phase_next;
    if (s->phase_next == NO_SEQ)
        b->last = s->phase_prev;
    else
        t->seqs[s->phase_next].phase_prev = s->phase_prev;
    b->n--;
}

/* A member's n_computed when the ticks began, had it always been one: it never changes. */
static int64_t start_of(const sequence *s) {
    return (int64_t)s->n_computed - (int64_t)s->joined_tick;
}

/* Walks over all members; only when the longest has left. */
static int64_t find_longest(const cohort *c, const sequence_table *t) {
    int64_t longest = INT64_MIN;
    for (uint32_t i = 0; i < c->block_tokens; i++)
        for (uint32_t id = c->buckets[i].first; id != NO_SEQ; id = t->seqs[id].phase_next)
            if (longest < start_of(&t->seqs[id])) longest = start_of(&t->seqs[id]);
    return longest;
}

status cohort_join(cohort *c, sequence_table *t, uint32_t id) {
    sequence *s = &t->seqs[id];
    assert(!s->in_cohort);
    assert(s->n_output > 0 && s->n_computed + 1 == sequence_len(s));
    if (c->n_joined == c->joined_capacity) {
        uint32_t capacity = c->joined_capacity ? 2 * c->joined_capacity : 64;
        uint32_t *joined = realloc(c->joined, capacity * sizeof(*joined));
        if (!joined) return ST_NO_MEMORY;
        c->joined = joined;
        c->joined_capacity = capacity;
    }
    c->joined[c->n_joined++] = id;
    s->in_cohort = true;
    s->joined_tick = c->tick;
    bucket_insert(bucket_of(c, s), t, id);
    if (c->n == 0 || c->longest < start_of(s)) c->longest = start_of(s);
    c->n++;
    c->kv_tokens += s->n_computed;
    return ST_OK;
}

void cohort_leave(cohort *c, sequence_table *t, uint32_t id) {
    sequence *s = &t->seqs[id];
    assert(s->in_cohort);
    bucket_remove(bucket_of(c, s), t, id);
    if (start_of(s) == c->longest) c->longest = find_longest(c, t);
    if (s->joined_tick == c->tick) { /* not a tick old: still among the joined */
        uint32_t i = 0;
        while (c->joined[i] != id) i++;
        memmove(c->joined + i, c->joined + i + 1, (c->n_joined - i - 1) * sizeof(*c->joined));
        c->n_joined--;
    }
    s->n_output = cohort_n_output(c, s);
    s->n_computed = cohort_n_computed(c, s);
    s->in_cohort = false;
    c->n--;
    c->kv_tokens -= s->n_computed;
}

void cohort_reorder(cohort *c, sequence_table *t, const sequence_list *running) {
    for (uint32_t i = 0; i < c->block_tokens; i++)
        c->buckets[i] = (cohort_bucket){NO_SEQ, NO_SEQ, 0};
    for (uint32_t id = running->first; id != NO_SEQ; id = t->seqs[id].next)
        if (t->seqs[id].in_cohort) bucket_insert(bucket_of(c, &t->seqs[id]), t, id);
}

void cohort_advance(cohort *c, uint64_t n) {
    if (n == 0) return;
    c->tick += n;
    c->kv_tokens += n * c->n;
    c->n_joined = 0;
}

uint32_t cohort_ticks_within(const cohort *c, uint64_t n_blocks, uint32_t n_max) {
    if (c->n == 0) return n_max;
    uint64_t rounds = n_blocks / c->n; /* in block_tokens ticks each member grows once */
    if (rounds >= n_max / c->block_tokens + 1) return n_max;
    uint32_t ticks = (uint32_t)rounds * c->block_tokens;
    uint64_t left = n_blocks - rounds * c->n;
    while (ticks < n_max && cohort_growth(c, ticks)->n <= left)
        left -= cohort_growth(c, ticks++)->n;
    return ticks;
}
