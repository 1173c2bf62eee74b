/* metrics.h - the figures of a run, gathered while it runs.
 *
 * Inter-token gaps of a whole decode cohort go into a histogram with one weighted entry per
 * iteration, so an iteration costs the same whatever the batch. Distributions are histograms
 * (histogram.h says how exact); counts, sums and maxima are exact.
 *
 * Definitions (times in seconds)
 *   turnaround           finish - arrival
 *   weighted turnaround  turnaround / solo service time (solo.h)
 *     in batch           turnaround / (finish - first scheduled)
 *   TTFT                 first token - arrival
 *   ITL                  gap between two neighbouring output tokens, preemptions included
 *   TPOT                 (last token - first token) / (outputs - 1); none for one output
 *   makespan             last finish - first arrival of what was not rejected; throughputs are
 *                        finished / makespan
 *   busy, KV use         from that arrival to the end of the last iteration or copy
 *   Jain's index         (sum x)^2 / (n sum x^2) over x = 1 / weighted turnaround
 *   SLO attainment       share of all requests that finished within every limit
 *   stalled by swaps     time the compute stream spent on ordered copies
 *   blocks written back  copied to the host of sequences that stay; not among those swapped out
 *   stalled by recompute estimate of what recomputed tokens added to their iterations */
#ifndef METRICS_H
#define METRICS_H

#include "figures.h"
#include "histogram.h"
#include "serve.h"
#include "solo.h"

/* Limits that a request must keep to count for SLO attainment; 0 is none. */
typedef struct slo_limits {
    double ttft_s, tpot_s, turnaround_s, weighted_turnaround;
} slo_limits;

/* Reads "ttft_s=1,tpot_s=0.05". ST_INVALID with a message. */
MUST_USE status slo_parse(slo_limits *out, const char *text, errbuf *err);

/* What one request came to. Unknown times are NAN. */
typedef struct request_result {
    uint64_t id;
    uint32_t n_prompt, n_output, n_preemptions;
    request_outcome outcome;
    double arrival_s, first_scheduled_s, first_token_s, finish_s, solo_s;
} request_result;

typedef struct metrics metrics;

/* n_device_blocks is what the scheduler may use. solo is borrowed; NULL: solo times are not
 * known, nor what is weighed against them. ST_NO_MEMORY. */
MUST_USE status metrics_create(metrics **out, solo_times *solo, const slo_limits *slo,
                               uint32_t n_device_blocks);

/* m may be NULL. */
void metrics_destroy(metrics *m);

/* Counts what was decided: preemptions, and the copies of both kinds as they start. */
void metrics_planned(metrics *m, const plan *p);

void metrics_iterated(metrics *m, const iteration_span *span);

/* A copy beside the iterations has ended. */
void metrics_copied(metrics *m, int64_t now_ns);

/* Books a request that ended and writes what it came to. ST_NO_MEMORY. */
MUST_USE status metrics_ended(metrics *m, request_result *out, const sequence *s,
                              request_outcome outcome, int64_t now_ns);

/* Books a request that the run stopped before. */
void metrics_unfinished(metrics *m, const sequence *s);

/* Requests that ended so far, in any way. */
uint64_t metrics_n_ended(const metrics *m);

/* All figures of what was booked. n_hit_tokens is the prefix cache's. */
void metrics_figures(const metrics *m, run_figures *out, const executor_usage *usage,
                     uint64_t n_hit_tokens, double wall_s);

#endif
