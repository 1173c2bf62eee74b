#include "order.h"

#include <math.h>

#include "adaptive_state.h"

static bool arrived_before(const sequence *a, const sequence *b) {
    if (a->req.arrival_ns != b->req.arrival_ns) return a->req.arrival_ns < b->req.arrival_ns;
    return a->req.id < b->req.id;
}

static bool more_urgent(const sequence *a, const sequence *b) {
    if (a->req.priority != b->req.priority) return a->req.priority < b->req.priority;
    return arrived_before(a, b);
}

static double rank_fcfs(const scheduler *s, uint32_t id, double extra) {
    (void)extra;
    return (double)s->table.seqs[id].req.arrival_ns;
}

static double rank_priority(const scheduler *s, uint32_t id, double extra) {
    (void)extra;
    return s->table.seqs[id].req.priority;
}

/* Kept until the estimates change: it is asked for in every iteration. */
static double expected_service_s(const scheduler *s, uint32_t id) {
    const sequence *q = &s->table.seqs[id];
    const adaptive *t = adaptive_of(s);
    adaptive_note *note = note_of(s, id);
    uint64_t version = length_estimate_version(t->lengths);
    if (note->service_version == version) return note->service_s;
    double n_output =
        length_estimate_remaining(t->lengths, q->req.n_prompt, 0, q->n_output_max);
    note->service_s = (note->solo_start + n_output) * t->token_s;
    note->service_version = version;
    return note->service_s;
}

/* Response ratio, negative so that the highest comes first. */
static double rank_hrrn(const scheduler *s, uint32_t id, double extra) {
    (void)extra;
    const sequence *q = &s->table.seqs[id];
    double service_s = expected_service_s(s, id);
    double wait_s = (double)(s->now_ns - q->req.arrival_ns) * 1e-9;
    return -(wait_s + service_s) / service_s;
}

/* Work before the next token of a sequence, in slots of a full batch: the tokens that lack KV.
 */
static double setup_slots(const scheduler *s, uint32_t id) {
    const sequence *q = &s->table.seqs[id];
    const adaptive *t = adaptive_of(s);
    if (q->in_cohort) return 0;
    uint32_t n_there = q->n_kept > q->n_computed ? q->n_kept : q->n_computed;
    uint32_t n_prompt_left = n_there < q->req.n_prompt ? q->req.n_prompt - n_there : 0;
    double prefill_s = note_of(s, id)->solo_start * t->token_s;
    return prefill_s * n_prompt_left / q->req.n_prompt / t->slot_s;
}

static double rank_srpt_oracle(const scheduler *s, uint32_t id, double extra) {
    double n_left = (double)s->table.seqs[id].n_output_true - n_output_of(s, id);
    return extra + setup_slots(s, id) + fmax(n_left, 1);
}

static double rank_lpt_oracle(const scheduler *s, uint32_t id, double extra) {
    (void)extra;
    return -(double)s->table.seqs[id].n_output_true;
}

static double rank_sjf_prompt(const scheduler *s, uint32_t id, double extra) {
    (void)extra;
    return s->table.seqs[id].req.n_prompt;
}

/* Queue i is left after 10 ms * 2^i of service there; a request starts in the first queue whose
 * quantum covers its prefill (FastServe, section 4). The rank doubles with the queue. */
static double rank_mlfq(const scheduler *s, uint32_t id, double extra) {
    (void)extra;
    const adaptive *t = adaptive_of(s);
    const adaptive_note *note = note_of(s, id);
    int64_t served_ns = note->served_ns;
    if (s->table.seqs[id].state == SEQ_RUNNING) served_ns += t->clock_ns - note->inside_ns;
    double quantum_s = 0.010, rank = 1, served_s = (double)served_ns * 1e-9;
    for (; quantum_s < note->solo_start * t->token_s; quantum_s *= 2) rank *= 2;
    for (; served_s >= quantum_s && rank < 0x1p40; quantum_s *= 2) {
        served_s -= quantum_s;
        rank *= 2;
    }
    return rank;
}

static double rank_vtc(const scheduler *s, uint32_t id, double extra) {
    (void)extra;
    return adaptive_of(s)->clients.accounts[note_of(s, id)->account].charged;
}

/* What a request weighs is 1 / its service alone, which is nearly all output: prompts count
 * little, and whoever has received little service goes first. */
static double rank_gittins(const scheduler *s, uint32_t id, double extra) {
    const sequence *q = &s->table.seqs[id];
    return 1 / length_estimate_index(adaptive_of(s)->lengths, q->req.n_prompt,
                                     n_output_of(s, id), note_of(s, id)->solo_start, extra);
}

/* Tokens by which a sequence grows in the time that its rank looks ahead to. */
enum { TYPICAL_GROWTH = 100 };

/* Among those who have received none, letting in one that takes little compute and memory lets
 * in more of them. */
static double entry_rank_gittins(const scheduler *s, uint32_t id) {
    double n_held = (double)s->table.seqs[id].req.n_prompt + n_output_of(s, id);
    return (n_held + TYPICAL_GROWTH) * rank_gittins(s, id, setup_slots(s, id));
}

const order_policy order_policies[N_ORDERS] = {
    [ORDER_FCFS] = {.name = "fcfs", .before = arrived_before, .rank = rank_fcfs},
    [ORDER_PRIORITY] = {.name = "priority", .before = more_urgent, .rank = rank_priority},
    [ORDER_HRRN] = {.name = "hrrn",
                    .rank = rank_hrrn,
                    .moves = true,
                    .moves_always = true,
                    .ages = true,
                    .needs_costs = true},
    [ORDER_SRPT_ORACLE] = {.name = "srpt-oracle",
                           .rank = rank_srpt_oracle,
                           .moves = true,
                           .moves_always = true,
                           .preempts = true,
                           .needs_costs = true,
                           .is_oracle = true},
    [ORDER_LPT_ORACLE] = {.name = "lpt-oracle", .rank = rank_lpt_oracle, .is_oracle = true},
    [ORDER_SJF_PROMPT] = {.name = "sjf-prompt", .rank = rank_sjf_prompt},
    [ORDER_MLFQ] = {.name = "mlfq",
                    .rank = rank_mlfq,
                    .moves = true,
                    .moves_always = true,
                    .preempts = true,
                    .needs_costs = true},
    [ORDER_VTC] = {.name = "vtc",
                   .rank = rank_vtc,
                   .moves = true,
                   .moves_always = true,
                   .ages = true,
                   .needs_clients = true},
    [ORDER_GITTINS] = {.name = "gittins",
                       .rank = rank_gittins,
                       .entry_rank = entry_rank_gittins,
                       .moves = true,
                       .preempts = true,
                       .needs_costs = true},
};
