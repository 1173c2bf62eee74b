/* belief.h - what the predictor said during a run, beside what then happened.
 *
 * Every iteration is predicted before it is compared, every asynchronous copy when it is
 * submitted; then the predictor learns from it, as it does when a policy asks it. Changes of
 * the device that its fits cannot be off by are kept with their time. */
#ifndef BELIEF_H
#define BELIEF_H

#include "copy_ledger.h"
#include "figures.h"
#include "scheduler.h"

/* A change of speed that was noticed. */
typedef struct noticed_drift {
    double t_s;
    uint64_t iteration;
    bool of_copies; /* not of iterations */
    double factor;  /* of the fitted times, since then */
} noticed_drift;

enum { BELIEF_DRIFTS_MAX = 64, BELIEF_WINDOW = 50 };

typedef struct profile_store profile_store;
typedef struct belief belief;

/* Reads the fits of a device, model and tp. ST_NOT_FOUND with a message: there are none of
 * iterations; other errors of reading. */
MUST_USE status belief_create(belief **out, profile_store *store, const char *device,
                              const char *model, uint32_t tp, errbuf *err);

/* Are there fits of copies in both directions? */
bool belief_knows_copies(const belief *b);

/* What policies may ask; lives as long as b. */
const cost_model *belief_costs(const belief *b);

/* b may be NULL. */
void belief_destroy(belief *b);

void belief_iterated(belief *b, const iteration_span *span);

/* Predicts a copy that has just been submitted; NAN: there is no fit of its direction. */
double belief_predict_copy(const belief *b, const copy_in_flight *c);

/* It took measured_s until t_s, and for busy_share of that the other direction was busy. */
void belief_copied(belief *b, const copy_in_flight *c, double busy_share, double measured_s,
                   double t_s);

/* Sets the predictor's figures; of recomputes and copies only if there were some. */
void belief_figures(const belief *b, run_figures *out);

/* The first BELIEF_DRIFTS_MAX drifts; *n is how many are there, *n_all how many were noticed.
 */
const noticed_drift *belief_drifts(const belief *b, uint32_t *n, uint64_t *n_all);

/* Iterations at whose end the mean error of the last BELIEF_WINDOW was above 2 %. */
uint64_t belief_n_off(const belief *b);

#endif
