/* sglang.h - SGLang's scheduler: an approximation, read from the sources and not executed.
 *
 * Prefills come first, in order of arrival, within the token budget; a decode runs only when no
 * prefill can. A sequence is admitted while
 *     known tokens + min(outputs left, 4096) < free tokens - reserve,
 *     reserve = ratio * sum over the running of min(outputs left, 4096)
 *               + sum over those admitted in this iteration of the same, in full;
 * the first that is not closes the batch until it shrinks. One that ends opens it at the next
 * decode, because that is where upstream drops it from the batch.
 * When a decode finds too few blocks, those with the fewest outputs (then the longest prompt,
 * then the last) are retracted, by recompute, to the tail of the queue, and
 *     ratio = min(1, (sum of outputs + 20 n) / (sum of output limits + 1)) over the n left.
 * Any other decode lowers the ratio by a step towards its minimum; at rest it is at its start,
 *     start = min(1, 0.7 * conservativeness), minimum = 0.14 * start, step = 1/600 of the way.
 * Source: SGLang in 2025, python/sglang/srt/managers: schedule_batch.py (retract_decode),
 * scheduler.py (get_new_batch_prefill, update_running_batch), schedule_policy.py
 * (PrefillAdder). A page is a block. max_prefill_tokens and chunked_prefill_size are both the
 * token budget. Outputs left are counted as later releases do: earlier ones ask a retracted
 * sequence for its whole limit again and may wait for it for ever.
 * Left out: the radix cache, mixed batches, the overlap of scheduling and execution,
 * priorities, the rounding of chunks to pages. */
#ifndef SGLANG_H
#define SGLANG_H

#include "policy.h"

extern const memory_policy sglang_memory;

/* The share of its limit that a running sequence is expected to use, at the scheduler's latest
 * decision. */
double sglang_ratio(const scheduler *s);

#endif
