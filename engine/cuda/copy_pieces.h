/* copy_pieces.h - copies of a plan as the contiguous pieces that a copy engine takes.
 *
 * Neighbouring blocks on both sides are one piece, as plan_copy_segments() counts them; a copy
 * that goes per layer has one piece for K and one for V of each layer of each block.
 * Must not know: CUDA. */
#ifndef COPY_PIECES_H
#define COPY_PIECES_H

#include "plan.h"

/* Two arenas of blocks of equal size, blocks behind one another. */
typedef struct copy_memory {
    char *device, *host;
    size_t block_bytes;
    uint32_t n_layers;
} copy_memory;

typedef struct copy_pieces {
    void **to;         /* [n] */
    const void **from; /* [n] */
    size_t *sizes;     /* [n] bytes */
    size_t n, capacity;
} copy_pieces;

void copy_pieces_finish(copy_pieces *p);

/* Forgets all pieces and keeps the memory. */
void copy_pieces_clear(copy_pieces *p);

/* Adds the pieces of one copy of the plan. ST_NO_MEMORY: nothing changed. */
MUST_USE status copy_pieces_add(copy_pieces *p, const plan *of, const plan_copy *c,
                                const copy_memory *m);

#endif
