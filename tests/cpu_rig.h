/* cpu_rig.h - the CPU engine in tests: a tiny random model, whole runs over an array of
 * requests, and the same requests computed by a loop that has no scheduler, blocks or batches
 * of others. */
#ifndef CPU_RIG_H
#define CPU_RIG_H

#include "cpu_executor.h"
#include "scheduler.h"

/* A model of the architecture and seed, made in a folder of its own that is gone on return.
 * Ends the program where it cannot be made. */
model *cpu_rig_model(model_arch arch, uint64_t seed);

/* What policies believe: seconds of a new token, of a query-key pair, of a copied block. */
typedef struct rig_costs {
    double token_s, pair_s, block_s;
} rig_costs;

typedef struct cpu_case {
    scheduler_config config; /* pools, limits and policy; costs are added */
    rig_costs costs;
    cpu_executor_config engine; /* model and what else is no pool or limit; finished is taken */
    const request *requests;    /* [n_requests] by arrival, ids from 0 */
    const uint32_t *n_outputs;  /* [n_requests] true lengths */
    uint32_t n_requests;
    /* Puts an executor between, or in place of it; NULL: nobody does. */
    executor (*wrap)(void *context, executor inner);
    void *wrap_context;
} cpu_case;

typedef struct cpu_output {
    uint32_t *tokens; /* [n] NULL: the request did not finish */
    uint32_t n;
} cpu_output;

typedef struct cpu_outcome {
    status result; /* of serve(), with scheduler_check() after each completion */
    errbuf err;
    cpu_output *outputs; /* [n_requests] by id */
    uint32_t n_finished, n_preempted;
    uint64_t n_out_blocks, n_in_blocks, n_back_blocks; /* copied */
    uint64_t n_split; /* chunks computed while a copy to the device was under way */
    uint64_t n_recomputed, n_iterations;
    char *log; /* one line per iteration and copy, with times */
} cpu_outcome;

/* 4-token blocks, a policy as on the command line; pools, model and requests are the caller's.
 */
cpu_case cpu_case_defaults(const char *policy_text);

cpu_outcome cpu_run(const cpu_case *c);

/* The same requests, each by itself. */
cpu_outcome cpu_run_alone(const cpu_case *c);

void cpu_outcome_finish(cpu_outcome *o, uint32_t n_requests);

#endif
