/* attention.cuh - attention over paged keys and values, in 16 bit with float sums.
 *
 * Two launchers: one for rows that stand behind one another in their sequence (a chunk of a
 * prompt), one for rows of different sequences (a new token each). Keys and values of the rows
 * themselves must be in the arena before. Query head h belongs to kv head
 * h / (n_heads / n_kv_heads). head_dim is even and at most 256.
 *
 * Order: the keys of a row are summed in tiles that are aligned to its first key, so that a row
 * of attend_prefill gets the same bits in whatever chunk and batch it stands; a row of
 * attend_decode, the same bits for equal splits.
 * Limits: the arena has fewer than 2^32 - 1 rows (block, layer, K | V, token).
 * Source: Dao, FlashAttention-2, arXiv 2307.08691; Dao et al., Flash-Decoding, 2023. */
#ifndef ATTENTION_CUH
#define ATTENTION_CUH

#include "kernel_types.cuh"

/* Neighbouring rows of one sequence. */
typedef struct attention_tile {
    uint32_t first_row, n_rows;
    uint32_t n_before;    /* position of the first row: keys of its sequence before it */
    uint32_t first_block; /* where the block table of its sequence starts in blocks */
} attention_tile;

/* Rows in a tile at most; 0 if head_dim is not supported. */
uint32_t attention_tile_rows(uint32_t head_dim);

/* Cuts chunks of any length into tiles of at most tile_rows rows, those with the most keys
 * first, since the last blocks of a launch shall be short. *n_tiles is at most the chunks plus
 * all rows / tile_rows. ST_INVALID: tile_rows is 0, or there are more tiles than capacity. */
MUST_USE status attention_plan_tiles(attention_tile *tiles, uint32_t *n_tiles,
                                     uint32_t capacity, const attention_tile *chunks,
                                     uint32_t n_chunks, uint32_t tile_rows, errbuf *err);

typedef struct attend_prefill_args {
    const attention_tile *tiles; /* [n_tiles] on the device, each of tile_rows rows at most */
    uint32_t n_tiles;
    const void *q;   /* rows of queries; a row starts with [n_heads, head_dim] */
    size_t q_stride; /* numbers from row to row, even */
    void *out;       /* [rows, n_heads * head_dim] */
    const uint32_t *blocks;
    kv_arena arena;
    uint32_t layer, n_heads;
    float scale;             /* of the scores, above 0 */
    const uint32_t *stopped; /* if not NULL and not 0 on the device, nothing is written */
} attend_prefill_args;

/* Each row of the tiles attends to the keys of its sequence up to itself.
 * ST_INVALID: a shape that is not supported. ST_IO: the launch failed. */
MUST_USE status attend_prefill(cudaStream_t stream, device_dtype dtype,
                               const attend_prefill_args *args, errbuf *err);

enum { ATTEND_DECODE_SPLITS_MAX = 64 };

/* How the keys of a row are spread over thread blocks. */
typedef struct decode_splits {
    uint32_t n;          /* blocks at most, 1 .. ATTEND_DECODE_SPLITS_MAX */
    uint32_t n_keys_min; /* of each but the last: a short row has fewer blocks; rounded up */
} decode_splits;

typedef struct attend_decode_args {
    device_rows rows; /* tokens are not used */
    const void *q;    /* [n_rows], as in attend_prefill_args */
    size_t q_stride;
    void *out; /* [n_rows, n_heads * head_dim] */
    kv_arena arena;
    uint32_t layer, n_heads;
    float scale;
    decode_splits splits;
    float *workspace; /* attend_decode_workspace_bytes(); may be NULL if splits.n is 1 */
    const uint32_t *stopped;
} attend_decode_args;

/* Each row attends to the position + 1 keys of its sequence. Positions are read on the device,
 * so that the launch can be replayed from a graph while contexts grow.
 * ST_INVALID: a shape that is not supported. ST_IO: the launch failed. */
MUST_USE status attend_decode(cudaStream_t stream, device_dtype dtype,
                              const attend_decode_args *args, errbuf *err);

/* Of the partial sums; 0 if splits.n is 1. */
size_t attend_decode_workspace_bytes(uint32_t n_rows, uint32_t n_heads, uint32_t head_dim,
                                     decode_splits splits);

/* What suits a batch whose longest context is max_context, the others being shorter, on n_sms
 * multiprocessors. Decides the bits of the result: fix it for each size of batch. */
decode_splits attend_decode_splits(uint32_t n_rows, uint32_t n_kv_heads, uint32_t head_dim,
                                   uint32_t max_context, uint32_t n_sms);

#endif
