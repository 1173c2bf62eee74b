/* vllm_v0.h - the scheduler of vLLM V0 (v0.6.3), decision for decision.
 *
 * Default mode prefers prefills: a step is all prefill or all decode. Chunked mode mixes them.
 * Preemption is all or nothing, by recompute or by ordered swaps through small copies.
 * Source: vLLM v0.6.3, core/scheduler.py and block managers 1 and 2 (settings follow its
 * terms). Left out: beam search, LoRA, speculative decoding, sliding windows, delay_factor. */
#ifndef VLLM_V0_H
#define VLLM_V0_H

#include "policy.h"

extern const memory_policy vllm_v0_memory;

#endif
