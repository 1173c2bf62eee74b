/* fit_points.h - samples as rows of a fit: variables, times, folds. */
#ifndef FIT_POINTS_H
#define FIT_POINTS_H

#include "sample.h"
#include "trend.h"

typedef struct fit_points {
    double *v;       /* [n * N_VARIABLES] */
    double *seconds; /* [n] */
    unsigned *fold;  /* [n] below FIT_FOLDS; the same for equal points */
    size_t n;
} fit_points;

/* Reads samples of one operation, part and shape. Folds are even in size and look random, but
 * depend on the points alone: their order plays no part. ST_INVALID: too few different points,
 * or samples of more than one kind; ST_NO_MEMORY. On error *out is empty. */
MUST_USE status fit_points_init(fit_points *out, const sample *samples, size_t n, errbuf *err);

/* The points that are not in a fold, with folds of their own. ST_NO_MEMORY. */
MUST_USE status fit_points_without(fit_points *out, const fit_points *all, unsigned fold);

/* p may be zeroed. */
void fit_points_finish(fit_points *p);

/* As the regression wants them; borrowed. */
fit_rows fit_points_rows(const fit_points *p);

#endif
