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

/* Response ratio, negative so that the highest comes first. */
static double rank_hrrn(const scheduler *s, uint32_t id, double extra) {
    (void)extra;
    const sequence *q = &s->table.seqs[id];
    const adaptive *t = adaptive_of(s);
    double n_output =
        length_estimate_remaining(t->lengths, q->req.n_prompt, 0, q->n_output_max);
    double service_s = (note_of(s, id)->solo_start + n_output) * t->token_s;
    double wait_s = (double)(s->now_ns - q->req.arrival_ns) * 1e-9;
    return -(wait_s + service_s) / service_s;
}

/* Work before the next token of a sequence, in slots of a full batch: the tokens that lack KV.
 */
static double setup_slots(const scheduler *s, uint32_t id) {
    const sequence *q = &s->table.seqs[id];
    const adaptive *t = adaptive_of(s);
    if (q->in_cohort) return 0;
    uint32_t n_prompt_left =
        q->n_computed < q->req.n_prompt ? q->req.n_prompt - q->n_computed : 0;
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
    return adaptive_of(s)->clients[s->table.seqs[id].req.client].charged;
}

/* Tokens by which a sequence grows in the time that its rank looks ahead to. */
enum { TYPICAL_GROWTH = 100 };

/* Memory is what is short: work counts by the KV that is held meanwhile. */
static double rank_gittins(const scheduler *s, uint32_t id, double extra) {
    const sequence *q = &s->table.seqs[id];
    const adaptive *t = adaptive_of(s);
    double n_held = (double)q->req.n_prompt + n_output_of(s, id) + TYPICAL_GROWTH;
    return n_held / length_estimate_index(t->lengths, q->req.n_prompt, n_output_of(s, id),
                                          note_of(s, id)->solo_start,
                                          extra + setup_slots(s, id));
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
                       .moves = true,
                       .preempts = true,
                       .needs_costs = true},
};
