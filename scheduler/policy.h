/* policy.h - named policies: a memory policy and an order policy with settings, one row each.
 *
 * An order policy says who is more urgent. A memory policy says what to admit, whom to evict,
 * how, and how to restore; it asks the order where it has a choice. A policy sees requests,
 * pools and queues, never a true output length: one that does has `oracle` in its name. */
#ifndef POLICY_H
#define POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sequence.h"
#include "status.h"

typedef struct scheduler scheduler;

typedef struct order_policy {
    const char *name;
    /* True if a comes before b; a strict total order over different sequences. */
    bool (*before)(const sequence *a, const sequence *b);
} order_policy;

typedef struct memory_policy {
    /* Takes what the policy itself holds of the pools; NULL when nothing. */
    status (*init)(scheduler *s);
    /* Puts a new sequence among the waiting. */
    void (*enqueue)(scheduler *s, uint32_t id);
    /* Decides one iteration: fills s->plan and moves sequences between the queues.
     * ST_ABORTED: the modelled system gives up here. ST_NO_MEMORY. */
    status (*schedule)(scheduler *s, errbuf *err);
    /* Iterations, at least 1, over which the decision just made would be made again if nothing
     * arrives, finishes or completes. */
    uint32_t (*horizon)(const scheduler *s);
    /* Output tokens at which the model's length stops a request. */
    uint32_t (*length_stop)(uint32_t n_prompt, uint32_t max_model_len);
} memory_policy;

enum { ORDER_FCFS, ORDER_PRIORITY, N_ORDERS };
enum { HOST_FULL_ABORT, HOST_FULL_RECOMPUTE, N_HOST_FULL };

/* The settings of all policies; a row says which of them it takes. */
typedef struct policy_settings {
    uint32_t order;                  /* ORDER_ */
    uint32_t host_full;              /* HOST_FULL_: what a swap does without room on the host */
    uint32_t block_manager;          /* vLLM V0: 1 or 2 */
    uint32_t long_prefill_threshold; /* vLLM V1: tokens per chunk, 0 is no limit */
    double watermark;                /* share of the device blocks kept free at admission */
    bool swap;                       /* vLLM V0: preempt by swapping, not by recomputing */
    bool chunked;                    /* vLLM V0: chunked prefill */
    bool fcfs_resort;                /* vLLM V0 before v0.5.4: sort by arrival in each step */
    bool full_isl;     /* vLLM V1 from v0.19: admit only with room for the whole prompt */
    bool prefix_cache; /* vLLM V1, nano-vllm: share and keep blocks of equal content */
    bool async;        /* vLLM V1: decide on an iteration while the one before runs */
} policy_settings;

typedef struct policy_row {
    const char *name;
    const char *text; /* one line: what it is, and what it approximates */
    const memory_policy *memory;
    policy_settings defaults;
    const char *keys; /* settings it takes, separated by spaces */
} policy_row;

typedef struct policy {
    const policy_row *row;
    policy_settings settings;
} policy;

/* All policies, in the order in which they are listed; *n is set. */
const policy_row *policy_rows(size_t *n);

/* Reads "NAME[,key=value...]". ST_INVALID with a message that names the nearest policy, key or
 * value. */
MUST_USE status policy_parse(policy *out, const char *text, errbuf *err);

/* Calls visit with each setting the policy takes, as text. */
void policy_each_setting(const policy *p,
                         void (*visit)(void *context, const char *key, const char *value),
                         void *context);

/* The order policy that the settings name. */
const order_policy *policy_order(const policy *p);

#endif
