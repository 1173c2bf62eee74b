/* skew_table.h - what unequal contexts add to the attention of a decode batch.
 *
 * A batch of contexts with mean m and longest M takes T(m) + alpha (T(M) - T(m)), where T is
 * the time of as many equal contexts. alpha is measured: LLMServingSim's skew tables time the
 * batch at hand and both equal ones in the same run. (Their times are about three times those
 * of its attention tables, so nothing but the ratio is taken.) It depends on the number of
 * decodes and on m / M, hardly on the rest; decode kernels and mixed ones differ.
 *
 * Samples: parts "skew_mean", "skew_longest" and "skew" of decode and mixed attention, in this
 * order for each batch. */
#ifndef SKEW_TABLE_H
#define SKEW_TABLE_H

#include "sample_list.h"
#include "status.h"

typedef struct skew_table skew_table;

/* Of the list, or, kernel by kernel where that holds none, of the other one; without any alpha
 * is 0. ST_NO_MEMORY. */
MUST_USE status skew_table_create(skew_table **out, sample_list list, sample_list other);

/* t may be NULL. */
void skew_table_destroy(skew_table *t);

/* In [0, 1]; the batch has at least one decode. */
double skew_table_alpha(const skew_table *t, const batch_shape *batch);

#endif
