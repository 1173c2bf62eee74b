#include "device_batch.cuh"

#include <stdlib.h>

#include "cuda_call.cuh"

/* Places an array of n elements of `size` bytes; the region's addresses may be NULL yet. */
static void place(device_batch *d, batch_array *a, size_t *at, size_t n, size_t size) {
    a->host = d->host ? d->host + *at : NULL;
    a->device = d->device ? d->device + *at : NULL;
    *at += (n * size + 15) / 16 * 16;
}

/* Tables come last: a copy ends with the last table that is used. */
static size_t place_all(device_batch *d) {
    const device_batch_limits *l = &d->limits;
    size_t at = 0;
    place(d, &d->tokens, &at, l->max_rows, sizeof(uint32_t));
    place(d, &d->positions, &at, l->max_rows, sizeof(uint32_t));
    place(d, &d->first_block, &at, l->max_rows, sizeof(uint32_t));
    place(d, &d->sample_rows, &at, l->max_samples, sizeof(uint32_t));
    place(d, &d->sample_positions, &at, l->max_samples, sizeof(uint32_t));
    place(d, &d->n_prompt, &at, l->max_samples, sizeof(uint32_t));
    place(d, &d->request_ids, &at, l->max_samples, sizeof(uint64_t));
    place(d, &d->tiles, &at, (size_t)l->max_rows + l->max_samples, sizeof(attention_tile));
    place(d, &d->n_live, &at, 1, sizeof(uint32_t));
    d->table_at = at;
    place(d, &d->blocks, &at, (size_t)l->max_samples * l->max_table + 1, sizeof(uint32_t));
    return at;
}

static status reserve(device_batch *d, errbuf *err) {
    d->bytes = place_all(d);
    TRY_CUDA(cudaHostAlloc((void **)&d->host, d->bytes, cudaHostAllocDefault),
             "pinned memory for batches");
    TRY_CUDA(cudaMalloc((void **)&d->device, d->bytes), "device memory for batches");
    place_all(d);
    d->order = (uint32_t *)calloc(d->limits.max_samples, sizeof(*d->order));
    return d->order ? ST_OK : fail(err, ST_NO_MEMORY, "out of memory for batches");
}

status device_batch_init(device_batch *d, const device_batch_limits *limits, errbuf *err) {
    *d = device_batch{};
    d->limits = *limits;
    status st = reserve(d, err);
    if (st != ST_OK) device_batch_finish(d);
    return st;
}

void device_batch_finish(device_batch *d) {
    (void)cudaFreeHost(d->host);
    (void)cudaFree(d->device);
    free(d->order);
    *d = device_batch{};
}

bool device_batch_is_decoding(const token_batch *b) {
    for (uint32_t i = 0; i < b->n; i++)
        if (b->chunks[i].n_tokens != 1 || !b->chunks[i].samples) return false;
    return b->n > 0;
}

/* ------------------------------------------------------------ filling */

static uint32_t *words(const batch_array *a) {
    return (uint32_t *)a->host;
}

/* A batch on its way into the arrays. */
typedef struct filler {
    device_batch *d;
    const token_batch *batch;
    const token_table *tokens;
    attention_tile *chunks; /* those that become tiles, uncut, behind the room for tiles */
    uint32_t n_chunks, n_rows, n_samples;
} filler;

static void add_row(filler *f, uint32_t token, uint32_t position, uint32_t first_block) {
    words(&f->d->tokens)[f->n_rows] = token;
    words(&f->d->positions)[f->n_rows] = position;
    words(&f->d->first_block)[f->n_rows++] = first_block;
}

/* The last row sampled for the request of a token row; `nth` of those in the batch. */
static void add_sample(filler *f, const token_row *r, uint32_t position, uint32_t nth) {
    device_batch *d = f->d;
    words(&d->sample_rows)[f->n_samples] = f->n_rows - 1;
    words(&d->sample_positions)[f->n_samples] = position;
    words(&d->n_prompt)[f->n_samples] = r->n_prompt;
    ((uint64_t *)d->request_ids.host)[f->n_samples] = r->request_id;
    d->order[f->n_samples++] = nth;
}

static void add_chunk(filler *f, uint32_t i, uint32_t nth) {
    const token_chunk *c = &f->batch->chunks[i];
    uint32_t first_block = (uint32_t)(c->blocks - f->batch->blocks);
    if (c->n_tokens > 1 || f->d->limits.tiles_only)
        f->chunks[f->n_chunks++] =
            attention_tile{f->n_rows, c->n_tokens, c->n_before, first_block};
    for (uint32_t t = 0; t < c->n_tokens; t++)
        add_row(f, c->tokens[t], c->n_before + t, first_block);
    if (c->samples)
        add_sample(f, &f->tokens->rows[f->batch->seqs[i]], c->n_before + c->n_tokens - 1, nth);
}

/* All chunks of several tokens, or all of one. */
static void add_chunks(filler *f, bool single) {
    for (uint32_t i = 0, nth = 0; i < f->batch->n; i++) {
        const token_chunk *c = &f->batch->chunks[i];
        if ((c->n_tokens == 1) == single) add_chunk(f, i, nth);
        nth += c->samples;
    }
}

static void add_padding(filler *f, uint32_t n_padded) {
    const token_row nobody = {};
    uint32_t spare = (uint32_t)f->batch->n_blocks;
    words(&f->d->blocks)[spare] = f->d->limits.spare_block;
    while (f->n_rows < n_padded) {
        add_row(f, 0, 0, spare);
        add_sample(f, &nobody, 0, 0);
    }
}

static status check(const device_batch *d, const token_batch *b, uint32_t n_padded,
                    errbuf *err) {
    const device_batch_limits *l = &d->limits;
    const size_t max_blocks = (size_t)l->max_samples * l->max_table;
    if (b->n_tokens <= l->max_rows && b->n <= l->max_samples && b->n_blocks <= max_blocks &&
        n_padded <= l->max_rows && n_padded <= l->max_samples)
        return ST_OK;
    return fail(
        err, ST_INVALID,
        "a batch of %u tokens of %u sequences over %zu blocks, where at most %u, %u and "
        "%zu were announced",
        b->n_tokens, b->n, b->n_blocks, l->max_rows, l->max_samples, max_blocks);
}

/* Where the arrays are on the device. */
static void describe(device_batch *d, const filler *f, uint32_t n_tiled_rows) {
    pass_batch *p = &d->pass;
    p->rows =
        device_rows{(uint32_t *)d->tokens.device, (uint32_t *)d->positions.device,
                    (uint32_t *)d->first_block.device, (uint32_t *)d->blocks.device, f->n_rows};
    p->tiles = (attention_tile *)d->tiles.device;
    p->n_single = f->n_rows - n_tiled_rows;
    p->sample_rows = (uint32_t *)d->sample_rows.device;
    p->n_samples = f->n_samples;
}

status device_batch_load(device_batch *d, cudaStream_t stream, const token_batch *b,
                         const token_table *tokens, uint32_t n_padded, errbuf *err) {
    TRY(check(d, b, n_padded, err));
    filler f = {d, b, tokens, (attention_tile *)d->tiles.host + d->limits.max_rows, 0, 0, 0};
    memcpy(d->blocks.host, b->blocks, b->n_blocks * sizeof(*b->blocks));
    add_chunks(&f, false);
    uint32_t n_tiled_rows = f.n_rows;
    add_chunks(&f, true);
    if (d->limits.tiles_only) n_tiled_rows = f.n_rows;
    d->n_rows = f.n_rows;
    d->n_samples = f.n_samples;
    *words(&d->n_live) = f.n_rows;
    add_padding(&f, n_padded);
    describe(d, &f, n_tiled_rows);
    TRY(attention_plan_tiles((attention_tile *)d->tiles.host, &d->pass.n_tiles,
                             d->limits.max_rows, f.chunks, f.n_chunks, d->limits.tile_rows,
                             err));
    size_t used = d->table_at + (b->n_blocks + 1) * sizeof(*b->blocks);
    TRY_CUDA(cudaMemcpyAsync(d->device, d->host, used, cudaMemcpyHostToDevice, stream),
             "a batch on its way to the device");
    return ST_OK;
}
