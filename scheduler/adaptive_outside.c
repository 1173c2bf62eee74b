/* adaptive_outside.c - who comes, waits outside, and is gone. */
#include <stdlib.h>

#include "adaptive_state.h"

uint64_t adaptive_pool_stop(const scheduler *s, const sequence *q) {
    uint64_t n_tokens = (uint64_t)s->config.n_device_blocks * s->config.block_tokens;
    return n_tokens > q->req.n_prompt ? n_tokens - q->req.n_prompt : 0;
}

static status reserve_notes(adaptive *t, uint32_t n) {
    if (n <= t->n_notes) return ST_OK;
    adaptive_note *notes = realloc(t->notes, 2 * n * sizeof(*notes));
    if (!notes) return ST_NO_MEMORY;
    t->notes = notes;
    t->n_notes = 2 * n;
    return ST_OK;
}

/* The place in the heap of those without KV, or of those with. */
double adaptive_place_of(const scheduler *s, uint32_t id) {
    bool fresh = s->table.seqs[id].state == SEQ_WAITING;
    return fresh && s->order->entry_rank ? s->order->entry_rank(s, id) : note_of(s, id)->rank;
}

static status into_heaps(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    adaptive_note *note = note_of(s, id);
    const request *req = &seq_at(s, id)->req;
    note->rank = s->order->rank(s, id, 0);
    note->ranked_version = length_estimate_version(t->lengths);
    rank_heap *h = seq_at(s, id)->state == SEQ_SWAPPED ? &t->paused : &t->fresh;
    TRY(rank_heap_push(h, id, adaptive_place_of(s, id), req->id));
    return rank_heap_push(&t->by_age, id, (double)req->arrival_ns, req->id);
}

void adaptive_leave_outside(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    sequence_list *l = seq_at(s, id)->state == SEQ_SWAPPED ? &s->swapped : &s->waiting;
    sequence_list_remove(l, &s->table, id);
    slot_list_remove(&t->resident, id);
    slot_list_remove(&t->departing, id);
    rank_heap_remove(&t->fresh, id);
    rank_heap_remove(&t->paused, id);
    rank_heap_remove(&t->by_age, id);
}

static status welcome(scheduler *s, uint32_t id) {
    const sequence *q = seq_at(s, id);
    adaptive *t = adaptive_of(s);
    adaptive_note *note = note_of(s, id);
    *note = (adaptive_note){.bucket_end = length_bucket_start(1)};
    if (s->config.costs)
        note->solo_start =
            cost_of_lone_prefill(s->config.costs, 0, q->req.n_prompt).s / t->token_s;
    length_estimate_reached(t->lengths, q->req.n_prompt, 0);
    if (s->order->needs_clients)
        TRY(client_accounts_enter(&t->clients, &note->account, q->req.client));
    return into_heaps(s, id);
}

/* Arrivals are at the end of the waiting and in no heap yet. One that no pool of this size can
 * serve is given up. */
status adaptive_welcome_arrivals(scheduler *s) {
    adaptive *t = adaptive_of(s);
    TRY(reserve_notes(t, s->table.n_touched));
    uint32_t id = s->waiting.last, first = NO_SEQ;
    for (; id != NO_SEQ && !rank_heap_has(&t->by_age, id); id = seq_at(s, id)->prev) first = id;
    while (first != NO_SEQ) {
        id = first;
        first = seq_at(s, id)->next;
        if (adaptive_pool_stop(s, seq_at(s, id)) > 0) {
            TRY(welcome(s, id));
        } else {
            sequence_list_remove(&s->waiting, &s->table, id);
            TRY(state_ignore(s, id, false));
        }
    }
    return ST_OK;
}

status adaptive_go_outside(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    sequence *q = seq_at(s, id);
    if (q->n_slots == 0) q->state = SEQ_WAITING;
    sequence_list_push_back(q->n_slots ? &s->swapped : &s->waiting, &s->table, id);
    if (q->n_slots > 0 && q->slots[0].device != KV_NO_BLOCK)
        TRY(slot_list_add(&t->resident, id));
    bool whole = q->n_slots == 0 || q->slots[q->n_slots - 1].device != KV_NO_BLOCK;
    return q->n_leaving == 0 || whole ? into_heaps(s, id) : slot_list_add(&t->departing, id);
}

/* Paused sequences whose copies have ended may come back. */
status adaptive_see_off_departed(scheduler *s) {
    adaptive *t = adaptive_of(s);
    for (uint32_t i = t->departing.n; i-- > 0;) {
        uint32_t id = t->departing.seqs[i];
        if (seq_at(s, id)->n_leaving > 0) continue;
        slot_list_remove(&t->departing, id);
        TRY(into_heaps(s, id));
    }
    return ST_OK;
}

void adaptive_finished(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    adaptive_learn_from_end(s, id);
    t->n_copied -= note_of(s, id)->n_on_host;
    if (s->order->needs_clients) client_accounts_leave(&t->clients, note_of(s, id)->account);
}
