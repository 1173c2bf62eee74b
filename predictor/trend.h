/* trend.h - the regression part of a fit: a sum of terms with coefficients >= 0.
 *
 * Least squares of the *relative* error (a row is divided by its time), Huber weights so that a
 * few odd measurements do not bend the rest (Huber, Robust Statistics), a small ridge on terms
 * scaled to equal size, coefficients by nnls.h. How many terms are kept is decided by k-fold
 * cross-validation with a price: more terms must predict unseen samples better by 1 %.
 * Threads: none. */
#ifndef TREND_H
#define TREND_H

#include <stddef.h>

#include "cost_terms.h"
#include "status.h"

enum { TREND_TERMS_MAX = 32 };

typedef struct trend {
    size_t n_terms;
    term terms[TREND_TERMS_MAX];
    double coefficients[TREND_TERMS_MAX]; /* seconds per unit of the term, above 0 */
    /* [n_terms * n_terms] of the coefficients, given the terms; 0 when read from a file. */
    double covariance[TREND_TERMS_MAX * TREND_TERMS_MAX];
} trend;

/* What a fit is made from. */
typedef struct fit_rows {
    const double *v;       /* [n * N_VARIABLES] variables, row by row */
    const double *seconds; /* [n] above 0 */
    const unsigned *fold;  /* [n] below n_folds; equal features have equal folds */
    size_t n;
    unsigned n_folds;
} fit_rows;

/* Fits the candidates[0..n_candidates). ST_INVALID: the design is singular; ST_NO_MEMORY. */
MUST_USE status trend_fit(trend *out, const term *candidates, size_t n_candidates,
                          const fit_rows *rows, errbuf *err);

/* Seconds at v[N_VARIABLES]. */
double trend_value(const trend *t, const double *v);

#endif
