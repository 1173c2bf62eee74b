/* nano_vllm.h - the scheduler of nano-vllm (bb823b3), decision for decision.
 *
 * A step is all prefill or all decode, prefills first. Only the first prefill of a step may be
 * a part of a prompt; it stays at the head of the waiting queue, with blocks for all of its
 * tokens. Decodes take a block exactly when they need one and preempt from the tail, by
 * recompute; the prefix cache is always on.
 * Source: nano-vllm bb823b3, engine/scheduler.py and engine/block_manager.py. Upstream stops at
 * an assertion when it can schedule nothing; here that is ST_ABORTED. Upstream leaves the
 * model's length to its caller; here it stops a request as in vLLM V1. Upstream's test for a
 * new block (length % block size == 1) never holds for blocks of one token; here they grow. */
#ifndef NANO_VLLM_H
#define NANO_VLLM_H

#include "policy.h"

extern const memory_policy nano_vllm_memory;

#endif
