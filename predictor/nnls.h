/* nnls.h - least squares with coefficients that may not be negative.
 *
 * Minimises x'Gx - 2 c'x over x >= 0, where G = A'A and c = A'b: the normal equations of
 * |Ax - b|, so that the work does not grow with the number of rows and sums over parts of the
 * rows can be combined. Times are sums of costs: a negative one would extrapolate to nonsense.
 *
 * Source: Lawson and Hanson, Solving Least Squares Problems, chapter 23; on normal equations as
 * in Bro and de Jong, J. Chemometrics 11 (1997). G should carry a small ridge: candidates that
 * are nearly the same column then share their weight instead of fighting. */
#ifndef NNLS_H
#define NNLS_H

#include <stddef.h>

#include "status.h"

typedef struct nnls nnls;

/* Room for problems of up to n_max coefficients. ST_NO_MEMORY. */
MUST_USE status nnls_create(nnls **out, size_t n_max);

/* s may be NULL. */
void nnls_destroy(nnls *s);

/* Solves for x[0..n), n <= n_max. At most max_terms coefficients are above 0: they are taken in
 * the order of their gradient, so a smaller limit is a cruder model, not a random one.
 *   gram [n * n] symmetric, row by row    c [n]
 * ST_INVALID: a number that is not finite, or a gram that is not positive definite on what was
 * taken. */
MUST_USE status nnls_solve(nnls *s, double *x, const double *gram, const double *c, size_t n,
                           size_t max_terms, errbuf *err);

#endif
