/* iteration_parts.h - how often each fitted operation runs in one iteration of a model.
 *
 * Operators of a layer run once per layer, but for the two residual additions and the two norms
 * that tables list once; embedding, last norm, output head and sampler run once. A kernel that
 * was measured at another shape is scaled by the ratio of the work: multiply-adds of a matrix
 * product, query heads of prefill attention, key-value heads of decode attention. */
#ifndef ITERATION_PARTS_H
#define ITERATION_PARTS_H

#include "fit.h"
#include "model_spec.h"

/* What an operation's time depends on within an iteration. */
typedef enum part_driver {
    PART_TOKENS,  /* batch.n_tokens alone */
    PART_SAMPLED, /* batch.n_sampled alone */
    PART_PREFILL, /* the prefill chunks */
    PART_DECODE,  /* the decodes */
    PART_MIXED,   /* both in one kernel */
    PART_MESSAGE, /* bytes of an all-reduce */
    PART_HOST,    /* the host's own time */
    PART_WHOLE,   /* the whole iteration at once */
    PART_NO_PART  /* not of an iteration: copies */
} part_driver;

part_driver part_driver_of(operation op, const char *part);

/* Seconds in an iteration per second of one measured call: calls times the scale for shape. */
double part_weight(const fit *f, const char *part, const model_spec *model);

/* The features of the fitted operation in an iteration of this composition; what it does not
 * depend on is left out. */
void part_sample(sample *out, part_driver driver, const fit *f, const model_spec *model,
                 const batch_shape *batch);

#endif
