/* scheduler.h - requests in, plans out: one scheduler for the simulator and the engines.
 *
 * The caller adds requests, asks for a plan, runs it on an executor, and reports the
 * completion. Must not know: clocks, files, devices, true output lengths. Equal calls give
 * equal plans. Threads: one owner, no locking; schedulers share nothing. */
#ifndef SCHEDULER_H
#define SCHEDULER_H

#include "cost_model.h"
#include "executor.h"
#include "policy.h"

typedef struct scheduler_config {
    uint32_t block_tokens; /* tokens per KV block */
    uint32_t n_device_blocks, n_host_blocks;
    uint32_t max_seqs;           /* running at once */
    uint32_t max_batched_tokens; /* of one iteration */
    uint32_t max_model_len;      /* tokens of prompt and output */
    policy policy;
    const cost_model *costs; /* what the predictor believes, borrowed; NULL: there is none */
    uint32_t pad_tokens;     /* fill iterations with chunks up to a multiple of this where costs
                                say that it pays; 0: never */
    uint32_t horizon_max;    /* 1: every iteration is planned by itself; at most HORIZON_MAX */
    bool bind_early;         /* executor.binds_blocks_early */
    bool keep_prefixes;      /* executor.reads_prefixes */
    bool single_file; /* visit each running sequence in each step: slow, for comparison */
} scheduler_config;

/* block_tokens 16, max_seqs 256, max_batched_tokens 8192, max_model_len 8192, horizon on; pools
 * empty and no policy: to be set. */
scheduler_config scheduler_config_defaults(void);

/* ST_INVALID with a message for a configuration that cannot run; ST_NO_MEMORY. */
MUST_USE status scheduler_create(scheduler **out, const scheduler_config *config, errbuf *err);

/* s may be NULL. */
void scheduler_destroy(scheduler *s);

/* A request arrived; its slot goes to *id. ST_NO_MEMORY: nothing changed. */
MUST_USE status scheduler_add(scheduler *s, uint32_t *id, const request *req);

/* Does the policy want to be told true output lengths? Only oracles do. */
bool scheduler_is_oracle(const scheduler *s);

/* Tells the true output length of a sequence that was just added, for oracles only. */
void scheduler_reveal(scheduler *s, uint32_t id, uint32_t n_output);

/* Decides the next iteration at now_ns. *out stays the scheduler's and holds until the next
 * call. Ignored sequences of the plan have left the queues; the caller ends them with
 * scheduler_end. ST_ABORTED with a message: the modelled system stops here. ST_NO_MEMORY. */
MUST_USE status scheduler_schedule(scheduler *s, const plan **out, int64_t now_ns, errbuf *err);

/* What a completion means for the latest plan, for those who keep figures. Nothing in it has
 * been booked yet: sequences are as they were while the plan ran. */
typedef struct iteration_span {
    const plan *plan;
    const completion *completion;
    int64_t previous_tick_ns;  /* when the cohort got the tokens before these */
    const uint32_t *newcomers; /* [n_newcomers] members that joined since then */
    uint32_t n_newcomers;
    const uint32_t *n_free_device, *n_free_host; /* [n_iterations] blocks, at the end of each */
    uint32_t n_running, n_waiting, n_swapped;    /* while they ran */
} iteration_span;

/* Fills *out for a compute completion; valid until the next call. */
void scheduler_span(scheduler *s, iteration_span *out, const completion *c);

/* Books a compute completion of the latest plan. The finished sequences go to *finished
 * [*n_finished] in running order and keep their slots until scheduler_end. ST_NO_MEMORY. */
MUST_USE status scheduler_complete(scheduler *s, const uint32_t **finished,
                                   uint32_t *n_finished, const completion *c);

/* Books an asynchronous copy: lets go of the blocks it held. */
void scheduler_copy_done(scheduler *s, uint64_t copy_id);

/* Gives the slot of a finished or ignored sequence back. */
void scheduler_end(scheduler *s, uint32_t id);

/* Sequences that are waiting, running or swapped. */
uint32_t scheduler_n_unfinished(const scheduler *s);

/* Nothing to decide: no request is unfinished, and no copy waits for the next plan. */
bool scheduler_is_idle(const scheduler *s);

/* Asynchronous copies that have not completed, those noted for the next plan included. */
uint32_t scheduler_n_copies_in_flight(const scheduler *s);
uint32_t scheduler_n_free_device(const scheduler *s);
uint32_t scheduler_n_free_host(const scheduler *s);

/* Tokens taken from the prefix cache so far. */
uint64_t scheduler_n_hit_tokens(const scheduler *s);

/* Output tokens after which a request is stopped: its own limit, or what its prompt leaves of
 * max_model_len. 0: nothing is left, the front end of the modelled system rejects it, and it
 * must not be added. */
uint32_t scheduler_output_limit(const scheduler *s, const request *req);

const sequence_table *scheduler_table(const scheduler *s);

/* Every invariant of the pools, tables, queues and the cohort; false with a message that names
 * what is broken. O(blocks + sequences). */
MUST_USE status scheduler_check(const scheduler *s, errbuf *err);

/* One line that tells the state of every queue and pool. */
void scheduler_describe(const scheduler *s, char *buf, size_t size);

#endif
