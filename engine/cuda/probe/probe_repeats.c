#include "probe_repeats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The largest i for which [x_i, x_(n-1-i)] of n sorted values still holds the median in 95 % of
 * cases: P(Binomial(n, 1/2) <= i) <= 2.5 %. Negative: there is none. */
static int interval_rank(uint32_t n) {
    double p = ldexp(1, -(int)n), below = 0; /* P(= i), P(<= i) */
    int rank = -1;
    for (uint32_t i = 0; i < n; i++) {
        below += p;
        if (below > 0.025) break;
        rank = (int)i;
        p *= (double)(n - i) / (i + 1);
    }
    return rank;
}

void probe_repeats_add(probe_repeats *r, double seconds) {
    assert(r->n < PROBE_REPEATS_MAX);
    r->seconds[r->n++] = seconds;
}

static double deviation(const probe_repeats *r, double mean) {
    double squares = 0;
    for (uint32_t i = 0; i < r->n; i++)
        squares += (r->seconds[i] - mean) * (r->seconds[i] - mean);
    return r->n > 1 ? sqrt(squares / (r->n - 1)) : 0;
}

repeat_summary probe_repeats_summary(const probe_repeats *r) {
    assert(r->n > 0);
    double sorted[PROBE_REPEATS_MAX], sum = 0;
    memcpy(sorted, r->seconds, r->n * sizeof(*sorted));
    qsort(sorted, r->n, sizeof(*sorted), compare_doubles);
    for (uint32_t i = 0; i < r->n; i++) sum += sorted[i];
    repeat_summary s = {.n_repeats = r->n, .min_s = sorted[0], .mean_s = sum / r->n};
    s.median_s = (sorted[(r->n - 1) / 2] + sorted[r->n / 2]) / 2;
    s.deviation_s = deviation(r, s.mean_s);
    int rank = interval_rank(r->n);
    s.half_width_s =
        rank < 0 ? INFINITY : (sorted[r->n - 1 - (uint32_t)rank] - sorted[rank]) / 2;
    return s;
}

bool probe_repeats_enough(const probe_repeats *r, const repeat_rule *rule, double spent_s) {
    if (r->n < rule->n_min) return false;
    if (r->n >= rule->n_max || r->n >= PROBE_REPEATS_MAX || spent_s >= rule->spent_s_max)
        return true;
    repeat_summary s = probe_repeats_summary(r);
    return s.half_width_s <= rule->precision * s.median_s;
}
