/* adaptive_learn.c - what an iteration tells: time that passed, lengths that were reached,
 * service that clients got, and the ranks that follow. */
#include "adaptive_state.h"

/* Sequences outside that are ranked anew in each iteration: so many, and this share. */
enum { RERANKED_MIN = 8, RERANKED_SHARE = 64 };

static uint32_t bucket_end(uint32_t bucket) {
    return bucket + 1 < LENGTH_N_BUCKETS ? length_bucket_start(bucket + 1) : UINT32_MAX;
}

/* It ran with n_output tokens. */
static void note_length(scheduler *s, uint32_t id, uint32_t n_output) {
    adaptive_note *note = note_of(s, id);
    while (n_output >= note->bucket_end) {
        length_estimate_reached(adaptive_of(s)->lengths, seq_at(s, id)->req.n_prompt,
                                ++note->bucket);
        note->bucket_end = bucket_end(note->bucket);
    }
}

/* What is learnt from an end must not depend on the iterations that a plan held: the others
 * tell the lengths first with which they ran in the last of them. */
static void note_lengths_of_horizon(scheduler *s) {
    if (s->cohort.tick <= adaptive_of(s)->batch_tick + 1) return;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next)
        if (seq_at(s, id)->in_cohort) note_length(s, id, n_output_of(s, id) - 1);
}

/* Weights of VTC: an output token counts twice as much as one of the prompt. */
static void charge(scheduler *s, uint32_t id) {
    if (!s->order->needs_clients) return;
    adaptive_note *note = note_of(s, id);
    uint32_t n_output = n_output_of(s, id);
    adaptive_of(s)->clients.accounts[note->account].charged +=
        2.0 * (n_output - note->n_charged);
    note->n_charged = n_output;
}

void adaptive_charge_prompt(scheduler *s, uint32_t id) {
    const sequence *q = seq_at(s, id);
    if (!s->order->needs_clients || q->n_preemptions > 0) return;
    adaptive_of(s)->clients.accounts[note_of(s, id)->account].charged += q->req.n_prompt;
}

void adaptive_learn_from_end(scheduler *s, uint32_t id) {
    const sequence *q = seq_at(s, id);
    uint32_t n_output = n_output_of(s, id);
    note_lengths_of_horizon(s);
    note_length(s, id, n_output - 1);
    if (n_output < q->n_output_max)
        length_estimate_finished(adaptive_of(s)->lengths, q->req.n_prompt, n_output);
    charge(s, id);
}

void adaptive_pass_time(scheduler *s) {
    adaptive *t = adaptive_of(s);
    if (t->computes) t->clock_ns += s->now_ns - t->asked_ns;
    t->asked_ns = s->now_ns;
    if (t->computes) t->iteration_s = (double)(s->latest_end_ns - s->latest_start_ns) * 1e-9;
    if (s->cohort.tick <= t->batch_tick + 1) return;
    uint64_t n_more = s->cohort.tick - t->batch_tick - 1; /* a horizon: contexts have grown */
    t->batch.decode_kv_tokens += n_more * t->batch.n_decode;
    t->batch.decode_kv_max += n_more;
}

/* Tokens that came out, for all before any is ranked by what its client was charged. */
static void charge_running(scheduler *s) {
    if (!s->order->needs_clients) return;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next) charge(s, id);
}

/* Lengths that were reached, restores that ended, ranks that moved. */
void adaptive_look_at_running(scheduler *s) {
    adaptive *t = adaptive_of(s);
    uint64_t version = length_estimate_version(t->lengths);
    bool all = s->order->moves_always || t->version != version;
    t->version = version;
    charge_running(s);
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next) {
        const sequence *q = seq_at(s, id);
        adaptive_note *note = note_of(s, id);
        note_length(s, id, n_output_of(s, id));
        if (q->n_kept > 0) adaptive_end_restore(s, id);
        bool joined = !q->in_cohort || q->joined_tick == s->cohort.tick;
        bool moved = all || joined || note->ranked_bucket != note->bucket;
        if (!s->order->moves || !moved) continue;
        note->rank = s->order->rank(s, id, 0);
        note->ranked_bucket = note->bucket;
    }
}

/* Some of those outside, so that each has its turn: what is learnt changes their ranks slowly.
 */
void adaptive_rerank_outside(scheduler *s, rank_heap *h) {
    if (!s->order->moves || h->n == 0) return;
    uint64_t version = length_estimate_version(adaptive_of(s)->lengths);
    uint32_t n = RERANKED_MIN + (s->order->ages ? h->n / RERANKED_SHARE : 0);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = h->entries[adaptive_of(s)->n_asked++ % h->n].seq;
        adaptive_note *note = note_of(s, id);
        if (!s->order->moves_always && note->ranked_version == version) continue;
        note->rank = s->order->rank(s, id, 0);
        note->ranked_version = version;
        rank_heap_rerank(h, id, adaptive_place_of(s, id));
    }
}

bool adaptive_is_fresh(const scheduler *s, uint32_t id) {
    return n_output_of(s, id) < note_of(s, id)->n_output_then + s->settings.min_service;
}
