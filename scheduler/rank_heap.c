#include "rank_heap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void rank_heap_finish(rank_heap *h) {
    free(h->entries);
    free(h->places);
    *h = RANK_HEAP_EMPTY;
}

static bool precedes(const rank_entry *a, const rank_entry *b) {
    return a->rank < b->rank || (a->rank == b->rank && a->request_id < b->request_id);
}

static void put(rank_heap *h, uint32_t at, rank_entry e) {
    h->entries[at] = e;
    h->places[e.seq] = at + 1;
}

static void sift_up(rank_heap *h, uint32_t at) {
    rank_entry e = h->entries[at];
    for (; at > 0 && precedes(&e, &h->entries[(at - 1) / 2]); at = (at - 1) / 2)
        put(h, at, h->entries[(at - 1) / 2]);
    put(h, at, e);
}

static void sift_down(rank_heap *h, uint32_t at) {
    rank_entry e = h->entries[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < h->n && precedes(&h->entries[child + 1], &h->entries[child])) child++;
        if (child >= h->n || !precedes(&h->entries[child], &e)) break;
        put(h, at, h->entries[child]);
        at = child;
    }
    put(h, at, e);
}

static status reserve(rank_heap *h, uint32_t seq) {
    if (h->n == h->capacity) {
        uint32_t capacity = h->capacity ? 2 * h->capacity : 64;
        rank_entry *entries = realloc(h->entries, capacity * sizeof(*entries));
        if (!entries) return ST_NO_MEMORY;
        h->entries = entries;
        h->capacity = capacity;
    }
    if (seq < h->n_places) return ST_OK;
    uint32_t n_places = 2 * (seq + 32);
    uint32_t *places = realloc(h->places, n_places * sizeof(*places));
    if (!places) return ST_NO_MEMORY;
    memset(places + h->n_places, 0, (n_places - h->n_places) * sizeof(*places));
    h->places = places;
    h->n_places = n_places;
    return ST_OK;
}

status rank_heap_push(rank_heap *h, uint32_t seq, double rank, uint64_t request_id) {
    assert(!rank_heap_has(h, seq));
    TRY(reserve(h, seq));
    h->entries[h->n] = (rank_entry){rank, request_id, seq};
    sift_up(h, h->n++);
    return ST_OK;
}

bool rank_heap_has(const rank_heap *h, uint32_t seq) {
    return seq < h->n_places && h->places[seq] != 0;
}

static void settle(rank_heap *h, uint32_t at) {
    uint32_t seq = h->entries[at].seq;
    sift_up(h, at);
    sift_down(h, h->places[seq] - 1);
}

void rank_heap_remove(rank_heap *h, uint32_t seq) {
    if (!rank_heap_has(h, seq)) return;
    uint32_t at = h->places[seq] - 1;
    h->places[seq] = 0;
    rank_entry last = h->entries[--h->n];
    if (at == h->n) return;
    put(h, at, last);
    settle(h, at);
}

void rank_heap_rerank(rank_heap *h, uint32_t seq, double rank) {
    assert(rank_heap_has(h, seq));
    h->entries[h->places[seq] - 1].rank = rank;
    settle(h, h->places[seq] - 1);
}

void rank_heap_restore(rank_heap *h) {
    for (uint32_t at = h->n / 2; at-- > 0;) sift_down(h, at);
}

bool rank_heap_check(const rank_heap *h) {
    for (uint32_t at = 0; at < h->n; at++) {
        if (h->places[h->entries[at].seq] != at + 1) return false;
        if (at > 0 && precedes(&h->entries[at], &h->entries[(at - 1) / 2])) return false;
    }
    return true;
}
