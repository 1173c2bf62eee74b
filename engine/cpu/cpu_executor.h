/* cpu_executor.h - a transformer on the CPU behind executor.h: real tokens, real KV blocks,
 * real copies, in real time.
 *
 * Two arenas stand for the memories of a device and of its host. Compute runs on a thread of
 * its own (and the workers of forward.h), asynchronous copies on one thread per direction
 * beside it; ordered ones on the compute thread before their iteration. An asynchronous copy
 * starts when it is submitted, or after the ordered ones of its plan.
 *
 * Time: the clock that the scheduler sees stands still between two calls of next(), at the time
 * of the latest event. So the time between the end of an iteration and the next submit, the
 * scheduler's own, is a part of the next iteration, as executor and cost model have it ("start
 * to start"), and decisions depend on nothing but the events and their times: whoever replays
 * these gets the same decisions. The clock starts with the first now_ns().
 *
 * deterministic is that of forward.h. Prompts are made up (token_table.h). A request ends after
 * its true number of outputs, at its limit, or at an end-of-sequence token if that is asked
 * for. Padding of a plan (plan.n_padding) is not computed. */
#ifndef CPU_EXECUTOR_H
#define CPU_EXECUTOR_H

#include "engine_config.h"
#include "executor.h"
#include "model.h"

typedef struct cpu_executor_config {
    const model *model; /* borrowed */
    uint32_t n_threads; /* of compute; 0: one per processor */
    engine_config common;
} cpu_executor_config;

/* Those of engine_config_defaults(); model and pools are to be set. */
cpu_executor_config cpu_executor_defaults(void);

/* Bytes of both arenas. */
uint64_t cpu_executor_kv_bytes(const model_config *m, uint32_t block_tokens,
                               uint32_t n_device_blocks, uint32_t n_host_blocks);

/* ST_INVALID: a setting that cannot be; ST_NO_MEMORY; ST_IO: no threads. Release with
 * out->destroy, which waits for the iteration and the copies at hand. */
MUST_USE status cpu_executor_create(executor *out, const cpu_executor_config *config,
                                    errbuf *err);

/* KV of a block on the device or the host, forward_block_floats() of them, in the layout of
 * forward.h. For tests, while no copy into it and no compute is outstanding. */
float *cpu_executor_block(const executor *e, bool on_host, uint32_t id);

#endif
