/* scenario.h - a handful of requests through the scheduler, compared step by step with what
 * the upstream scheduler decided.
 *
 * A line tells a step as it stands after schedule(), parts that are empty left out:
 *   vLLM V0: sN pf[ID:TOKENS ...] dec[ID ...] OUTblocks INblocks IGN[ID ...] W[] R[] S[]
 *            FREE_DEVICE/FREE_HOST
 *   nano-vllm, SGLang, LightLLM:
 *              sN pf[ID:TOKENS ...] dec[ID ...] PRE[ID ...] W[] R[] FREE_DEVICE
 *   others:  sN {ID:TOKENS ...} PRE[ID ...] W[] R[] FREE_DEVICE
 * IGN are requests given up, PRE those preempted, W R S the waiting, running and swapped.
 * A step without anyone to serve is `sN idle`; one that aborts says so. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "scheduler.h"

/* Written {prompt, outputs, step, priority}. */
typedef struct scenario_request {
    uint32_t n_prompt, n_output, step; /* it arrives before this step */
    int32_t priority;
} scenario_request;

typedef struct scenario {
    const char *name;
    const char *policies[4];       /* each must give the same lines; NULL ends them */
    uint32_t n_device, n_host;     /* blocks */
    uint32_t max_batched_tokens;   /* 64 if 0 */
    uint32_t max_seqs;             /* 8 if 0 */
    uint32_t max_model_len;        /* 64 if 0 */
    uint32_t block_tokens;         /* 4 if 0 */
    scenario_request requests[10]; /* ids from 0; n_prompt 0 ends them */
    const char *lines[20];         /* all steps until nobody is left; NULL ends them */
    const char *ended;             /* ids in the order in which they ended */
    uint32_t n_leaked;             /* host blocks that are never freed */
    bool goes_on;                  /* the lines are only the first ones: it never ends */
} scenario;

/* Runs a scenario under each of its policies, each also with every running sequence visited by
 * itself and with blocks taken ahead, and with all invariants checked after each step.
 * ST_INVALID: the message says where it first differs. */
MUST_USE status scenario_check(const scenario *s, errbuf *err);

#endif
