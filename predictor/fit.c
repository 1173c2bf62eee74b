#include "fit.h"

#include <assert.h>
#include <gsl/gsl_sort.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fit_points.h"
#include "sample_set.h"

static const double coverage_wanted = 0.9;
static const double widening = 2; /* of the interval, per factor e outside of the range */

/* The range of the variables that the operation depends on. */
static void set_range(fit *f, const fit_points *points, const term *candidates,
                      size_t n_candidates) {
    bool used[N_VARIABLES] = {false};
    for (size_t k = 0; k < n_candidates; k++)
        used[candidates[k].a] = used[candidates[k].b] = used[candidates[k].c] = true;
    for (size_t j = 0; j < N_VARIABLES; j++) {
        f->low[j] = used[j] ? INFINITY : -INFINITY;
        f->high[j] = used[j] ? -INFINITY : INFINITY;
        for (size_t i = 0; used[j] && i < points->n; i++) {
            f->low[j] = fmin(f->low[j], points->v[i * N_VARIABLES + j]);
            f->high[j] = fmax(f->high[j], points->v[i * N_VARIABLES + j]);
        }
    }
}

/* Relative errors of very short times weigh so much that terms which the others need can drop
 * out. Nothing can be said of a point then. */
static status log_ratios(double *ratio, const fit *f, const fit_rows *rows, errbuf *err) {
    for (size_t i = 0; i < rows->n; i++) {
        double trend_s = trend_value(&f->regression, rows->v + i * N_VARIABLES);
        if (!(trend_s > 0))
            return fail(err, ST_FORMAT,
                        "the samples contradict each other: one of %g s would take 0 s by the "
                        "best fit of all; measure more of them, where nothing else runs",
                        rows->seconds[i]);
        ratio[i] = log(rows->seconds[i] / trend_s);
    }
    return ST_OK;
}

/* Trend and table of some points, without quality. */
static status fit_shape(fit *f, const fit_points *points, uint32_t n_sms, errbuf *err) {
    term_shape shape = {f->op, n_sms, f->n_heads, f->n_kv_heads};
    term candidates[TERMS_MAX];
    size_t n_candidates = cost_terms_candidates(candidates, &shape);
    fit_rows rows = fit_points_rows(points);
    set_range(f, points, candidates, n_candidates);
    TRY(trend_fit(&f->regression, candidates, n_candidates, &rows, err));
    double *ratio = calloc(rows.n, sizeof(*ratio));
    if (!ratio) return fail(err, ST_NO_MEMORY, "out of memory for a fit");
    status st = log_ratios(ratio, f, &rows, err);
    if (st == ST_OK) st = residual_table_make(&f->table, f->op, &rows, ratio, err);
    free(ratio);
    return st;
}

static double predict_at(const fit *f, const double *v) {
    return trend_value(&f->regression, v) * exp(residual_table_value(&f->table, v));
}

/* What fits without a sample's fold say of it, into held_out[points->n]. */
static status cross_validate(const fit *f, double *held_out, const fit_points *points,
                             uint32_t n_sms, errbuf *err) {
    for (unsigned k = 0; k < FIT_FOLDS; k++) {
        fit without = *f;
        without.table = (residual_table){0};
        fit_points rest = {0};
        status st = fit_points_without(&rest, points, k);
        if (st == ST_OK) st = fit_shape(&without, &rest, n_sms, err);
        for (size_t i = 0; st == ST_OK && i < points->n; i++)
            if (points->fold[i] == k)
                held_out[i] = predict_at(&without, points->v + i * N_VARIABLES);
        fit_points_finish(&rest);
        residual_table_finish(&without.table);
        TRY(st);
    }
    return ST_OK;
}

status fit_judge(fit_errors *out, const double *predicted, const double *measured, size_t n) {
    double *errors = calloc(n + 1, sizeof(*errors)), sum = 0;
    if (!errors) return ST_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        errors[i] = fabs(predicted[i] / measured[i] - 1);
        sum += errors[i];
    }
    gsl_sort(errors, 1, n);
    *out = (fit_errors){.n = n};
    if (n > 0) {
        out->mape = sum / (double)n;
        out->p95 = errors[(size_t)ceil(0.95 * (double)n) - 1];
        out->max = errors[n - 1];
    }
    free(errors);
    return ST_OK;
}

void fit_set_spread(fit *f, double spread) {
    f->spread = spread;
    f->width = exp(spread);
}

/* The conformal quantile of scores[0..n), which are sorted. */
static double conformal(double *scores, size_t n) {
    if (n == 0) return INFINITY;
    gsl_sort(scores, 1, n);
    double rank = ceil((double)(n + 1) * coverage_wanted);
    return scores[rank > (double)n ? n - 1 : (size_t)rank - 1];
}

/* The spread, and how many points of each fold lie within the spread of the other folds. */
static status set_interval(fit *f, const double *held_out, const fit_points *points) {
    double *scores = calloc(points->n, sizeof(*scores));
    if (!scores) return ST_NO_MEMORY;
    size_t covered = 0;
    for (unsigned k = 0; k <= FIT_FOLDS; k++) { /* the last round leaves nothing out */
        size_t n = 0;
        for (size_t i = 0; i < points->n; i++)
            if (points->fold[i] != k) scores[n++] = fabs(log(points->seconds[i] / held_out[i]));
        double spread = conformal(scores, n);
        if (k == FIT_FOLDS) fit_set_spread(f, spread);
        for (size_t i = 0; i < points->n; i++)
            if (points->fold[i] == k)
                covered += fabs(log(points->seconds[i] / held_out[i])) <= spread;
    }
    f->quality.coverage = (double)covered / (double)points->n;
    free(scores);
    return ST_OK;
}

static status measure_quality(fit *f, double *held_out, const fit_points *points,
                              uint32_t n_sms, errbuf *err) {
    TRY(cross_validate(f, held_out, points, n_sms, err));
    double *fitted = calloc(points->n, sizeof(*fitted));
    if (!fitted) return fail(err, ST_NO_MEMORY, "out of memory for a fit");
    for (size_t i = 0; i < points->n; i++)
        fitted[i] = predict_at(f, points->v + i * N_VARIABLES);
    status st = fit_judge(&f->quality.fitted, fitted, points->seconds, points->n);
    if (st == ST_OK) st = fit_judge(&f->quality.held_out, held_out, points->seconds, points->n);
    if (st == ST_OK) st = set_interval(f, held_out, points);
    free(fitted);
    return st == ST_OK ? ST_OK : fail(err, st, "out of memory for a fit");
}

static double relative_noise(const sample *samples, size_t n) {
    double sum = 0;
    size_t known = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(samples[i].deviation_s > 0)) continue;
        sum += samples[i].deviation_s / samples[i].seconds;
        known++;
    }
    return known > 0 ? sum / (double)known : NAN;
}

static void describe(fit *f, const sample *samples, size_t n) {
    const sample *s = &samples[0];
    *f = (fit){.op = s->op, .tp = s->tp, .gemm_n = s->gemm_n, .gemm_k = s->gemm_k};
    f->n_heads = s->n_heads;
    f->n_kv_heads = s->n_kv_heads;
    f->head_dim = s->head_dim;
    memcpy(f->part, s->part, sizeof(f->part));
    for (size_t i = 0; i < n && f->bytes_per_block == 0; i++)
        if (samples[i].n_blocks > 0)
            f->bytes_per_block = samples[i].bytes / samples[i].n_blocks;
    f->quality.noise = relative_noise(samples, n);
}

status fit_make(fit *out, double *held_out, const sample *samples, size_t n, uint32_t n_sms,
                errbuf *err) {
    assert(n > 0);
    fit_points points = {0};
    fit f = {0};
    double *own = held_out ? held_out : calloc(n, sizeof(*own));
    status st = own ? samples_check_consistent(samples, n, err)
                    : fail(err, ST_NO_MEMORY, "out of memory for a fit");
    if (st == ST_OK) st = fit_points_init(&points, samples, n, err);
    if (st == ST_OK) {
        describe(&f, samples, n);
        errbuf why = {0};
        st = fit_shape(&f, &points, n_sms, &why);
        if (st == ST_OK) st = measure_quality(&f, own, &points, n_sms, &why);
        char name[128];
        fit_name(name, sizeof(name), &f);
        if (st != ST_OK) fail(err, st, "%s: %s", name, why.text);
    }
    fit_points_finish(&points);
    if (!held_out) free(own);
    if (st == ST_OK)
        *out = f;
    else
        fit_finish(&f);
    return st;
}

void fit_finish(fit *f) {
    residual_table_finish(&f->table);
}

/* How far outside of the measured range, as the sum of logarithms of ratios. */
static double distance_outside(const fit *f, const double *v) {
    double sum = 0;
    for (size_t j = 1; j < N_VARIABLES; j++) {
        if (v[j] > f->high[j]) sum += log((v[j] + 1) / (f->high[j] + 1));
        if (v[j] < f->low[j]) sum += log((f->low[j] + 1) / (v[j] + 1));
    }
    return sum;
}

cost fit_predict(const fit *f, const sample *s) {
    double v[N_VARIABLES];
    cost_terms_read(v, s);
    double seconds = predict_at(f, v), outside = distance_outside(f, v);
    double width = outside > 0 ? exp(f->spread * (1 + widening * outside)) : f->width;
    return (cost){seconds, seconds / width, seconds * width, outside == 0};
}

void fit_name(char *text, size_t size, const fit *f) {
    char shape[64] = "";
    if (f->op == OP_GEMM) snprintf(shape, sizeof(shape), " %ux%u", f->gemm_n, f->gemm_k);
    if (f->n_heads > 0)
        snprintf(shape, sizeof(shape), " %u/%u heads x %u", f->n_heads, f->n_kv_heads,
                 f->head_dim);
    snprintf(text, size, "%s%s%s%s", operation_name(f->op), f->part[0] ? " " : "", f->part,
             shape);
}
