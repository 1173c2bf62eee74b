/* length_table.h - a distribution of lengths as its quantiles, and draws from it.
 *
 * A table gives the length below or at which each of the shares in length_levels lies. Between
 * two of them the logarithm of the length is uniform, which makes it a mixture of truncated
 * log-uniform parts: the quantiles of the draws at the levels are those of the table, exactly,
 * and spikes that traces have at common lengths stay where they are. (Up to five lognormals,
 * fitted to the same tables by maximum likelihood, missed p90 or p99 by up to 10 %.) */
#ifndef LENGTH_TABLE_H
#define LENGTH_TABLE_H

#include <gsl/gsl_rng.h>
#include <stdint.h>

enum { LENGTH_N_LEVELS = 17 };

/* 0 ... 1, rising: the first is the least length, the last the greatest. */
extern const double length_levels[LENGTH_N_LEVELS];

typedef struct length_table {
    double at[LENGTH_N_LEVELS]; /* lengths at the levels, > 0, never falling */
} length_table;

/* A table ready for draws. */
typedef struct length_sampler {
    double log_at[LENGTH_N_LEVELS];
    uint32_t at[LENGTH_N_LEVELS];      /* rounded up */
    double slope[LENGTH_N_LEVELS - 1]; /* of log_at over the level */
} length_sampler;

/* Mean of the draws. */
double length_table_mean(const length_table *t);

/* Scales all lengths by factor; they must stay within TRACE_MAX_TOKENS. */
length_sampler length_sampler_make(const length_table *t, double factor);

/* One length, at least 1. */
uint32_t length_draw(const length_sampler *s, gsl_rng *rng);

/* The greatest length that can be drawn. */
uint32_t length_sampler_max(const length_sampler *s);

#endif
