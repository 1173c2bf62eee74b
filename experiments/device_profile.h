/* device_profile.h - microbenchmarks of the device of a run: samples, for fits.
 *
 * `profile` runs them by itself, and a run that needs a predictor when it has none. The device
 * is one of its own, so that a run is the same with them and without. */
#ifndef DEVICE_PROFILE_H
#define DEVICE_PROFILE_H

#include "profile_store.h"
#include "run_setup.h"

typedef struct device_profile_design {
    uint32_t n_iterations, n_copies; /* points */
    uint32_t n_copies_beside;        /* copies beside iterations, where that makes a difference:
                                      * not on a virtual device */
    uint32_t n_repeats_max, seed;
    double precision;
} device_profile_design;

/* Those of microbench.h, 80 copies beside iterations, seed 1. */
device_profile_design device_profile_design_defaults(void);

typedef struct device_profile {
    sample *samples; /* [n] */
    uint32_t n;
} device_profile;

/* Measures on an executor made of setup and settings, with a progress bar unless they say
 * quiet. Release *out with device_profile_finish, on errors too. ST_INTERRUPTED: SIGINT or
 * SIGTERM came; *out has the points that were done, a random choice of all. Errors of
 * microbench_run(). */
MUST_USE status device_profile_measure(device_profile *out, const device_profile_design *design,
                                       const run_setup *setup, const run_settings *settings,
                                       errbuf *err);
void device_profile_finish(device_profile *p);

/* Stores it; *added is false when the same samples are there already. */
MUST_USE status device_profile_store(profile_store *store, bool *added, const device_profile *p,
                                     const device_profile_design *design,
                                     const run_setup *setup, const run_settings *settings,
                                     errbuf *err);

#endif
