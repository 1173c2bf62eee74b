/* fingerprint.h - a small random workload through the scheduler, every decision hashed.
 *
 * The upstream schedulers were run on the same workload: equal hashes mean equal decisions.
 * Workload: 40 requests of 1 to 48 prompt and 1 to 32 output tokens, from the linear
 * congruential generator of C's rand() example; request i arrives at a step, not at a time. */
#ifndef FINGERPRINT_H
#define FINGERPRINT_H

#include "step_text.h"

typedef struct fingerprint_case {
    const char *name, *policy;
    uint32_t budget;
    bool priorities; /* request i has priority 7 i mod 3; otherwise all are 0 */
} fingerprint_case;

typedef struct fingerprint {
    uint64_t hashes[4]; /* FNV-1a 64 over the first 10, 40, 100 lines, and over all */
    uint32_t n_steps;
    uint64_t n_preempted, n_out_blocks, n_in_blocks, n_tokens;
    uint64_t n_useful_tokens; /* of the workload: sum of prompt + outputs - 1 */
} fingerprint;

/* The cases, *n of them. */
const fingerprint_case *fingerprint_cases(size_t *n);

/* NULL when there is no such case. */
const fingerprint_case *fingerprint_find(const char *name);

/* Runs a case to its end with every invariant checked after each step. visit, which may be
 * NULL, gets each line. An error names the step. */
MUST_USE status fingerprint_run(fingerprint *out, const fingerprint_case *c, uint64_t seed,
                                errbuf *err, void (*visit)(const char *line));

/* Appends the decisions of a step with n_free device blocks; without its number. */
void fingerprint_line(step_text *l, const step_driver *d, uint32_t n_free);

#endif
