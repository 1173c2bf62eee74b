/* run_setup.h - turns settings into a device, pools and limits; resolves every default. */
#ifndef RUN_SETUP_H
#define RUN_SETUP_H

#include "latency.h"
#include "run.h"
#include "scheduler.h"
#include "step_times.h"

typedef struct device_file device_file;
typedef struct engine_setup engine_setup;
typedef struct model_dir model_dir;
typedef struct output_log output_log;

typedef struct run_setup {
    const device_spec *device;
    const model_spec *model;
    scheduler_config config;
    uint64_t block_bytes;     /* of a KV block on one of the tensor-parallel devices */
    latency_source latency;   /* all NULL where nothing is simulated, or recorded steps are */
    engine_setup *engine;     /* of device cpu or cuda, or NULL */
    device_file *device_file; /* of a device that is not listed, or NULL */
    model_dir *model_dir;     /* of a simulated model that is not listed, or NULL */
    step_times recorded;      /* to be replayed */
    output_log *outputs;      /* borrowed: where the executor's tokens go, or NULL */
    slo_limits slo;
    double slowdown, slow_from_s; /* of the simulated device */
    double noise; /* as asked for, else that of the samples of a measured device */
} run_setup;

/* ST_INVALID with what to change. On error nothing is held. */
MUST_USE status run_setup_init(run_setup *out, const run_settings *settings, errbuf *err);
void run_setup_finish(run_setup *s);

/* The executor of the backend. Release with out->destroy, before the setup. */
MUST_USE status run_setup_executor(executor *out, const run_setup *s,
                                   const run_settings *settings, errbuf *err);

/* The executor and a scheduler for it. On error both are still to be released: *out may be
 * NULL, device->destroy too, if they were so before. */
MUST_USE status run_setup_serving(scheduler **out, executor *device, const run_setup *s,
                                  const run_settings *settings, errbuf *err);

/* Weights on one of tp devices. */
double run_setup_weights_gib(const run_setup *s, uint32_t tp);

/* All settings as resolved, a JSON object to be freed; NULL without memory. */
char *run_setup_json(const run_setup *s, const run_settings *settings);

/* "vllm-v1" or "vllm-v1,prefix_cache=off": the policy with what differs from its row; to be
 * freed, NULL without memory. */
char *run_setup_policy_text(const policy *p);

#endif
