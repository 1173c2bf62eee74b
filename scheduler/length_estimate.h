/* length_estimate.h - what is known of output lengths, learnt from the sequences of this run.
 *
 * A sequence that generated n_output tokens and still runs tells that its output is longer than
 * that, one that finished tells its length L. At first only short ones have finished, so a mean
 * over these is far too short. What is learnt is the hazard of each bucket of lengths instead:
 * the share of those that came into it that ended in it. Both kinds of sequence count there.
 *
 * Buckets: of counts of tokens, [start(b), start(b + 1)), starts 0 1 2 3 4 5 6 8 10 13 16 20
 *          and so on: steps of 2^(1/3), rounded. A sequence is in the bucket of its count and
 *          ends in b when start(b) < L <= start(b + 1), each of these lengths equally probable
 *          (so an index rises a little within a bucket: compare those at the starts). Those
 * that are in a bucket count as having gone through half of it (actuarial estimate). Classes:
 * prompts of 0-15, 16-63, 64-255, ... tokens, from 16384 on one class; a pooled one holds all.
 * To the counts of a class come those of 20 sequences drawn from the pooled distribution, plus
 * one in each bucket, as few of the 20 come into the late ones. The pooled class takes 5, and
 * one in each bucket, from a prior: all buckets up to the limit equally probable, about
 * log-uniform. Limit:   what is left at n_output_limit ends there; every estimate counts that
 * as an end.
 *
 * Estimates follow the counts in steps: all are made anew when the finished sequences grew by
 * 5 %, at least 8, so equal calls give equal answers and a caller may keep what it derived.
 *
 * Threads: one owner, no locking. No allocation after create, and no libm.
 * Source:  product-limit estimate: Kaplan and Meier, JASA 53 (1958). Index: Gittins, J. R.
 *          Stat. Soc. B 41 (1979), for jobs whose weight is known only when they end. */
#ifndef LENGTH_ESTIMATE_H
#define LENGTH_ESTIMATE_H

#include <stdint.h>

#include "status.h"

enum { LENGTH_N_BUCKETS = 94 }; /* for every count that a uint32_t holds */

typedef struct length_estimate length_estimate;

/* n_output_limit: tokens that no output exceeds (the declared limit, the model's length). On
 * error *out is not written. ST_INVALID: it is 0. ST_NO_MEMORY. */
MUST_USE status length_estimate_create(length_estimate **out, uint32_t n_output_limit);

/* e may be NULL. */
void length_estimate_destroy(length_estimate *e);

/* Bucket of a count of tokens generated so far. */
uint32_t length_bucket(uint32_t n_output);

/* Smallest count in a bucket below LENGTH_N_BUCKETS. */
uint32_t length_bucket_start(uint32_t bucket);

/* A sequence came into this bucket and still runs. Called once per sequence and bucket, from
 * bucket 0 (at its arrival or admission) on, with none left out. */
void length_estimate_reached(length_estimate *e, uint32_t n_prompt, uint32_t bucket);

/* A sequence ended by itself with n_output tokens, at least 1. The buckets up to that of
 * n_output - 1, the last count with which it ran, were reported as reached, and no later one.
 * Not for one that a limit or a client cut: that one stays "still running". */
void length_estimate_finished(length_estimate *e, uint32_t n_prompt, uint32_t n_output);

/* Grows whenever estimates changed. */
uint64_t length_estimate_version(const length_estimate *e);

/* In all of these n_output tokens were generated, fewer than n_output_limit, and more come. */

/* Expected tokens still to come, up to n_output_max (more than n_output): at least 1 and at
 * most n_output_max - n_output. O(1). */
double length_estimate_remaining(const length_estimate *e, uint32_t n_prompt, uint32_t n_output,
                                 uint32_t n_output_max);

/* Probability that the output ends within n_more further tokens. O(1). */
double length_estimate_ends_within(const length_estimate *e, uint32_t n_prompt,
                                   uint32_t n_output, uint32_t n_more);

/* Urgency for the mean weighted turnaround, larger is more urgent: with a = n_output and the
 * weight W(L) = 1 / (solo_start + L), the largest over all bucket starts d > a and the limit of
 *     E[W(L); L <= d | L > a] / (setup + E[min(L, d) - a | L > a]),
 * what is won per unit of work when it runs until it ends or has d tokens. Work is in units of
 * one decoded token: solo_start (>= 0) is what the prompt adds to the solo service time, setup
 * (>= 0) what must be done before the next token (prefill, restore). O(buckets left). */
double length_estimate_index(const length_estimate *e, uint32_t n_prompt, uint32_t n_output,
                             double solo_start, double setup);

#endif
