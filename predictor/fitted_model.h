/* fitted_model.h - all fits of one model on one device: the predictor that policies ask.
 *
 * An iteration is predicted by the fit of whole iterations where there is one; otherwise it is
 * put together from its operators (iteration_parts.h). What follows from the number of tokens
 * or of sampled sequences alone is tabulated when the model is made, so that a prediction is a
 * look-up and one or two fits: some 100 to 300 ns, no allocation.
 *
 * Errors of different operators are taken as independent, those of the layers of one operator
 * as equal. Threads: one owner. */
#ifndef FITTED_MODEL_H
#define FITTED_MODEL_H

#include "cost_model.h"
#include "fit.h"
#include "model_spec.h"
#include "profile_store.h"

typedef struct fitted_model fitted_model;

/* Takes over fits[0..n) (each finished by destroy, also on error; the array itself stays the
 * caller's). model may be NULL where only whole iterations and copies are asked for.
 * ST_NOT_FOUND: no fit of an iteration or its operators, nor of copies; ST_NO_MEMORY. */
MUST_USE status fitted_model_create(fitted_model **out, fit *fits, size_t n,
                                    const model_spec *model, errbuf *err);

/* The same from what is stored. ST_NOT_FOUND: nothing is; the message says what to run. */
MUST_USE status fitted_model_load(fitted_model **out, profile_store *store, const char *device,
                                  const char *model, uint32_t tp, errbuf *err);

/* m may be NULL. */
void fitted_model_destroy(fitted_model *m);

bool fitted_model_has_iteration(const fitted_model *m);
bool fitted_model_has_copy(const fitted_model *m, link_direction direction);

/* Seconds of an iteration. It must have fits of iterations. */
cost fitted_model_iteration(const fitted_model *m, const batch_shape *batch);

/* Seconds of a copy; it must have a fit of that direction. */
cost fitted_model_copy(const fitted_model *m, link_direction direction, uint32_t n_blocks,
                       uint32_t n_segments, copy_load load);

/* The same for policies, rescaled by what is observed (recalibration.h). Borrows m. */
cost_model fitted_model_costs(fitted_model *m);

#endif
