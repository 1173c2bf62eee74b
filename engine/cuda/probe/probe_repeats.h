/* probe_repeats.h - how often a point is measured, and what is said of it.
 *
 * Times on a device have a long tail to the right, so a point is its median. It is measured
 * until the 95 % interval of the median is narrow enough, or a cap is reached; the interval is
 * the one that order statistics give, which assumes no distribution.
 *
 * Source: Hahn and Meeker, Statistical Intervals, 1991, section 5.2.
 * Must not know: devices, clocks. */
#ifndef PROBE_REPEATS_H
#define PROBE_REPEATS_H

#include <stdbool.h>
#include <stdint.h>

enum { PROBE_REPEATS_MAX = 64 };

typedef struct probe_repeats {
    double seconds[PROBE_REPEATS_MAX]; /* [n] in the order of measuring */
    uint32_t n;
} probe_repeats;

/* When to stop: at n_max repeats or after spent_s_max seconds, but never before n_min; earlier
 * when half of the interval is within `precision` of the median. */
typedef struct repeat_rule {
    uint32_t n_min, n_max; /* 6 is the least that has a 95 % interval */
    double precision, spent_s_max;
} repeat_rule;

typedef struct repeat_summary {
    double median_s, mean_s, min_s;
    double deviation_s;  /* standard deviation of one repeat; 0 for one */
    double half_width_s; /* of the 95 % interval of the median; INFINITY: fewer than 6 */
    uint32_t n_repeats;
} repeat_summary;

/* Adds one; beyond PROBE_REPEATS_MAX is a bug. */
void probe_repeats_add(probe_repeats *r, double seconds);

/* spent_s is what measuring this point has taken so far, all included. */
bool probe_repeats_enough(const probe_repeats *r, const repeat_rule *rule, double spent_s);

/* Of at least one repeat. */
repeat_summary probe_repeats_summary(const probe_repeats *r);

#endif
