/* lightllm.h - LightLLM's scheduler and its Past-Future variant: approximations, read from the
 * sources and not executed.
 *
 * Prefills come first, in order of arrival, within the token budget; a decode runs only when no
 * prefill can. A sequence is admitted while the peak of the KV to come, of the running and
 * itself, is below the size of the pool (lightllm_peak_tokens); the first that is not stops
 * admission. When a decode finds too few blocks, sequences are paused, by recompute, to the
 * front of the queue.
 *   LightLLM expects every sequence to use its output limit. While less than the share
 *     router_token_ratio of the pool is in use, it expects max(1.1 outputs, 1024) at most.
 *     Paused is the last of the batch.
 *   Past-Future expects lengths sampled from the last 200 finished requests: for one that runs
 *     from those beyond its outputs so far, for a new one from all. It takes the largest peak
 *     of min(5, 200/n + 1) samples, n being those that run, and keeps 5% of the pool free.
 *     100 lengths of 1024 tokens stand for the past at the start. Paused is the one with the
 *     highest request id.
 * Source: LightLLM in 2025, lightllm/server/router/req_queue (peak) and pause_strategy.py;
 * branch future_past_router; Gong et al., Past-Future Scheduler, ASPLOS 2025.
 * Apart from upstream: it counts single tokens; with larger blocks a prompt must find its
 * blocks free, too. A prompt longer than the budget, which upstream's settings exclude, is
 * computed alone in chunks. While nobody runs, the first is admitted whatever its peak:
 * upstream would wait for another sample, or for ever.
 * Left out: the prompt cache, the wait of some decodes between prefills, splitfuse. */
#ifndef LIGHTLLM_H
#define LIGHTLLM_H

#include "policy.h"

extern const memory_policy lightllm_memory;
extern const memory_policy past_future_memory;

/* What a sequence holds in tokens with its next one, and how many more it is expected to take.
 */
typedef struct kv_demand {
    uint64_t n_held, n_left;
} kv_demand;

/* Largest KV, in tokens, if each of the n sequences ends after its n_left tokens: sorted by
 * n_left, the longest first, max over i of i * n_left[i] + sum of n_held[1..i]. Sorts the
 * array. */
uint64_t lightllm_peak_tokens(kv_demand *demands, uint32_t n);

#endif
