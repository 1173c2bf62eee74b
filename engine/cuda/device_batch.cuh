/* device_batch.cuh - a batch as arrays on the device: which token each row is, where its KV
 * lies, what is sampled.
 *
 * The host fills one pinned region, which goes to the device by one copy; every array has a
 * fixed place in it, so that a captured pass finds the next batch where the last one was. Rows:
 * chunks of several tokens first, cut into tiles, then single tokens (device_pass.cuh).
 *
 * Padding: rows behind the batch, up to n_padded, are single tokens at position 0 whose table
 * names the spare block, where whatever they store does no harm.
 * Threads: one owner. The region may be filled again when the copy before has been made. */
#ifndef DEVICE_BATCH_CUH
#define DEVICE_BATCH_CUH

#include "device_pass.cuh"

extern "C" {
#include "token_batch.h"
}

typedef struct device_batch_limits {
    uint32_t max_rows;    /* tokens of a batch, padding included */
    uint32_t max_samples; /* sequences of a batch, padding included */
    uint32_t max_table;   /* blocks of a sequence */
    uint32_t tile_rows;   /* attention_tile_rows() */
    uint32_t spare_block; /* in the arena, held by nobody */
    bool tiles_only;      /* single tokens are tiles, too: deterministic */
} device_batch_limits;

/* One array at one place in both memories. */
typedef struct batch_array {
    void *host, *device;
} batch_array;

typedef struct device_batch {
    device_batch_limits limits;
    char *host, *device; /* the region */
    size_t bytes, table_at;
    batch_array tokens, positions, first_block, sample_rows, sample_positions, n_prompt;
    batch_array request_ids, tiles, n_live, blocks;

    /* Of the batch at hand. */
    pass_batch pass;
    uint32_t n_rows, n_samples; /* without padding */
    uint32_t *order;            /* [n_samples] the token_batch's sampling chunk (counted among
                                   those that sample) that each sample is */
} device_batch;

/* ST_NO_MEMORY, ST_IO. */
MUST_USE status device_batch_init(device_batch *d, const device_batch_limits *limits,
                                  errbuf *err);
void device_batch_finish(device_batch *d);

/* Takes a batch and enqueues its copy to the device. n_padded: rows and samples of a batch that
 * has single tokens alone, at least as many as it has; 0: no padding. The pass's `stopped` is
 * left as it was. ST_INVALID: more than the limits; ST_IO. */
MUST_USE status device_batch_load(device_batch *d, cudaStream_t stream, const token_batch *b,
                                  const token_table *tokens, uint32_t n_padded, errbuf *err);

/* Every chunk is one token that samples: the batch can be padded and repeated. */
bool device_batch_is_decoding(const token_batch *b);

#endif
