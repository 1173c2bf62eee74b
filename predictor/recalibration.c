#include "recalibration.h"

#include <assert.h>
#include <math.h>

static const double FORGETTING = 0.97;       /* about 33 observations are remembered */
static const double COVARIANCE_OPEN = 1e4;   /* nothing is known: the next error is believed */
static const double SLACK = 1, DECISION = 8; /* CUSUM, in units of noise: a false alarm takes
                                                about e^16 observations (Siegmund, 1985) */

void recalibration_init(recalibration *r, double noise) {
    *r = (recalibration){.scale = 1, .covariance = 1, .noise = noise > 1e-3 ? noise : 1e-3};
}

/* True if errors have lain on one side for too long. */
static bool has_drifted(recalibration *r, double error) {
    double e = error / r->noise;
    r->up = fmax(0, r->up + e - SLACK);
    r->down = fmax(0, r->down - e - SLACK);
    return r->up > DECISION || r->down > DECISION;
}

bool recalibration_observe(recalibration *r, double predicted_s, double measured_s) {
    assert(predicted_s > 0 && measured_s > 0);
    double error = measured_s / predicted_s - r->scale;
    bool drifted = has_drifted(r, error / r->scale);
    if (drifted) {
        r->up = r->down = 0;
        r->covariance = COVARIANCE_OPEN;
        r->n_drifts++;
    }
    double gain = r->covariance / (FORGETTING + r->covariance);
    r->scale += gain * error;
    r->covariance = (1 - gain) * r->covariance / FORGETTING;
    r->n_observed++;
    return drifted;
}
