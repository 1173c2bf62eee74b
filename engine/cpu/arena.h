/* arena.h - memory of a pool of KV blocks: block `id` at id * block_floats.
 *
 * Every page is touched when it is made, so that no copy or pass is timed while the system
 * finds memory. A new arena is zero. */
#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

typedef struct arena {
    float
        *floats; /* [n_blocks * block_floats] 64-byte aligned; NULL when there are no blocks */
    uint32_t n_blocks;
    size_t block_floats;
} arena;

/* ST_NO_MEMORY with the size; `what` says what it is for. */
MUST_USE status arena_init(arena *a, uint32_t n_blocks, size_t block_floats, const char *what,
                           errbuf *err);
void arena_finish(arena *a);

/* Bytes that arena_init would take. */
uint64_t arena_bytes(uint32_t n_blocks, size_t block_floats);

static inline float *arena_block(const arena *a, uint32_t id) {
    return a->floats + (size_t)id * a->block_floats;
}

#endif
