/* restore_prediction.h - what a restore is believed to cost, without running it.
 *
 * The price of a way back is the delay that the victim adds to all: the time until it ends, and
 * the time by which every other sequence ends later than without it. With iterations counted
 * from the decision, t(i) the time of iteration i without the victim, b(i) the others in it,
 * d(i) what the victim's decode adds, a(i) what its chunk adds:
 *     recompute: sum over its chunks of t(i) + (1 + b(i)) a(i)
 *     swap:      the start of the first iteration after its copy
 *     then both: sum over its decodes of t(i) + (1 + b(i)) d(i)
 * Both leave out the same sum, that of the others alone. The lengths still to come are taken as
 * known (as a policy's estimate would be): what is judged is the belief in times.
 *
 * The others leave one after the other; they are taken together in a few segments of constant
 * composition, so a prediction takes O(chunks + segments) questions to the cost model. */
#ifndef RESTORE_PREDICTION_H
#define RESTORE_PREDICTION_H

#include "cost_model.h"
#include "restore_case.h"
#include "restore_run.h"

enum { LOAD_SEGMENTS_MAX = 16 };

/* Iterations [first, end) in which n_seqs others decode. */
typedef struct load_segment {
    uint32_t first, end, n_seqs;
    uint64_t contexts; /* sum of their cached tokens at the decision */
    uint32_t longest;  /* of them */
} load_segment;

/* The others' future, the same for every sequence that could come back. */
typedef struct load_forecast {
    load_segment segments[LOAD_SEGMENTS_MAX]; /* [n] */
    uint32_t n;
} load_forecast;

/* Factors on what the cost model says: 1 is no error. */
typedef struct restore_errors {
    double copy, recompute;
} restore_errors;

/* others[0..n), n at most RESTORE_OTHERS_MAX, by n_left. Exact up to LOAD_SEGMENTS_MAX. */
void load_forecast_init(load_forecast *out, const decoding *others, uint32_t n);

/* Seconds, as above. kind is RESTORE_SWAP or RESTORE_RECOMPUTE. Allocates nothing. */
double predict_total(const load_forecast *f, const cost_model *m, const restore_case *c,
                     restore_kind kind, restore_errors errors);

#endif
