/* past_lengths.h - output lengths of the latest finished requests, and lengths drawn from them.
 *
 * Must not know: where the random numbers come from.
 * Order: equal calls give equal lengths. Threads: one owner, no locking.
 * Source: Gong et al., Past-Future Scheduler, ASPLOS 2025; LightLLM, branch
 * future_past_router. */
#ifndef PAST_LENGTHS_H
#define PAST_LENGTHS_H

#include <stdint.h>

enum { PAST_LENGTHS_MAX = 200 };

typedef struct past_lengths {
    uint32_t at[PAST_LENGTHS_MAX]; /* [n], the oldest at `oldest` once it is full */
    uint32_t n, oldest;
    uint32_t sorted[PAST_LENGTHS_MAX]; /* [n] ascending, as of the latest past_lengths_sort */
} past_lengths;

/* Adds a length, for the oldest one when it is full. */
void past_lengths_add(past_lengths *p, uint32_t n_output);

/* Call it after lengths were added and before past_lengths_beyond. */
void past_lengths_sort(past_lengths *p);

/* A final length of a sequence with n_output tokens so far, n_output < n_output_max: the
 * inverse of the distribution of the lengths that are larger, interpolated between n_output,
 * these, and n_output_max unless a length reached it. u is uniform in [0, 1). */
uint32_t past_lengths_beyond(const past_lengths *p, uint32_t n_output, uint32_t n_output_max,
                             double u);

/* Any of the lengths, of which there is at least one. */
uint32_t past_lengths_any(const past_lengths *p, double u);

#endif
