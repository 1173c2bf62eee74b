/* histogram.h - weighted histogram of positive doubles in logarithmic buckets.
 *
 * Each power of two is cut into 512 equal buckets, so a quantile is off by at most 0.1 %.
 * Count, sum and maximum are exact. Values below 2^-40 (0 and negative ones too) share the
 * first bucket, values from 2^40 the last. Adding costs a few instructions and no libm.
 * Threads: none; one owner. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#include "status.h"

typedef struct histogram histogram;

/* On error *out is not written. ST_NO_MEMORY. */
MUST_USE status histogram_create(histogram **out);

/* h may be NULL. */
void histogram_destroy(histogram *h);

/* Adds weight observations of value, which must not be NaN. */
void histogram_add(histogram *h, double value, uint64_t weight);

uint64_t histogram_count(const histogram *h);

/* Sum over all observations. */
double histogram_sum(const histogram *h);

/* 0 when empty. */
double histogram_mean(const histogram *h);
double histogram_max(const histogram *h);

/* Smallest bucket middle at which at least the share q of the observations is at or below it,
 * never above the maximum; q in [0, 1]. 0 when empty. */
double histogram_quantile(const histogram *h, double q);

#endif
