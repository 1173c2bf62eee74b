#include "id_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "rng.h"

/* Open addressing with linear probing, at most 2/3 full. 0 marks a free slot, so the id 0 is
 * kept aside. */
struct id_set {
    uint64_t *slots; /* [n_slots], a power of two */
    size_t n_slots, n_used;
    bool has_zero;
};

enum { SLOTS_MIN = 1024 };

status id_set_create(id_set **out) {
    id_set *s = calloc(1, sizeof(*s));
    if (s) s->slots = calloc(SLOTS_MIN, sizeof(*s->slots));
    if (!s || !s->slots) {
        free(s);
        return ST_NO_MEMORY;
    }
    s->n_slots = SLOTS_MIN;
    *out = s;
    return ST_OK;
}

void id_set_destroy(id_set *s) {
    if (!s) return;
    free(s->slots);
    free(s);
}

/* The slot that holds id, or the free one where it belongs. */
static uint64_t *find_slot(uint64_t *slots, size_t n_slots, uint64_t id) {
    size_t i = (size_t)rng_bits(0, 0, id) & (n_slots - 1);
    while (slots[i] != 0 && slots[i] != id) i = (i + 1) & (n_slots - 1);
    return &slots[i];
}

static status enlarge(id_set *s) {
    size_t n_slots = 2 * s->n_slots;
    uint64_t *slots = calloc(n_slots, sizeof(*slots));
    if (!slots) return ST_NO_MEMORY;
    for (size_t i = 0; i < s->n_slots; i++)
        if (s->slots[i]) *find_slot(slots, n_slots, s->slots[i]) = s->slots[i];
    free(s->slots);
    s->slots = slots;
    s->n_slots = n_slots;
    return ST_OK;
}

status id_set_add(id_set *s, uint64_t id) {
    if (id == 0) {
        s->has_zero = true;
        return ST_OK;
    }
    if (3 * (s->n_used + 1) > 2 * s->n_slots && enlarge(s) != ST_OK) return ST_NO_MEMORY;
    uint64_t *slot = find_slot(s->slots, s->n_slots, id);
    if (*slot == 0) {
        *slot = id;
        s->n_used++;
    }
    return ST_OK;
}

uint64_t id_set_n(const id_set *s) {
    return s->n_used + s->has_zero;
}
