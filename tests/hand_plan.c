#include "hand_plan.h"

#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_TOKENS = 16 };

/* A test cannot go on without memory. */
static void must(status st) {
    if (st == ST_OK) return;
    fprintf(stderr, "%s\n", status_text(st));
    abort();
}

void hand_plan_init(hand_plan *h) {
    *h = (hand_plan){0};
    sequence_table_init(&h->seqs);
    must(cohort_init(&h->decodes, BLOCK_TOKENS));
    h->plan.seqs = &h->seqs;
    h->plan.decodes = &h->decodes;
    plan_clear(&h->plan);
}

void hand_plan_finish(hand_plan *h) {
    plan_finish(&h->plan);
    cohort_finish(&h->decodes);
    sequence_table_finish(&h->seqs);
}

uint32_t hand_plan_add(hand_plan *h, uint32_t n_prompt, uint32_t n_output_max) {
    request r = {.n_prompt = n_prompt, .n_output_max = n_output_max};
    uint32_t seq;
    must(sequence_add(&h->seqs, &seq, &r, false));
    h->seqs.seqs[seq].state = SEQ_RUNNING;
    h->seqs.seqs[seq].running_no = seq;
    h->seqs.seqs[seq].n_output_max = n_output_max;
    return seq;
}

void hand_plan_join(hand_plan *h, uint32_t seq, uint32_t n_output) {
    sequence *q = &h->seqs.seqs[seq];
    q->n_output = n_output;
    q->n_computed = sequence_len(q) - 1;
    must(cohort_join(&h->decodes, &h->seqs, seq));
}

void hand_plan_decodes(hand_plan *h, uint32_t horizon) {
    plan_clear(&h->plan);
    h->plan.runs_cohort = true;
    h->plan.n_tokens = h->decodes.n;
    h->plan.horizon = horizon;
}

void hand_plan_prompt(hand_plan *h, uint32_t seq, uint32_t n_before, uint32_t n_recomputed) {
    uint32_t n = h->seqs.seqs[seq].req.n_prompt - n_before;
    must(plan_add_chunk(&h->plan, (plan_chunk){.seq = seq,
                                               .n_before = n_before,
                                               .n_tokens = n,
                                               .n_recomputed = n_recomputed,
                                               .samples = true}));
    h->plan.n_tokens += n;
}
