/* executor.h - the device as the scheduler sees it: plans go in, completions come out.
 *
 * The simulator and the engines implement it; the serving loop drives any of them and knows no
 * more than this. The executor owns the clock and the true output lengths.
 *
 * One compute plan is outstanding at a time, asynchronous copies without limit. A plan with a
 * horizon runs until the horizon is used up or, before that, to the end of the first iteration
 *   - in which a sequence finishes,
 *   - in which an asynchronous copy completes, or
 *   - that ends at or after `until_ns` of the next() that runs it.
 * Order: events by time; at one time copies before compute, copies by id. */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include "plan.h"

/* Iterations that one plan may hold at most. */
enum { HORIZON_MAX = 1024 };

typedef enum completion_kind {
    COMPLETION_NONE, /* until_ns came first; now_ns is until_ns */
    COMPLETION_COMPUTE,
    COMPLETION_COPY,
} completion_kind;

typedef struct completion {
    completion_kind kind;
    int64_t now_ns;

    /* Of compute. A plan with nothing but ordered copies completes with one iteration; one with
     * asynchronous copies alone has no compute and no such completion. */
    int64_t start_ns;      /* of the first iteration */
    const int64_t *end_ns; /* [n_iterations] end of each, the executor's until its next call */
    uint32_t n_iterations;
    const uint32_t *finished; /* [n_finished] sequences that got their last token at the end */
    uint32_t n_finished;
    double ordered_copy_s; /* of the first iteration: time that ordered copies took */
    double recompute_s;    /* of the first iteration: estimate of what its recomputed tokens
                              added (a mixed batch has one time only) */

    /* Of a copy. */
    uint64_t copy_id;
    double copy_s; /* on its stream, waiting excluded */
} completion;

/* How long the device was busy so far. */
typedef struct executor_usage {
    double compute_s; /* computing, ordered copies excluded */
    double link_s;    /* copying in at least one direction, ordered copies included */
    /* From an event until compute has what the next submission gives it to do: scheduling and
     * launching. Of a device in real time; else 0. */
    double host_s;
    uint64_t n_submitted; /* of these; else 0 */
} executor_usage;

typedef struct executor {
    /* A sequence came into slot `seq`; it ends after n_output tokens or at its n_output_max. */
    status (*admit)(void *context, const sequence_table *seqs, uint32_t seq, uint32_t n_output);
    /* Takes the plan, which stays as it is until its compute completes. */
    status (*submit)(void *context, const plan *p, errbuf *err);
    /* The next event. With nothing outstanding the clock goes to until_ns. */
    status (*next)(void *context, int64_t until_ns, completion *out, errbuf *err);
    int64_t (*now_ns)(void *context);
    void (*usage)(void *context, executor_usage *out);
    void (*destroy)(void *context);
    /* Blocks for a whole horizon must be in the tables before submit. If not, the scheduler
     * hands them out afterwards, for the iterations that ran: same result, less work. */
    bool binds_blocks_early;
    /* admit() reads the prefix ids of requests, to make up prompts: sequences must keep them.
     */
    bool reads_prefixes;
    void *context;
} executor;

#endif
