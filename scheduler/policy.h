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
typedef struct flying_copy flying_copy;

typedef struct order_policy {
    const char *name;
    /* True if a comes before b; a strict total order over different sequences. NULL where the
     * order is by rank alone. */
    bool (*before)(const sequence *a, const sequence *b);
    /* Lower is more urgent; equal ranks go by arrival. Above 0 where the order preempts: then
     * a ratio of ranks says how much more urgent one is, and `extra` is work, in decodes of a
     * full batch, to be done before it can run. For policies that rank. */
    double (*rank)(const scheduler *s, uint32_t id, double extra);
    /* Place among those who have no KV: who is let in first of them. NULL: by rank. */
    double (*entry_rank)(const scheduler *s, uint32_t id);
    bool moves; /* the rank of a sequence changes while it runs, from one bucket of output
                   lengths to the next, */
    bool moves_always; /* ... or with each token, */
    bool ages;         /* ... and while it waits */
    bool preempts;     /* a running sequence may have to make room for a more urgent one */
    bool needs_costs, needs_clients, is_oracle;
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
    /* A running sequence got its last token; it still is where it was. NULL when it is of no
     * concern. */
    void (*finished)(scheduler *s, uint32_t id);
    /* An asynchronous copy completed and still holds its blocks; NULL when that is all. */
    void (*copied)(scheduler *s, const flying_copy *f);
} memory_policy;

enum {
    ORDER_FCFS,
    ORDER_PRIORITY, /* the last one that vLLM has */
    ORDER_HRRN,
    ORDER_SRPT_ORACLE,
    ORDER_LPT_ORACLE,
    ORDER_SJF_PROMPT,
    ORDER_MLFQ,
    ORDER_VTC,
    ORDER_GITTINS,
    N_ORDERS
};
enum { HOST_FULL_ABORT, HOST_FULL_RECOMPUTE, N_HOST_FULL };
/* How the KV of a victim leaves the device: dropped, copied, or what is predicted to be
 * cheaper: alone (the paper's), under the load at hand (ours), by InferCept's waste; or for
 * nothing, which only a simulation can do. */
enum {
    MECHANISM_RECOMPUTE,
    MECHANISM_SWAP,
    MECHANISM_CHEAPER,
    MECHANISM_MARGINAL,
    MECHANISM_MIN_WASTE,
    MECHANISM_FREE,
    N_MECHANISMS
};
/* Who leaves: the least urgent, the one with the fewest computed tokens, or the one whose
 * blocks cost the least to free. */
enum { VICTIM_LEAST_URGENT, VICTIM_LEAST_COMPUTED, VICTIM_CHEAPEST, N_VICTIMS };

/* The settings of all policies; a row says which of them it takes. */
typedef struct policy_settings {
    uint32_t order;                  /* ORDER_ */
    uint32_t host_full;              /* HOST_FULL_: what a swap does without room on the host */
    uint32_t block_manager;          /* vLLM V0: 1 or 2 */
    uint32_t long_prefill_threshold; /* vLLM V1: tokens per chunk, 0 is no limit */
    uint32_t seed;                   /* Past-Future: of its samples */
    double watermark;                /* share of the device blocks kept free at admission */
    double conservativeness;         /* SGLang: scales the share of its limit that it expects
                                        a running sequence to use */
    double router_token_ratio;       /* LightLLM: share of the pool in use from which on
                                        everyone is expected to use the limit */
    bool swap;                       /* vLLM V0: preempt by swapping, not by recomputing */
    bool chunked;                    /* vLLM V0: chunked prefill */
    bool fcfs_resort;                /* vLLM V0 before v0.5.4: sort by arrival in each step */
    bool full_isl;     /* vLLM V1 from v0.19: admit only with room for the whole prompt */
    bool prefix_cache; /* share and keep blocks of equal content */
    bool async;        /* vLLM V1: decide on an iteration while the one before runs */

    /* Of adaptive and its kin. */
    uint32_t mechanism, victim; /* MECHANISM_, VICTIM_ */
    double fairness;            /* share of admissions by rank; the others go to the oldest */
    double hysteresis;    /* a rank must be lower by this share to preempt for order alone */
    double length_error;  /* oracles: standard deviation of the logarithm of what they are told
                             over the true output length */
    uint32_t min_service; /* tokens between two preemptions of a sequence */
    uint32_t chunk;       /* prefill tokens of an iteration with decodes; 0: no limit */
    bool mixed;           /* prefills and decodes in one iteration */
    bool beside;          /* copies run beside compute */
    bool partial;         /* take only as many blocks from a victim as are needed */
    bool write_back;      /* copy full blocks to the host while the link is idle */
    bool split;           /* restore the front by recompute while the rest streams in */
    bool reserve;         /* keep room for the expected growth when admitting */
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

/* Reads "NAME[,key=value...]", no key twice. ST_INVALID with a message that names the nearest
 * policy, key or value. */
MUST_USE status policy_parse(policy *out, const char *text, errbuf *err);

/* Calls visit with each setting the policy takes, as text. */
void policy_each_setting(const policy *p,
                         void (*visit)(void *context, const char *key, const char *value),
                         void *context);

/* Calls visit with each setting whose values are words, and with these, NULL behind the last.
 */
void policy_each_choice(void (*visit)(void *context, const char *key,
                                      const char *const *values),
                        void *context);

/* The order policy that the settings name. */
const order_policy *policy_order(const policy *p);

/* Does it ask a predictor, is it told true output lengths, does it tell clients apart? */
bool policy_needs_costs(const policy *p);
bool policy_is_oracle(const policy *p);
bool policy_uses_clients(const policy *p);

#endif
