/* measured_attention.h - seconds of the attention of one layer, as measured.
 *
 * Looked up in the variables it was measured in:
 *   decode   sequences x context
 *   prefill  new x cached tokens of one chunk, or chunks x query-key pairs of one where no
 *            cached tokens were measured
 *   mixed    decodes x new x cached x context, one kernel: it costs 1.4 to 3.2 times the decode
 *            alone even with 16 new tokens, so it is never interpolated from 0 new tokens;
 * fewer than the fewest measured count as these. Without such samples: prefill + decode.
 * Several chunks count as one of all their tokens with the same pairs. Unequal contexts take
 * T(mean) + alpha (T(longest) - T(mean)), see skew_table.h.
 *
 * Threads: none; reading is const. */
#ifndef MEASURED_ATTENTION_H
#define MEASURED_ATTENTION_H

#include "sample_list.h"
#include "status.h"

typedef struct measured_attention measured_attention;

/* On one device. */
typedef struct head_shape {
    uint32_t n_heads, n_kv_heads, head_dim;
} head_shape;

/* Copies what it takes of list: kernels of these heads, and those that do not tell heads. skew
 * says what unequal contexts cost where list does not; it may be empty. ST_NOT_FOUND: no
 * samples of prefill or of decode; ST_NO_MEMORY. */
MUST_USE status measured_attention_create(measured_attention **out, head_shape heads,
                                          sample_list list, sample_list skew, errbuf *err);

/* a may be NULL. */
void measured_attention_destroy(measured_attention *a);

/* 0 without a chunk and a decode. */
double measured_attention_s(const measured_attention *a, const batch_shape *batch);

#endif
