/* trtllm.h - two capacity schedulers of TensorRT-LLM: approximations, read from the sources and
 * not executed.
 *
 * Both mix decodes and prefill chunks within one token budget, decodes first, in order of
 * arrival, and take the blocks of all known tokens when a sequence is admitted.
 *   GUARANTEED_NO_EVICT (upstream's default) admits in order while the blocks that prompt and
 *     declared output limit need can be had beside those that all running sequences may still
 *     need: nothing is ever preempted.
 *   MAX_UTILIZATION asks for the blocks of the next step only, and pauses the last started
 *     sequence, by recompute, when they run out; nobody is admitted in such a step.
 * A request's limit is cut to what the whole pool holds, as upstream cuts its sequence length;
 * a prompt that fills the pool is ignored.
 * Source: TensorRT-LLM in 2025, cpp/tensorrt_llm/batch_manager/capacityScheduler.cpp (02a10fe)
 * and microBatchScheduler.cpp (0a949d3), with chunked context, first come first served.
 * Left out: block reuse, the rounding of chunks to whole blocks, the look-ahead of a second
 * step when iterations overlap, beams, draft tokens, adapters. */
#ifndef TRTLLM_H
#define TRTLLM_H

#include "policy.h"

extern const memory_policy trtllm_no_evict_memory;
extern const memory_policy trtllm_max_utilization_memory;

#endif
