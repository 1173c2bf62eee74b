/* hand_plan.h - sequences, a decode cohort and a plan put together by hand, for tests of what
 * runs plans. There are no KV pools: tables stay empty. */
#ifndef HAND_PLAN_H
#define HAND_PLAN_H

#include "plan.h"

typedef struct hand_plan {
    sequence_table seqs;
    cohort decodes;
    plan plan; /* of the two above */
} hand_plan;

void hand_plan_init(hand_plan *h);
void hand_plan_finish(hand_plan *h);

/* A sequence of n_prompt tokens, nothing computed, that may have n_output_max outputs. */
uint32_t hand_plan_add(hand_plan *h, uint32_t n_prompt, uint32_t n_output_max);

/* Marks its prompt and n_output outputs as done but for the last one's KV, and lets it join the
 * cohort. */
void hand_plan_join(hand_plan *h, uint32_t seq, uint32_t n_output);

/* Plans the cohort for `horizon` iterations, and nothing else yet. */
void hand_plan_decodes(hand_plan *h, uint32_t horizon);

/* Plans the rest of a sequence's prompt behind n_before tokens, of which n_recomputed anew. */
void hand_plan_prompt(hand_plan *h, uint32_t seq, uint32_t n_before, uint32_t n_recomputed);

#endif
