#include "trend.h"

#include <assert.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nnls.h"

enum {
    HUBER_ROUNDS = 2,
    ROWS_MAX = 3000, /* of a regression: more rows than that add time, not terms */
};
static const double ridge = 3e-3;    /* of the mean square of a scaled term */
static const double price = 0.01;    /* of more terms, as a share of the error */
static const double huber_width = 2; /* standard deviations that count in full */
static const size_t sizes[] = {3, 6, 10, 16, 24, 32};
enum { N_SIZES = sizeof(sizes) / sizeof(sizes[0]), FOLDS_MAX = 8 };

/* A regression in the making: the terms of all rows, and their normal equations by fold. */
typedef struct regression {
    size_t n, m; /* rows, candidates */
    unsigned n_folds;
    double *a;        /* [n * m] terms over seconds, scaled to mean square 1 */
    double *scale;    /* [m] 1 / root mean square; 0 for a term that is 0 everywhere */
    double *weight;   /* [n] Huber's */
    unsigned *fold;   /* [n] */
    double *x;        /* [m] */
    double *error;    /* [n] scratch */
    double *gram, *c; /* of all folds: [m * m], [m] */
    double *fold_gram, *fold_c; /* [n_folds * m * m], [n_folds * m] */
    double *part_gram, *part_c; /* all folds but one */
    nnls *solver;
} regression;

static void regression_finish(regression *r) {
    double *arrays[] = {r->a, r->scale,     r->weight, r->x,         r->error, r->gram,
                        r->c, r->fold_gram, r->fold_c, r->part_gram, r->part_c};
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) free(arrays[i]);
    free(r->fold);
    nnls_destroy(r->solver);
}

static status regression_init(regression *r, size_t m, const fit_rows *rows) {
    size_t stride = (rows->n + ROWS_MAX - 1) / ROWS_MAX;
    *r = (regression){.n = (rows->n + stride - 1) / stride, .m = m, .n_folds = rows->n_folds};
    r->a = calloc(r->n * m, sizeof(double));
    r->scale = calloc(m, sizeof(double));
    r->weight = calloc(r->n, sizeof(double));
    r->fold = calloc(r->n, sizeof(*r->fold));
    r->x = calloc(m, sizeof(double));
    r->error = calloc(r->n, sizeof(double));
    r->gram = calloc(m * m, sizeof(double));
    r->c = calloc(m, sizeof(double));
    r->fold_gram = calloc(r->n_folds * m * m, sizeof(double));
    r->fold_c = calloc(r->n_folds * m, sizeof(double));
    r->part_gram = calloc(m * m, sizeof(double));
    r->part_c = calloc(m, sizeof(double));
    if (!r->a || !r->scale || !r->weight || !r->fold || !r->x || !r->error || !r->gram ||
        !r->c || !r->fold_gram || !r->fold_c || !r->part_gram || !r->part_c)
        return ST_NO_MEMORY;
    return nnls_create(&r->solver, m);
}

/* Fills a, scale and fold from the rows. */
static void read_rows(regression *r, const term *candidates, const fit_rows *rows) {
    size_t stride = (rows->n + ROWS_MAX - 1) / ROWS_MAX;
    for (size_t i = 0; i < r->n; i++) {
        size_t row = i * stride;
        r->weight[i] = 1;
        r->fold[i] = rows->fold[row];
        for (size_t j = 0; j < r->m; j++) {
            double value = term_value(&candidates[j], rows->v + row * N_VARIABLES);
            r->a[i * r->m + j] = value / rows->seconds[row];
            r->scale[j] += r->a[i * r->m + j] * r->a[i * r->m + j];
        }
    }
    for (size_t j = 0; j < r->m; j++)
        r->scale[j] = r->scale[j] > 0 ? 1 / sqrt(r->scale[j] / (double)r->n) : 0;
    for (size_t i = 0; i < r->n; i++)
        for (size_t j = 0; j < r->m; j++) r->a[i * r->m + j] *= r->scale[j];
}

/* The normal equations of every fold, and their sum. */
static void sum_equations(regression *r) {
    size_t m = r->m;
    memset(r->fold_gram, 0, r->n_folds * m * m * sizeof(double));
    memset(r->fold_c, 0, r->n_folds * m * sizeof(double));
    for (size_t i = 0; i < r->n; i++) {
        const double *a = r->a + i * m;
        double *gram = r->fold_gram + r->fold[i] * m * m, *c = r->fold_c + r->fold[i] * m;
        for (size_t j = 0; j < m; j++) {
            if (a[j] == 0) continue;
            double wa = r->weight[i] * a[j];
            c[j] += wa;
            for (size_t k = 0; k <= j; k++) gram[j * m + k] += wa * a[k];
        }
    }
}

/* All folds but `without` (n_folds: all), with the ridge, into gram and c. */
static void join_folds(const regression *r, double *gram, double *c, unsigned without) {
    size_t m = r->m;
    memset(gram, 0, m * m * sizeof(double));
    memset(c, 0, m * sizeof(double));
    for (unsigned f = 0; f < r->n_folds; f++) {
        if (f == without) continue;
        const double *from = r->fold_gram + f * m * m, *fc = r->fold_c + f * m;
        for (size_t j = 0; j < m; j++) {
            c[j] += fc[j];
            for (size_t k = 0; k <= j; k++) gram[j * m + k] += from[j * m + k];
        }
    }
    for (size_t j = 0; j < m; j++) {
        for (size_t k = 0; k < j; k++) gram[k * m + j] = gram[j * m + k];
        if (r->scale[j] > 0) gram[j * m + j] += ridge * (double)r->n;
    }
}

/* Predicted over measured, minus 1. */
static double row_error(const regression *r, size_t i) {
    double sum = -1;
    for (size_t j = 0; j < r->m; j++)
        if (r->x[j] > 0) sum += r->x[j] * r->a[i * r->m + j];
    return sum;
}

static void reweight(regression *r) {
    for (size_t i = 0; i < r->n; i++) r->error[i] = fabs(row_error(r, i));
    for (size_t i = 0; i < r->n; i++) r->weight[i] = r->error[i];
    gsl_sort(r->error, 1, r->n);
    /* 1.4826: standard deviation of a normal variable over its median absolute value. */
    double width = huber_width * 1.4826 * gsl_stats_median_from_sorted_data(r->error, 1, r->n);
    for (size_t i = 0; i < r->n; i++)
        r->weight[i] = r->weight[i] > width && width > 0 ? width / r->weight[i] : 1;
}

/* Mean absolute error on the folds left out, with at most max_terms terms. */
static status cross_validate(regression *r, double *out, size_t max_terms, errbuf *err) {
    double sum = 0;
    for (unsigned f = 0; f < r->n_folds; f++) {
        join_folds(r, r->part_gram, r->part_c, f);
        TRY(nnls_solve(r->solver, r->x, r->part_gram, r->part_c, r->m, max_terms, err));
        for (size_t i = 0; i < r->n; i++)
            if (r->fold[i] == f) sum += r->weight[i] * fabs(row_error(r, i));
    }
    *out = sum / (double)r->n;
    return ST_OK;
}

static status choose_size(regression *r, size_t *out, errbuf *err) {
    double best = INFINITY;
    for (size_t s = 0; s < N_SIZES && sizes[s] <= r->n; s++) {
        double error;
        TRY(cross_validate(r, &error, sizes[s], err));
        if (error >= best * (1 - price)) continue;
        best = error;
        *out = sizes[s];
    }
    return ST_OK;
}

static status run_regression(regression *r, errbuf *err) {
    for (int round = 0; round < HUBER_ROUNDS; round++) {
        sum_equations(r);
        join_folds(r, r->gram, r->c, r->n_folds);
        TRY(nnls_solve(r->solver, r->x, r->gram, r->c, r->m, TREND_TERMS_MAX, err));
        reweight(r);
    }
    sum_equations(r);
    join_folds(r, r->gram, r->c, r->n_folds);
    size_t size = sizes[0];
    TRY(choose_size(r, &size, err));
    return nnls_solve(r->solver, r->x, r->gram, r->c, r->m, size, err);
}

/* The terms that are above 0, form by form: a processor guesses the next form from the last.
 * kept [n_terms] gets their candidates. */
static void take_terms(trend *out, size_t *kept, const regression *r, const term *candidates) {
    out->n_terms = 0;
    for (term_form form = 0; form < N_TERM_FORMS; form++)
        for (size_t j = 0; j < r->m && out->n_terms < TREND_TERMS_MAX; j++) {
            if (!(r->x[j] > 0) || candidates[j].form != form) continue;
            kept[out->n_terms] = j;
            out->terms[out->n_terms] = candidates[j];
            out->coefficients[out->n_terms++] = r->x[j] * r->scale[j];
        }
}

/* Variance of a row's relative error around the fit, with Huber's weights. */
static double error_variance(const regression *r, size_t n_terms) {
    double sum = 0, n = 0;
    for (size_t i = 0; i < r->n; i++) {
        double e = row_error(r, i);
        sum += r->weight[i] * e * e;
        n += r->weight[i];
    }
    return n > (double)n_terms ? sum / (n - (double)n_terms) : sum;
}

/* Variance times the inverse of the normal equations of the kept terms, as of least squares in
 * which no coefficient is at its bound. */
static status find_covariance(trend *out, const regression *r, const size_t *kept,
                              errbuf *err) {
    size_t n = out->n_terms;
    double gram[TREND_TERMS_MAX * TREND_TERMS_MAX];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) gram[i * n + j] = r->gram[kept[i] * r->m + kept[j]];
    gsl_matrix_view m = gsl_matrix_view_array(gram, n, n);
    if (gsl_linalg_cholesky_decomp1(&m.matrix) || gsl_linalg_cholesky_invert(&m.matrix))
        return fail(err, ST_INVALID, "the samples do not tell the terms of a fit apart");
    double variance = error_variance(r, n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            out->covariance[i * n + j] =
                variance * gram[i * n + j] * (r->scale[kept[i]] * r->scale[kept[j]]);
    return ST_OK;
}

static status take_result(trend *out, const regression *r, const term *candidates,
                          errbuf *err) {
    size_t kept[TREND_TERMS_MAX];
    take_terms(out, kept, r, candidates);
    if (out->n_terms == 0)
        return fail(err, ST_INVALID, "no term of the fit explains the samples");
    return find_covariance(out, r, kept, err);
}

status trend_fit(trend *out, const term *candidates, size_t n_candidates, const fit_rows *rows,
                 errbuf *err) {
    assert(rows->n > 0 && rows->n_folds <= FOLDS_MAX && n_candidates <= TERMS_MAX);
    regression r;
    status st = regression_init(&r, n_candidates, rows);
    if (st == ST_OK) {
        read_rows(&r, candidates, rows);
        st = run_regression(&r, err);
    }
    if (st == ST_OK) st = take_result(out, &r, candidates, err);
    regression_finish(&r);
    return st == ST_NO_MEMORY ? fail(err, st, "out of memory for a fit") : st;
}

double trend_value(const trend *t, const double *v) {
    double sum = 0;
    for (size_t i = 0; i < t->n_terms; i++)
        sum += t->coefficients[i] * term_value(&t->terms[i], v);
    return sum;
}
