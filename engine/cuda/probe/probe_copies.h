/* probe_copies.h - which copies over the host link are measured, and where their pieces lie.
 *
 * Three families: one piece by bytes; equal bytes by pieces; and KV blocks of 16 tokens, whole
 * (all layers of a block in one piece, as the engine keeps them), by blocks and by how many
 * neighbours go in one piece. Each in both directions, with and without a copy the other way,
 * with and without matrix products on the device.
 *
 * Order: shuffled, so that a drift of the link does not look like an effect; equal settings
 * give equal points in equal order. Must not know: CUDA. */
#ifndef PROBE_COPIES_H
#define PROBE_COPIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device_spec.h"
#include "status.h"

/* code, name in the table */
#define COPY_METHODS(X)                                                                        \
    X(COPY_SINGLE, "single") /* one call for the one piece */                                  \
    X(COPY_BATCH, "batch")   /* one call for all pieces */                                     \
    X(COPY_LOOP, "loop")     /* one call per piece */

typedef enum copy_method {
#define X(code, name) code,
    COPY_METHODS(X)
#undef X
        N_COPY_METHODS
} copy_method;

typedef struct copy_point {
    link_direction direction;
    copy_method method;
    uint64_t bytes;       /* of all pieces, which are of equal size */
    uint64_t block_bytes; /* of a KV block; 0: not of blocks */
    uint32_t n_segments, n_blocks;
    bool other_direction_busy, compute_busy;
} copy_point;

typedef struct copy_design {
    copy_point *points; /* [n] */
    size_t n;
    uint64_t bytes_max; /* of the largest */
} copy_design;

/* Where a piece lies in the two pools. */
typedef struct copy_piece {
    uint64_t device_at, host_at; /* offsets in bytes */
} copy_piece;

const char *copy_method_name(copy_method m);

/* full: to 1 GiB in steps of two; else to 256 MiB in steps of four. ST_NO_MEMORY. */
MUST_USE status copy_design_make(copy_design *out, bool full);
void copy_design_finish(copy_design *d);

/* Tokens of a KV block, as vLLM has them by default. */
enum { PROBE_BLOCK_TOKENS = 16 };

/* The i-th model whose KV blocks have that many bytes on one device; NULL behind the last. */
const char *copy_block_model(uint64_t block_bytes, size_t i);

/* Lays n pieces of piece_bytes into pools of pool_bytes: no two overlap, their order is random
 * and another one on each side, so that no driver can join them. pieces has room for n.
 * ST_INVALID: they do not fit. ST_NO_MEMORY. */
MUST_USE status copy_layout_make(copy_piece *pieces, uint32_t n, uint64_t piece_bytes,
                                 uint64_t pool_bytes, uint64_t seed);

#endif
