/* fit.h - what one operation costs on one device, fitted from its samples.
 *
 * time = trend(features) * exp(table(features)): a regression on terms that follow from the
 * operation's complexity (trend.h) carries the shape, and a smoothed table (residual_table.h)
 * carries the staircase that no formula has.
 *
 * Quality is measured by 5-fold cross-validation: the whole procedure, choices included, is
 * repeated without a fifth of the different points and judged on that fifth. The interval is
 * split conformal (Lei et al., JASA 113, 2018): the 90 % quantile of those held-out errors.
 * Threads: none; a fit is not changed after it is made. */
#ifndef FIT_H
#define FIT_H

#include "cost_model.h"
#include "residual_table.h"
#include "sample.h"
#include "trend.h"

enum { FIT_POINTS_MIN = 8, FIT_FOLDS = 5 };

/* Relative errors, as fractions. */
typedef struct fit_errors {
    size_t n;
    double mape, p95, max;
} fit_errors;

typedef struct fit_quality {
    fit_errors fitted, held_out;
    double coverage; /* share of held-out points within intervals made without them */
    double noise;    /* standard deviation of one repeat over its mean; NAN: not known */
} fit_quality;

typedef struct fit {
    operation op;
    char part[SAMPLE_PART_MAX + 1];
    uint32_t tp;
    uint32_t gemm_n, gemm_k, n_heads, n_kv_heads, head_dim; /* that were measured */
    trend regression;
    residual_table table;
    double low[N_VARIABLES], high[N_VARIABLES]; /* what was measured; infinite where it plays
                                                   no part */
    double spread, width;   /* 90 % of |log(measured / predicted)|; exp() of it */
    double bytes_per_block; /* of copies; 0: not known */
    fit_quality quality;
} fit;

/* Fits samples[0..n) of one operation, part and shape on a device of n_sms multiprocessors.
 * held_out [n] gets what fits that did not see a sample say of it; NULL: not wanted.
 * On error *out is not written, and the message names the operation and what to measure.
 * ST_INVALID: fewer than FIT_POINTS_MIN different points; ST_FORMAT: samples that contradict;
 * ST_NO_MEMORY. */
MUST_USE status fit_make(fit *out, double *held_out, const sample *samples, size_t n,
                         uint32_t n_sms, errbuf *err);

/* Sets spread and width. */
void fit_set_spread(fit *f, double spread);

/* f may be zeroed. */
void fit_finish(fit *f);

/* What an operation with the features of s will take. Outside of what was measured the interval
 * is widened by the distance: a point at twice the largest size has it 1 + 2 ln 2 times as
 * wide.
 */
cost fit_predict(const fit *f, const sample *s);

/* Errors of predicted against measured, [n] each. ST_NO_MEMORY. */
MUST_USE status fit_judge(fit_errors *out, const double *predicted, const double *measured,
                          size_t n);

/* "layer mlp_up_proj", "gemm 12288x4096": for messages and tables, cut to fit. */
void fit_name(char *text, size_t size, const fit *f);

#endif
