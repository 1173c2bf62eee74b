/* fit_device.h - all fits of one device and model, made from what is stored.
 *
 * Also judges stored fits on other samples, and puts whole iterations together: at every point
 * where all operators of a model were measured, the sum of the measurements against the sum of
 * predictions that did not see them. */
#ifndef FIT_DEVICE_H
#define FIT_DEVICE_H

#include "fit.h"
#include "fit_groups.h"
#include "profile_store.h"

/* One fit with the samples it is judged on. */
typedef struct judged_fit {
    fit f;
    fit_group group;
    double *predicted; /* [group.n] by fits that did not see the sample */
    fit_errors errors; /* of predicted */
} judged_fit;

typedef struct judged_fits {
    judged_fit *fits; /* [n] */
    size_t n;
    fit_errors iterations; /* put together; n 0: not all operators are there */
} judged_fits;

/* Reads the samples of the device and model (NULL: of no model) on tp devices and fits them.
 * ST_NOT_FOUND: no samples; errors of fit_make(); on error *out is empty. */
MUST_USE status fit_device_make(judged_fits *out, profile_store *store, const char *device,
                                const char *model, uint32_t tp, errbuf *err);

/* Stores all of them in place of older ones, or none. */
MUST_USE status fit_device_save(profile_store *store, const judged_fits *fits,
                                const char *device, const char *model, uint32_t tp,
                                errbuf *err);

/* Judges the stored fits of a device and model on samples[0..n); *n_without is how many samples
 * have no fit. ST_NOT_FOUND: there is no fit at all. */
MUST_USE status fit_device_check(judged_fits *out, size_t *n_without, profile_store *store,
                                 const char *device, const char *model, uint32_t tp,
                                 const sample *samples, size_t n, errbuf *err);

void judged_fits_finish(judged_fits *fits);

#endif
