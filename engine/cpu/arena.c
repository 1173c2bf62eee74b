#include "arena.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

uint64_t arena_bytes(uint32_t n_blocks, size_t block_floats) {
    uint64_t bytes = (uint64_t)n_blocks * block_floats * sizeof(float);
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

status arena_init(arena *a, uint32_t n_blocks, size_t block_floats, const char *what,
                  errbuf *err) {
    *a = (arena){.n_blocks = n_blocks, .block_floats = block_floats};
    uint64_t bytes = arena_bytes(n_blocks, block_floats);
    if (bytes == 0) return ST_OK;
    if (bytes < SIZE_MAX) a->floats = aligned_alloc(ALIGNMENT, (size_t)bytes);
    if (!a->floats)
        return fail(err, ST_NO_MEMORY, "no memory for %s: %u blocks, %.2f GiB", what, n_blocks,
                    (double)bytes / (1024.0 * 1024 * 1024));
    memset(a->floats, 0, (size_t)bytes);
    return ST_OK;
}

void arena_finish(arena *a) {
    free(a->floats);
    *a = (arena){0};
}
