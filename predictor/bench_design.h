/* bench_design.h - which batches and copies to measure. */
#ifndef BENCH_DESIGN_H
#define BENCH_DESIGN_H

#include <stdbool.h>

#include "microbench.h"

enum { BENCH_CHUNKS_MAX = 4 };

/* One point: an iteration (n_blocks is 0), a copy, or a copy beside decodes. */
typedef struct bench_point {
    uint32_t n_chunks;
    struct {
        uint32_t n_before, n_tokens;
    } chunks[BENCH_CHUNKS_MAX];
    uint32_t n_decode,
        mean_context; /* contexts are spread evenly over half to one and a half */

    uint32_t n_blocks, run_blocks; /* of a copy; neighbours in one piece, at least 1 */
    link_direction direction;
    bool other_direction_busy;
} bench_point;

/* KV tokens that the chunks of a point may hold, and its decodes likewise: together, rounded up
 * to blocks, they fit the pool. */
uint64_t bench_design_half_pool(const microbench_config *c);

/* Blocks of each pool, from the first on, that copies of a point may touch: the same number on
 * both sides. Beside decodes it is half, and these have the other half of the device's. */
uint32_t bench_design_copy_blocks(const microbench_config *c, bool beside_decodes);

/* All points. */
uint32_t bench_design_n_points(const microbench_config *c);

/* Point number i of the design, the same for equal settings. Iterations come first, then
 * copies, then copies beside iterations; measuring goes through them in another order. */
bench_point bench_design_point(const microbench_config *c, uint32_t i);

#endif
