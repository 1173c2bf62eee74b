/* run.h - one run: trace x policy x executor, from settings to figures.
 *
 * run_create resolves every default, so that the settings stored with a run are complete and
 * run it again. run_execute serves the trace; whatever the end, the figures so far are there.
 */
#ifndef RUN_H
#define RUN_H

#include "belief.h"
#include "cut_outputs.h"
#include "device_spec.h"
#include "metrics.h"
#include "model_spec.h"
#include "trace.h"

typedef struct run_settings {
    trace_options trace;
    const char *backend;                           /* sim, or cpu: this machine computes */
    const char *device, *model, *policy, *latency; /* model of device cpu: a directory */
    bool has_device, has_model;                    /* given, not the default */
    const char *profile; /* database of fits, and of samples for measured latency; NULL: none */
    bool auto_profile;   /* makes fits where there are none (run_belief.h) */
    double host_step_us; /* with measured latency: host time of a step beside the samples */
    uint32_t tp;
    /* KV pools: blocks, or GiB for all tensor-parallel devices together, or neither for what
     * the device has (90 % of its memory less the weights) and vLLM's 4 GiB per device on the
     * host. On device cpu: 1 GiB each. */
    uint32_t kv_blocks, host_blocks;
    double kv_gib, host_gib;
    bool has_kv_blocks, has_host_blocks, has_kv_gib, has_host_gib;
    uint32_t block_size, max_seqs;
    uint32_t max_batched_tokens; /* 0: 8192, on device cpu 2048; vLLM V0 without chunks at
                                    least max_model_len */
    uint32_t max_model_len;      /* 0: the model's, at most what the KV pool holds */
    uint32_t
        pad_tokens; /* tile to pad iterations to where the predictor says it pays; 0: never */
    double noise;
    double link_gbs; /* host link of the simulated device, one way; 0: the device's */
    const char
        *drift; /* "FACTOR@SECONDS": the simulated device slows down; NULL: it does not */
    bool no_horizon;

    /* Of a backend that computes. */
    const char *weights; /* of cuda: "random", or NULL or "model" for those of the directory */
    const char *dtype;   /* of cuda: "bf16", "fp16", or NULL for the model's */
    uint32_t threads;    /* of cpu; 0: one per processor */
    bool deterministic;  /* outputs do not depend on the schedule */
    bool eos;            /* requests end at an end-of-sequence token, too */
    double temperature, top_p;
    uint32_t top_k;
    const char *outputs;    /* file of token ids; NULL: none */
    const char *step_times; /* step_times.h: cpu writes them, sim replays them; NULL: none */

    const char *slo;
    const char *label;
    const char *results, *json, *log, *timeline; /* files, NULL for none */
    double results_wait_s;  /* for another program that holds results.db when the run ends */
    uint64_t keep_requests; /* rows kept in results.db */
    bool quiet;
} run_settings;

/* H200, Llama-3-8B, vllm-v1, simulated, no noise, no files. */
run_settings run_settings_defaults(void);

typedef struct run run;

/* Builds everything and checks the trace. The strings of settings must outlive the run.
 * ST_INVALID: settings that cannot run, with what to change; errors of trace_open; ST_IO for
 * files that cannot be made; ST_NO_MEMORY. */
MUST_USE status run_create(run **out, const run_settings *settings, errbuf *err);

/* r may be NULL. */
void run_destroy(run *r);

/* Serves the trace and fills the figures, on errors too. ST_ABORTED and ST_STUCK: as serve();
 * ST_INTERRUPTED: SIGINT or SIGTERM came. */
MUST_USE status run_execute(run *r, errbuf *err);

/* Writes results, JSON, log and timeline where they were asked for, each even if another cannot
 * be; result and message are what run_execute gave. The id of the stored run goes to *run_id, 0
 * when none is kept. ST_BUSY: another program held the database. */
MUST_USE status run_store(run *r, int64_t *run_id, status result, const char *message,
                          errbuf *err);

const run_figures *run_get_figures(const run *r);

/* NULL when no fits were given. */
const belief *run_get_belief(const run *r);

/* Requests that ended early for want of model length, and what that is, as resolved. */
const cut_outputs *run_get_cut(const run *r);
uint32_t run_max_model_len(const run *r);

/* One line for people: device, model, pools, policy. */
void run_describe(const run *r, char *buf, size_t size);

#endif
