/* rank_heap.h - the sequences that want to run, the most urgent first.
 *
 * A binary heap over slots of the sequence table that finds each of them, so that one can be
 * taken out or ranked anew where it is. Order: by rank, then by request id, so that equal calls
 * give equal answers. Threads: one owner, no locking. */
#ifndef RANK_HEAP_H
#define RANK_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

typedef struct rank_entry {
    double rank; /* lower is more urgent; not NaN */
    uint64_t request_id;
    uint32_t seq;
} rank_entry;

typedef struct rank_heap {
    rank_entry *entries; /* [n] */
    uint32_t n, capacity;
    uint32_t *places; /* [n_places] by slot: index of its entry + 1, 0 when it has none */
    uint32_t n_places;
} rank_heap;

#define RANK_HEAP_EMPTY ((rank_heap){0})

/* Releases the arrays. */
void rank_heap_finish(rank_heap *h);

/* Adds a slot that is not in the heap. ST_NO_MEMORY: nothing changed. */
MUST_USE status rank_heap_push(rank_heap *h, uint32_t seq, double rank, uint64_t request_id);

/* Takes a slot out; nothing happens when it is not in. */
void rank_heap_remove(rank_heap *h, uint32_t seq);

bool rank_heap_has(const rank_heap *h, uint32_t seq);

/* Gives a slot that is in the heap another rank. */
void rank_heap_rerank(rank_heap *h, uint32_t seq, double rank);

/* The most urgent slot; UINT32_MAX when the heap is empty. */
static inline uint32_t rank_heap_first(const rank_heap *h) {
    return h->n ? h->entries[0].seq : UINT32_MAX;
}

/* After ranks were written into the entries: restores the order, O(n). */
void rank_heap_restore(rank_heap *h);

/* True if the invariant holds; O(n). */
bool rank_heap_check(const rank_heap *h);

#endif
