/* adaptive.h - memory policy of AdaptiveLLM and, by its settings, of what it is compared with.
 *
 * Iterations mix prefill chunks and decodes. Who runs is decided by the order policy's rank;
 * a share of the admissions goes to the oldest instead, which bounds how long anyone can be
 * passed over (adaptive_admit.c). When memory runs short, victims leave by the cheaper of copy
 * and recompute, as the predictor sees it; blocks that were written back before leave for
 * nothing (adaptive_evict.c). A restore streams in, is computed again, or both at once
 * (adaptive_restore.c). With a full host pool KV is dropped and recomputed, never an error. */
#ifndef ADAPTIVE_H
#define ADAPTIVE_H

#include "policy.h"

extern const memory_policy adaptive_memory;

#endif
