#include "probe_copies.h"

#include <stdlib.h>

#include "model_spec.h"
#include "rng.h"

enum { STREAM_ORDER, STREAM_DEVICE, STREAM_HOST };

static const uint64_t kib = 1024, mib = 1024 * 1024;

const char *copy_method_name(copy_method m) {
    static const char *const names[] = {
#define X(code, name) name,
        COPY_METHODS(X)
#undef X
    };
    return names[m];
}

const char *copy_block_model(uint64_t block_bytes, size_t i) {
    size_t n;
    const model_spec *models = model_specs(&n);
    for (size_t j = 0; j < n; j++)
        if (PROBE_BLOCK_TOKENS * model_kv_bytes_per_token(&models[j], 1) == block_bytes &&
            i-- == 0)
            return models[j].name;
    return NULL;
}

/* ------------------------------------------------------------ points */

/* A design under way; points is NULL while they are counted. */
typedef struct making {
    copy_design *design;
    bool full;
} making;

static void add(making *m, copy_point p) {
    copy_design *d = m->design;
    if (d->points) d->points[d->n] = p;
    if (d->bytes_max < p.bytes) d->bytes_max = p.bytes;
    d->n++;
}

/* A copy in both directions under all loads. One call per piece is what the batched call is
 * compared with: without load. */
static void add_copy(making *m, copy_point p) {
    for (int direction = 0; direction < N_LINK_DIRECTIONS; direction++) {
        p.direction = (link_direction)direction;
        for (int load = 0; load < 4; load++) {
            p.other_direction_busy = load & 1;
            p.compute_busy = load & 2;
            p.method = p.n_segments > 1 ? COPY_BATCH : COPY_SINGLE;
            add(m, p);
        }
        if (p.n_segments == 1) continue;
        p.other_direction_busy = p.compute_busy = false;
        p.method = COPY_LOOP;
        add(m, p);
    }
}

static void add_one_piece(making *m, uint64_t bytes_max) {
    for (uint64_t bytes = 64 * kib; bytes <= bytes_max; bytes *= m->full ? 2 : 4)
        add_copy(m, (copy_point){.bytes = bytes, .n_segments = 1});
}

/* Equal bytes, more and more pieces, down to 4 KiB each. */
static void add_pieces(making *m, uint64_t bytes_max) {
    for (uint64_t bytes = 16 * mib; bytes <= bytes_max; bytes *= m->full ? 4 : 16)
        for (uint32_t n = 4; n <= 4096; n *= m->full ? 4 : 8)
            if (bytes / n >= 4 * kib)
                add_copy(m, (copy_point){.bytes = bytes, .n_segments = n});
}

/* Blocks alone, in runs of 4 and of 16. */
static void add_blocks(making *m, uint64_t block_bytes, uint64_t bytes_max) {
    for (uint32_t n = 1; n * block_bytes <= bytes_max; n *= m->full ? 2 : 4)
        for (uint32_t run = 1; run <= 16 && run <= n; run *= 4)
            add_copy(m, (copy_point){.bytes = n * block_bytes,
                                     .block_bytes = block_bytes,
                                     .n_blocks = n,
                                     .n_segments = n / run});
}

static void add_all(making *m) {
    /* Qwen2.5-7B; Llama-3-8B; Llama-2-7B and OPT-6.7B; Llama-2-13B and OPT-13B. */
    const uint64_t blocks[] = {mib * 7 / 8, 2 * mib, 8 * mib, mib * 25 / 2};
    uint64_t bytes_max = (m->full ? 1024 : 256) * mib;
    add_one_piece(m, bytes_max);
    add_pieces(m, bytes_max);
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        add_blocks(m, blocks[i], bytes_max);
}

/* Fisher and Yates. */
static void shuffle(copy_point *points, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(rng_uniform(0, STREAM_ORDER, i) * (double)i);
        copy_point p = points[j];
        points[j] = points[i - 1];
        points[i - 1] = p;
    }
}

status copy_design_make(copy_design *out, bool full) {
    copy_design d = {0};
    making m = {&d, full};
    add_all(&m);
    d.points = calloc(d.n, sizeof(*d.points));
    if (!d.points) return ST_NO_MEMORY;
    d.n = 0;
    add_all(&m);
    shuffle(d.points, d.n);
    *out = d;
    return ST_OK;
}

void copy_design_finish(copy_design *d) {
    free(d->points);
    *d = (copy_design){0};
}

/* ------------------------------------------------------------ pieces */

/* The first n of a random order of 0 .. n_slots - 1 to the front of slots. */
static void draw_slots(uint64_t *slots, uint64_t n_slots, uint32_t n, uint64_t seed,
                       uint64_t stream) {
    for (uint64_t i = 0; i < n_slots; i++) slots[i] = i;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t j = i + (uint64_t)(rng_uniform(seed, stream, i) * (double)(n_slots - i));
        uint64_t slot = slots[j];
        slots[j] = slots[i];
        slots[i] = slot;
    }
}

status copy_layout_make(copy_piece *pieces, uint32_t n, uint64_t piece_bytes,
                        uint64_t pool_bytes, uint64_t seed) {
    if (piece_bytes == 0 || pool_bytes / piece_bytes < n) return ST_INVALID;
    uint64_t n_slots = pool_bytes / piece_bytes;
    uint64_t *slots = calloc(n_slots + 1, sizeof(*slots));
    if (!slots) return ST_NO_MEMORY;
    draw_slots(slots, n_slots, n, seed, STREAM_DEVICE);
    for (uint32_t i = 0; i < n; i++) pieces[i].device_at = slots[i] * piece_bytes;
    draw_slots(slots, n_slots, n, seed, STREAM_HOST);
    for (uint32_t i = 0; i < n; i++) pieces[i].host_at = slots[i] * piece_bytes;
    free(slots);
    return ST_OK;
}
