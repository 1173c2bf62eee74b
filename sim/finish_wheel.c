#include "finish_wheel.h"

#include <assert.h>
#include <stdlib.h>

void finish_wheel_init(finish_wheel *w) {
    *w = (finish_wheel){.slots = NULL};
    for (uint32_t i = 0; i < FINISH_WHEEL_BUCKETS; i++) w->buckets[i] = NO_SEQ;
}

void finish_wheel_finish(finish_wheel *w) {
    free(w->slots);
    free(w->finished);
}

static void unlink_slot(finish_wheel *w, uint32_t seq) {
    finish_slot *s = &w->slots[seq];
    if (s->bucket == FINISH_WHEEL_BUCKETS) return;
    if (s->prev == NO_SEQ)
        w->buckets[s->bucket] = s->next;
    else
        w->slots[s->prev].next = s->next;
    if (s->next != NO_SEQ) w->slots[s->next].prev = s->prev;
    s->bucket = FINISH_WHEEL_BUCKETS;
}

static status make_room(finish_wheel *w, uint32_t seq) {
    uint32_t capacity = seq + seq / 2 + 256;
    finish_slot *slots = realloc(w->slots, capacity * sizeof(*slots));
    if (!slots) return ST_NO_MEMORY;
    w->slots = slots;
    /* All slots may finish in one tick. */
    uint32_t *finished = realloc(w->finished, capacity * sizeof(*finished));
    if (!finished) return ST_NO_MEMORY;
    w->finished = finished;
    for (uint32_t i = w->capacity; i < capacity; i++) slots[i].bucket = FINISH_WHEEL_BUCKETS;
    w->capacity = w->finished_capacity = capacity;
    return ST_OK;
}

status finish_wheel_admit(finish_wheel *w, uint32_t seq, uint32_t n_output) {
    assert(n_output > 0);
    if (seq >= w->capacity && make_room(w, seq) != ST_OK) return ST_NO_MEMORY;
    unlink_slot(w, seq);
    w->slots[seq].n_output = n_output;
    return ST_OK;
}

/* Outputs at which a sequence ends. */
static uint32_t last_output(const finish_wheel *w, const sequence *q, uint32_t seq) {
    uint32_t n = w->slots[seq].n_output;
    return n < q->n_output_max ? n : q->n_output_max;
}

void finish_wheel_join(finish_wheel *w, const sequence_table *seqs, uint32_t seq) {
    const sequence *q = &seqs->seqs[seq];
    uint32_t n_left = last_output(w, q, seq) - q->n_output;
    assert(q->in_cohort && n_left > 0);
    unlink_slot(w, seq);
    finish_slot *s = &w->slots[seq];
    s->bucket = (uint32_t)((q->joined_tick + n_left) % FINISH_WHEEL_BUCKETS);
    s->prev = NO_SEQ;
    s->next = w->buckets[s->bucket];
    if (s->next != NO_SEQ) w->slots[s->next].prev = seq;
    w->buckets[s->bucket] = seq;
}

static void collect_chunks(finish_wheel *w, const plan *p) {
    for (uint32_t i = 0; i < p->n_chunks; i++) {
        uint32_t seq = p->chunks[i].seq;
        const sequence *q = &p->seqs->seqs[seq];
        if (p->chunks[i].samples && q->n_output + 1 == last_output(w, q, seq))
            w->finished[w->n_finished++] = seq;
    }
}

void finish_wheel_collect(finish_wheel *w, const plan *p, uint32_t n_done) {
    w->n_finished = 0;
    if (n_done == 1) collect_chunks(w, p);
    if (!p->runs_cohort) return;
    uint64_t tick = p->decodes->tick + n_done;
    uint32_t seq = w->buckets[tick % FINISH_WHEEL_BUCKETS];
    while (seq != NO_SEQ) {
        const sequence *q = &p->seqs->seqs[seq];
        uint32_t following = w->slots[seq].next;
        /* In another round of the wheel: stays. Gone from the cohort: is dropped. */
        if (!q->in_cohort)
            unlink_slot(w, seq);
        else if (q->n_output + (tick - q->joined_tick) == last_output(w, q, seq)) {
            w->finished[w->n_finished++] = seq;
            unlink_slot(w, seq);
        }
        seq = following;
    }
}
