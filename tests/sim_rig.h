/* sim_rig.h - whole simulations in memory, for tests: a scheduler on a virtual device that
 * serves an array of requests.
 *
 * The latency source is a sum of constants, so that a test can say beforehand how long what
 * takes. A run can be told to check every invariant after each completion and to keep all that
 * can be seen of it as text. */
#ifndef SIM_RIG_H
#define SIM_RIG_H

#include "latency.h"
#include "metrics.h"
#include "scheduler.h"

/* Seconds of an iteration: fixed + per new token + per context token of decodes + per pair of
 * prefills + per sampled token; of a copy: per byte + per segment. */
typedef struct plain_latency {
    double iteration_s, token_s, kv_token_s, pair_s, sampled_s;
    double byte_s, segment_s, copy_slowdown;
} plain_latency;

/* The constants are borrowed; destroy does nothing. */
latency_source plain_latency_source(const plain_latency *constants);

typedef struct sim_case {
    scheduler_config config; /* without costs: the constants of the latency are believed */
    plain_latency latency;
    double spread; /* of that belief: half an interval, as a share of the answer */
    double noise;
    uint64_t seed;      /* of the noise */
    double block_bytes; /* of a KV block, in n_layers layers */
    uint32_t n_layers;
    slo_limits slo;
    const request *requests;   /* [n_requests] by arrival, ids from 0 */
    const uint32_t *n_outputs; /* [n_requests] true lengths */
    uint32_t n_requests;
    bool checks; /* scheduler_check after each completion; a broken one ends the run */
    /* Sees every completion as the figures do; NULL for none. */
    void (*watch)(void *context, const iteration_span *span);
    void *watch_context;
    bool keeps_log; /* a line for each iteration and each end of a request */
} sim_case;

typedef struct sim_outcome {
    status result; /* of serve() */
    errbuf err;
    request_result
        *requests; /* [n_requests] by id; UNFINISHED where the run did not come to it */
    uint32_t n_ended;
    uint32_t n_used_device, n_used_host; /* blocks held at the end and not at the start */
    run_figures figures;                 /* wall time 0 */
    char *log;                           /* NULL unless kept */
} sim_outcome;

/* Everything at a scale of milliseconds and a policy named as on the command line; the pools
 * are the caller's. */
sim_case sim_case_defaults(const char *policy_text);

/* Runs it. Ends the program where it cannot be set up. */
sim_outcome sim_run(const sim_case *c);

void sim_outcome_finish(sim_outcome *o);

#endif
