#include "length_table.h"

#include <math.h>

const double length_levels[LENGTH_N_LEVELS] = {
    0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 0.999, 1};

/* Within a part from a to b the mean of a log-uniform length is (b - a) / log(b / a); rounding
 * up adds half a token. */
static double part_mean(double a, double b) {
    return a == b ? a : (b - a) / log(b / a) + 0.5;
}

double length_table_mean(const length_table *t) {
    double sum = 0;
    for (int i = 0; i + 1 < LENGTH_N_LEVELS; i++)
        sum += (length_levels[i + 1] - length_levels[i]) * part_mean(t->at[i], t->at[i + 1]);
    return sum;
}

length_sampler length_sampler_make(const length_table *t, double factor) {
    length_sampler s;
    for (int i = 0; i < LENGTH_N_LEVELS; i++) {
        s.log_at[i] = log(t->at[i] * factor);
        s.at[i] = (uint32_t)ceil(t->at[i] * factor);
    }
    for (int i = 0; i + 1 < LENGTH_N_LEVELS; i++)
        s.slope[i] =
            (s.log_at[i + 1] - s.log_at[i]) / (length_levels[i + 1] - length_levels[i]);
    return s;
}

uint32_t length_draw(const length_sampler *s, gsl_rng *rng) {
    double u = gsl_rng_uniform(rng); /* in [0, 1) */
    int i = LENGTH_N_LEVELS - 2;
    while (u < length_levels[i]) i--;
    double length = ceil(exp(s->log_at[i] + s->slope[i] * (u - length_levels[i])));
    /* exp(log(6)) may lie a bit above 6. */
    return length < s->at[i + 1] ? (uint32_t)length : s->at[i + 1];
}

uint32_t length_sampler_max(const length_sampler *s) {
    return s->at[LENGTH_N_LEVELS - 1];
}
