/* fit_assembly.h - how well whole iterations are predicted when they are put together from
 * operators.
 *
 * A point is a batch at which every operator of the model was measured: one for each measured
 * attention batch, or where attention was not measured, one for each number of tokens. Host
 * time and all-reduces are left out: they are not measured at these points. */
#ifndef FIT_ASSEMBLY_H
#define FIT_ASSEMBLY_H

#include "fit_device.h"

/* Sets fits->iterations. ST_NO_MEMORY. */
MUST_USE status fit_assemble(judged_fits *fits, const model_spec *model, errbuf *err);

#endif
