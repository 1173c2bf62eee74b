/* adaptive_check.c - what adaptive_state.h promises, for tests. */
#include "adaptive_state.h"

static status broken(const sequence *q, const char *what, errbuf *err) {
    return fail(err, ST_INVALID, "adaptive: request %llu %s", (unsigned long long)q->req.id,
                what);
}

static uint32_t times_in(const slot_list *l, uint32_t id) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n; i++) n += l->seqs[i] == id;
    return n;
}

static uint32_t n_flying(const scheduler *s, uint32_t id, link_direction direction) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_flying; i++)
        n += s->flying[i].seq == id && s->flying[i].direction == direction &&
             s->flying[i].request_id == s->table.seqs[id].req.id;
    return n;
}

/* Those with a copy on the host lead; every block is somewhere. */
static status check_blocks(const scheduler *s, uint32_t id, errbuf *err) {
    const sequence *q = &s->table.seqs[id];
    uint32_t n_on_host = note_of(s, id)->n_on_host;
    if (n_on_host > q->n_slots) return broken(q, "has more copies than blocks", err);
    for (uint32_t i = 0; i < q->n_slots; i++) {
        kv_slot slot = q->slots[i];
        if ((slot.host != KV_NO_BLOCK) != (i < n_on_host))
            return broken(q, "has other blocks on the host than it knows", err);
        if (slot.device == KV_NO_BLOCK && slot.host == KV_NO_BLOCK)
            return broken(q, "lost a block", err);
        if (i > 0 && slot.device != KV_NO_BLOCK && q->slots[i - 1].device == KV_NO_BLOCK)
            return broken(q, "has a hole in its blocks on the device", err);
    }
    if (q->n_arriving != n_flying(s, id, LINK_TO_DEVICE) ||
        q->n_leaving != n_flying(s, id, LINK_TO_HOST))
        return broken(q, "counts other copies in flight than there are", err);
    return ST_OK;
}

static status check_inside(const scheduler *s, uint32_t id, errbuf *err) {
    const adaptive *t = adaptive_of(s);
    const sequence *q = &s->table.seqs[id];
    if (rank_heap_has(&t->fresh, id) || rank_heap_has(&t->paused, id) ||
        rank_heap_has(&t->by_age, id) || times_in(&t->resident, id) ||
        times_in(&t->departing, id))
        return broken(q, "is inside and among those outside", err);
    if (q->n_kept > 0 && (q->n_computed > q->n_front || q->n_front > q->n_kept))
        return broken(q, "is restored out of order", err);
    if (q->n_kept == 0 && q->n_arriving > 0)
        return broken(q, "computes while its KV arrives", err);
    uint32_t n_computed = q->n_kept > 0 ? q->n_kept : n_computed_of(s, id);
    if (note_of(s, id)->n_on_host > n_computed / s->config.block_tokens)
        return broken(q, "keeps a copy of a block that is not full", err);
    return check_blocks(s, id, err);
}

static bool is_departing(const scheduler *s, uint32_t id) {
    return times_in(&adaptive_of(s)->departing, id) > 0;
}

static status check_outside(const scheduler *s, uint32_t id, errbuf *err) {
    const adaptive *t = adaptive_of(s);
    const sequence *q = &s->table.seqs[id];
    bool pauses = q->state == SEQ_SWAPPED, departs = is_departing(s, id);
    if (rank_heap_has(&t->by_age, id) == departs ||
        rank_heap_has(&t->fresh, id) != (!pauses && !departs) ||
        rank_heap_has(&t->paused, id) != (pauses && !departs) ||
        times_in(&t->departing, id) > 1)
        return broken(q, "is in the wrong heaps", err);
    if (q->n_arriving > 0) return broken(q, "is outside and still being restored", err);
    if (!pauses) return check_blocks(s, id, err);
    if (q->n_slots == 0 || q->n_slots != blocks_for(s, q->n_computed))
        return broken(q, "is paused with other blocks than its KV takes", err);
    if (departs && q->slots[q->n_slots - 1].device != KV_NO_BLOCK)
        return broken(q, "departs with all its blocks on the device", err);
    if (times_in(&t->resident, id) != (q->slots[0].device != KV_NO_BLOCK))
        return broken(q, "is not where its blocks on the device say", err);
    return check_blocks(s, id, err);
}

/* Those at the end of the waiting that arrived since the latest decision are in no heap yet. */
static uint32_t n_arrivals(const scheduler *s) {
    uint32_t n = 0;
    for (uint32_t id = s->waiting.last;
         id != NO_SEQ && !rank_heap_has(&adaptive_of(s)->by_age, id);
         id = s->table.seqs[id].prev)
        n++;
    return n;
}

static status check_numbers(const scheduler *s, uint32_t n_fresh, errbuf *err) {
    const adaptive *t = adaptive_of(s);
    uint32_t n_paused = s->swapped.n - t->departing.n;
    if (t->fresh.n != n_fresh || t->paused.n != n_paused || t->by_age.n != n_fresh + n_paused)
        return fail(err, ST_INVALID,
                    "adaptive: the heaps hold %u, %u and %u; %u wait and %u are paused",
                    t->fresh.n, t->paused.n, t->by_age.n, n_fresh, n_paused);
    if (!rank_heap_check(&t->fresh) || !rank_heap_check(&t->paused) ||
        !rank_heap_check(&t->by_age))
        return fail(err, ST_INVALID, "adaptive: a heap is out of order");
    return ST_OK;
}

status adaptive_check(const scheduler *s, errbuf *err) {
    uint32_t n_fresh = s->waiting.n - n_arrivals(s), n = n_fresh;
    uint32_t n_copied = 0;
    TRY(check_numbers(s, n_fresh, err));
    for (uint32_t id = s->waiting.first; n-- > 0; id = s->table.seqs[id].next)
        TRY(check_outside(s, id, err));
    for (uint32_t id = s->swapped.first; id != NO_SEQ; id = s->table.seqs[id].next)
        TRY(check_outside(s, id, err));
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next)
        TRY(check_inside(s, id, err));
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next)
        n_copied += note_of(s, id)->n_on_host;
    if (n_copied != adaptive_of(s)->n_copied)
        return fail(err, ST_INVALID, "adaptive: those inside have %u copies, %u are known",
                    n_copied, adaptive_of(s)->n_copied);
    return ST_OK;
}
