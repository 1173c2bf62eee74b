/* recalibration.h - follows a device whose speed drifts away from its fit.
 *
 * One factor between predicted and measured times, by recursive least squares with exponential
 * forgetting (Haykin, Adaptive Filter Theory, chapter on RLS; one regressor, so the covariance
 * is one number). A two-sided CUSUM (Page, Biometrika 1954) on the remaining error tells drift
 * from noise; when it fires, the covariance is opened again, so that a jump is followed within
 * a few observations and noise is still averaged over some thirty. Threads: one owner. */
#ifndef RECALIBRATION_H
#define RECALIBRATION_H

#include <stdbool.h>
#include <stdint.h>

typedef struct recalibration {
    double scale;      /* measured / predicted, as believed now */
    double covariance; /* of scale, in units of the noise's variance */
    double noise;      /* relative standard deviation of one observation */
    double up, down;   /* CUSUM of errors above and below, in units of noise */
    uint64_t n_observed, n_drifts;
} recalibration;

/* noise: relative standard deviation of an observation around the fit; at least 0.1 % is taken,
 * so that rounding is not drift. */
void recalibration_init(recalibration *r, double noise);

/* Learns from one prediction of the fit (unscaled) and what was measured, both above 0. True
 * when a drift was detected with this observation. */
bool recalibration_observe(recalibration *r, double predicted_s, double measured_s);

#endif
