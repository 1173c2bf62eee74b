/* vllm_v1.h - the scheduler of vLLM V1 (v0.25.1), decision for decision.
 *
 * Running sequences first, then the waiting ones, each a chunk within one token budget; blocks
 * chunk by chunk; preemption by recompute; prefix cache by block hash.
 * Source: vLLM v0.25.1, v1/core/sched/scheduler.py and v1/core/kv_cache_manager.py, the
 * synchronous path. full_isl=off gives v0.18 and before.
 * Left out: encoders, speculative decoding, LoRA, KV connectors but for offload.h. */
#ifndef VLLM_V1_H
#define VLLM_V1_H

#include "policy.h"

extern const memory_policy vllm_v1_memory;

/* The same with full blocks kept on the host (offload.h), if the host has blocks. */
extern const memory_policy vllm_v1_offload_memory;

#endif
