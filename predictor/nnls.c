#include "nnls.h"

#include <assert.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct nnls {
    size_t n_max;
    size_t *passive;  /* [n_max] coefficients that may be above 0, in the order taken */
    bool *is_passive; /* [n_max] */
    double *trial;    /* [n_max] unconstrained optimum over the passive ones */
    double *factor;   /* [n_max * n_max] gram of the passive ones, then its Cholesky factor */
    double *right;    /* [n_max] */
};

status nnls_create(nnls **out, size_t n_max) {
    assert(n_max > 0);
    nnls *s = calloc(1, sizeof(*s));
    if (!s) return ST_NO_MEMORY;
    s->n_max = n_max;
    s->passive = calloc(n_max, sizeof(*s->passive));
    s->is_passive = calloc(n_max, sizeof(*s->is_passive));
    s->trial = calloc(n_max, sizeof(*s->trial));
    s->factor = calloc(n_max * n_max, sizeof(*s->factor));
    s->right = calloc(n_max, sizeof(*s->right));
    if (!s->passive || !s->is_passive || !s->trial || !s->factor || !s->right) {
        nnls_destroy(s);
        return ST_NO_MEMORY;
    }
    *out = s;
    return ST_OK;
}

void nnls_destroy(nnls *s) {
    if (!s) return;
    free(s->passive);
    free(s->is_passive);
    free(s->trial);
    free(s->factor);
    free(s->right);
    free(s);
}

/* The optimum over the passive coefficients alone, signs ignored, into trial[0..n_passive). */
static status solve_passive(nnls *s, size_t n_passive, const double *gram, const double *c,
                            size_t n, errbuf *err) {
    for (size_t i = 0; i < n_passive; i++) {
        for (size_t j = 0; j < n_passive; j++)
            s->factor[i * n_passive + j] = gram[s->passive[i] * n + s->passive[j]];
        s->right[i] = c[s->passive[i]];
    }
    gsl_matrix_view m = gsl_matrix_view_array(s->factor, n_passive, n_passive);
    gsl_vector_view b = gsl_vector_view_array(s->right, n_passive);
    gsl_vector_view x = gsl_vector_view_array(s->trial, n_passive);
    if (gsl_linalg_cholesky_decomp1(&m.matrix) != GSL_SUCCESS)
        return fail(err, ST_INVALID, "the terms of the fit cannot be told apart");
    if (gsl_linalg_cholesky_solve(&m.matrix, &b.vector, &x.vector) != GSL_SUCCESS)
        return fail(err, ST_INVALID, "the equations of the fit have no solution");
    for (size_t i = 0; i < n_passive; i++)
        if (!isfinite(s->trial[i]))
            return fail(err, ST_INVALID, "the equations of the fit are not finite");
    return ST_OK;
}

/* Moves x towards the trial until the first coefficient reaches 0; drops those that are there.
 * True if the whole way could be gone. */
static bool step_to_trial(nnls *s, double *x, size_t *n_passive) {
    double share = 1;
    for (size_t i = 0; i < *n_passive; i++) {
        double from = x[s->passive[i]], to = s->trial[i];
        if (to <= 0 && from - to > 0) share = fmin(share, from / (from - to));
    }
    size_t kept = 0;
    bool whole = true;
    for (size_t i = 0; i < *n_passive; i++) {
        size_t at = s->passive[i];
        x[at] += share * (s->trial[i] - x[at]);
        bool drop = s->trial[i] <= 0 && x[at] <= 1e-12 * fabs(s->trial[i]);
        whole = whole && s->trial[i] > 0;
        if (drop) {
            x[at] = 0;
            s->is_passive[at] = false;
        } else {
            s->passive[kept++] = at;
        }
    }
    *n_passive = kept;
    return whole;
}

/* The coefficient at 0 whose growth helps most; n when none does. */
static size_t steepest(const nnls *s, size_t n_passive, const double *x, const double *gram,
                       const double *c, size_t n, double tolerance) {
    size_t best = n;
    double best_gain = tolerance;
    for (size_t j = 0; j < n; j++) {
        if (s->is_passive[j] || gram[j * n + j] <= 0) continue;
        double gradient = c[j];
        for (size_t i = 0; i < n_passive; i++)
            gradient -= gram[j * n + s->passive[i]] * x[s->passive[i]];
        double gain = gradient / sqrt(gram[j * n + j]);
        if (gain > best_gain) {
            best_gain = gain;
            best = j;
        }
    }
    return best;
}

status nnls_solve(nnls *s, double *x, const double *gram, const double *c, size_t n,
                  size_t max_terms, errbuf *err) {
    assert(n <= s->n_max);
    double scale = 0;
    for (size_t j = 0; j < n; j++) {
        x[j] = 0;
        s->is_passive[j] = false;
        if (!isfinite(c[j]) || !isfinite(gram[j * n + j]))
            return fail(err, ST_INVALID, "the equations of the fit are not finite");
        if (gram[j * n + j] > 0) scale = fmax(scale, fabs(c[j]) / sqrt(gram[j * n + j]));
    }
    size_t n_passive = 0;
    /* Lawson and Hanson end by themselves; the limit is for rounding that goes in circles. */
    for (size_t round = 0; round < 3 * n && n_passive < max_terms; round++) {
        size_t taken = steepest(s, n_passive, x, gram, c, n, 1e-9 * scale);
        if (taken == n) break;
        s->passive[n_passive++] = taken;
        s->is_passive[taken] = true;
        do TRY(solve_passive(s, n_passive, gram, c, n, err));
        while (!step_to_trial(s, x, &n_passive) && n_passive > 0);
    }
    return ST_OK;
}
