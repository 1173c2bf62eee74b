#include "sequence.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void sequence_table_init(sequence_table *t) {
    *t = (sequence_table){.seqs = NULL, .free_head = NO_SEQ};
}

void sequence_table_finish(sequence_table *t) {
    for (uint32_t id = 0; id < t->n_touched; id++) {
        free(t->seqs[id].slots);
        if (t->seqs[id].state != SEQ_UNUSED) free((void *)t->seqs[id].req.prefix_ids);
    }
    free(t->seqs);
    sequence_table_init(t);
}

static status make_room(sequence_table *t) {
    if (t->free_head != NO_SEQ || t->n_touched < t->capacity) return ST_OK;
    if (t->capacity >= NO_SEQ / 2) return ST_NO_MEMORY;
    uint32_t capacity = t->capacity ? t->capacity + t->capacity / 2 : 256;
    sequence *seqs = realloc(t->seqs, capacity * sizeof(*seqs));
    if (!seqs) return ST_NO_MEMORY;
    t->seqs = seqs;
    t->capacity = capacity;
    return ST_OK;
}

static status copy_prefix(const uint64_t **out, const request *req) {
    size_t bytes = req->n_prefix_ids * sizeof(*req->prefix_ids);
    uint64_t *ids = malloc(bytes);
    if (!ids) return ST_NO_MEMORY;
    memcpy(ids, req->prefix_ids, bytes);
    *out = ids;
    return ST_OK;
}

status sequence_add(sequence_table *t, uint32_t *id, const request *req, bool keep_prefix) {
    const uint64_t *prefix = NULL;
    if (keep_prefix && req->n_prefix_ids && copy_prefix(&prefix, req) != ST_OK)
        return ST_NO_MEMORY;
    if (make_room(t) != ST_OK) {
        free((void *)prefix);
        return ST_NO_MEMORY;
    }
    kv_slot *slots =
        NULL; /* a slot keeps the table of the one before it: no malloc when warm */
    uint32_t slots_capacity = 0;
    uint32_t at = t->free_head;
    if (at != NO_SEQ) {
        t->free_head = t->seqs[at].next;
        slots = t->seqs[at].slots;
        slots_capacity = t->seqs[at].slots_capacity;
    } else {
        at = t->n_touched++;
    }
    sequence *s = &t->seqs[at];
    *s = (sequence){.req = *req,
                    .state = SEQ_WAITING,
                    .slots = slots,
                    .slots_capacity = slots_capacity,
                    .prev = NO_SEQ,
                    .next = NO_SEQ};
    s->req.prefix_ids = prefix;
    if (!prefix) s->req.n_prefix_ids = 0;
    t->n_used++;
    *id = at;
    return ST_OK;
}

void sequence_remove(sequence_table *t, uint32_t id) {
    sequence *s = &t->seqs[id];
    assert(s->state != SEQ_UNUSED);
    assert(!s->in_cohort);
    assert(s->n_slots == 0);
    free((void *)s->req.prefix_ids);
    s->req.prefix_ids = NULL;
    s->state = SEQ_UNUSED;
    s->next = t->free_head;
    t->free_head = id;
    t->n_used--;
}

status sequence_push_slot(sequence *s, kv_slot slot) {
    if (s->n_slots == s->slots_capacity) {
        uint32_t capacity = s->slots_capacity ? 2 * s->slots_capacity : 32;
        kv_slot *slots = realloc(s->slots, capacity * sizeof(*slots));
        if (!slots) return ST_NO_MEMORY;
        s->slots = slots;
        s->slots_capacity = capacity;
    }
    s->slots[s->n_slots++] = slot;
    return ST_OK;
}

void sequence_list_insert_after(sequence_list *l, sequence_table *t, uint32_t after,
                                uint32_t id) {
    uint32_t before = after == NO_SEQ ? l->first : t->seqs[after].next;
    t->seqs[id].prev = after;
    t->seqs[id].next = before;
    if (after == NO_SEQ)
        l->first = id;
    else
        t->seqs[after].next = id;
    if (before == NO_SEQ)
        l->last = id;
    else
        t->seqs[before].prev = id;
    l->n++;
}

void sequence_list_push_back(sequence_list *l, sequence_table *t, uint32_t id) {
    sequence_list_insert_after(l, t, l->last, id);
}

void sequence_list_push_front(sequence_list *l, sequence_table *t, uint32_t id) {
    sequence_list_insert_after(l, t, NO_SEQ, id);
}

void sequence_list_remove(sequence_list *l, sequence_table *t, uint32_t id) {
    sequence *s = &t->seqs[id];
    assert(l->n > 0);
    if (s->prev == NO_SEQ)
        l->first = s->next;
    else
        t->seqs[s->prev].next = s->next;
    if (s->next == NO_SEQ)
        l->last = s->prev;
    else
        t->seqs[s->next].prev = s->prev;
    s->prev = s->next = NO_SEQ;
    l->n--;
}

uint32_t sequence_list_pop_front(sequence_list *l, sequence_table *t) {
    uint32_t id = l->first;
    if (id != NO_SEQ) sequence_list_remove(l, t, id);
    return id;
}

uint32_t sequence_list_pop_back(sequence_list *l, sequence_table *t) {
    uint32_t id = l->last;
    if (id != NO_SEQ) sequence_list_remove(l, t, id);
    return id;
}

void sequence_list_sort(sequence_list *l, sequence_table *t,
                        bool (*before)(const sequence *a, const sequence *b)) {
    uint32_t id = l->first;
    while (id != NO_SEQ) {
        uint32_t next = t->seqs[id].next;
        uint32_t after = t->seqs[id].prev;
        if (after != NO_SEQ && before(&t->seqs[id], &t->seqs[after])) {
            sequence_list_remove(l, t, id);
            while (after != NO_SEQ && before(&t->seqs[id], &t->seqs[after]))
                after = t->seqs[after].prev;
            sequence_list_insert_after(l, t, after, id);
        }
        id = next;
    }
}

void sequence_list_append(sequence_list *a, sequence_table *t, sequence_list *b) {
    if (b->n == 0) return;
    if (a->n == 0) {
        *a = *b;
    } else {
        t->seqs[a->last].next = b->first;
        t->seqs[b->first].prev = a->last;
        a->last = b->last;
        a->n += b->n;
    }
    *b = SEQUENCE_LIST_EMPTY;
}
