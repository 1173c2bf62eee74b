/* probe_gemms.h - which matrix products are measured, on how many copies of the weights.
 *
 * The products of a layer and the output head of three models, at the token counts to which a
 * batch is padded and at the rows of a small decode batch. A product whose weights stayed in
 * the L2 cache from the last one would be faster than in a model, where those of all layers
 * pass in between: so it is run on copies of them in turn.
 *
 * Must not know: CUDA. */
#ifndef PROBE_GEMMS_H
#define PROBE_GEMMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Activations [n_tokens, k] times weights [n, k], both row-major. */
typedef struct gemm_shape {
    const char *model, *part; /* the first that has it: "qkv", "o", "up", "down", "head" */
    uint32_t n, k;
} gemm_shape;

enum { GEMM_SHAPES_MAX = 16, GEMM_STEPS_MAX = 160, GEMM_TOKENS_MAX = 8192 };

/* Different shapes into shapes[GEMM_SHAPES_MAX]; returns how many. */
size_t gemm_shapes(gemm_shape *shapes);

/* Token counts in random order, the same for equal arguments, into steps[GEMM_STEPS_MAX];
 * returns how many. full: 1, 2, 4 ... 32 and all multiples of 64; else some of these. */
size_t gemm_steps(uint32_t *steps, bool full, uint64_t seed);

/* Copies of the weights, so that between two uses of one at least twice the L2 cache passes;
 * at least 2. */
uint32_t gemm_n_copies(uint64_t weight_bytes, uint64_t l2_bytes);

/* Products to time together: a whole number of rounds over the copies, and at least window_s
 * long when one takes seconds; at most 1024 (or one round). */
uint32_t gemm_n_together(double seconds, uint32_t n_copies, double window_s);

#endif
