/* adaptive_evict.c - who makes room when memory runs short, and how.
 *
 * A victim is paused first: its KV stays. Then blocks are taken from the ends of the tables of
 * the paused, the least urgent first, only as many as are needed. A block with a copy on the
 * host goes for nothing; others are copied, or dropped with all behind them. */
#include <assert.h>

#include "adaptive_state.h"

uint32_t adaptive_n_resident(const scheduler *s, uint32_t except) {
    const adaptive *t = adaptive_of(s);
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->resident.n; i++)
        if (t->resident.seqs[i] != except)
            n += n_on_device(&s->table.seqs[t->resident.seqs[i]]);
    return n;
}

uint32_t adaptive_n_departing(const scheduler *s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_flying; i++) {
        const flying_copy *f = &s->flying[i];
        if (f->direction != LINK_TO_HOST) continue;
        for (uint32_t j = 0; j < f->n_pairs; j++)
            n += kv_pool_holders(s->device, f->pairs[j].device) == 1;
    }
    return n;
}

/* ------------------------------------------------------------ the host's side */

static void give_up_host_copies(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    adaptive_note *note = note_of(s, id);
    for (uint32_t i = 0; i < note->n_on_host; i++) {
        kv_pool_release(s->host, q->slots[i].host);
        q->slots[i].host = KV_NO_BLOCK;
    }
    adaptive_of(s)->n_copied -= note->n_on_host;
    note->n_on_host = 0;
}

/* The running sequence with copies on the host that is least likely to need them. */
static uint32_t most_urgent_copied(const scheduler *s) {
    uint32_t best = NO_SEQ;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next) {
        const sequence *q = &s->table.seqs[id];
        if (note_of(s, id)->n_on_host == 0 || q->n_arriving || q->n_leaving) continue;
        if (best == NO_SEQ || note_of(s, id)->rank < note_of(s, best)->rank) best = id;
    }
    return best;
}

bool adaptive_make_host_room(scheduler *s, uint32_t n) {
    while (kv_pool_n_free(s->host) < n) {
        uint32_t id = most_urgent_copied(s);
        if (id == NO_SEQ) return false;
        give_up_host_copies(s, id);
    }
    return true;
}

/* ------------------------------------------------------------ blocks of the paused */

/* Copies what has no copy yet; without room on the host it will be dropped instead. */
static status copy_rest(scheduler *s, uint32_t id) {
    const sequence *q = seq_at(s, id);
    adaptive_note *note = note_of(s, id);
    uint32_t n = n_on_device(q), n_dirty = n > note->n_on_host ? n - note->n_on_host : 0;
    if (!note->copies || n_dirty == 0) return ST_OK;
    note->copies = adaptive_make_host_room(s, n_dirty);
    if (!note->copies) return ST_OK;
    TRY(state_copy_to_host(s, id, note->n_on_host, n_dirty, false));
    adaptive_book_copy(s, LINK_TO_HOST, n_dirty);
    note->n_on_host = n;
    return ST_OK;
}

/* Without KV it waits like a new one, and while copies are under way nobody may let it in. */
static status sort_in_again(scheduler *s, uint32_t id) {
    adaptive_leave_outside(s, id);
    return adaptive_go_outside(s, id);
}

/* Takes up to *n device blocks of a paused sequence, from the end; *n becomes what is left to
 * take. Blocks that are being copied are free when that is done. */
static status strip(scheduler *s, uint32_t id, uint32_t *n) {
    sequence *q = seq_at(s, id);
    adaptive_note *note = note_of(s, id);
    TRY(copy_rest(s, id));
    for (uint32_t i = n_on_device(q); i-- > 0 && *n > 0; --*n) {
        if (q->slots[i].host == KV_NO_BLOCK) {
            state_drop_behind(s, id, i * s->config.block_tokens);
        } else {
            kv_pool_release(s->device, q->slots[i].device);
            q->slots[i].device = KV_NO_BLOCK;
        }
    }
    if (note->n_on_host > q->n_slots) note->n_on_host = q->n_slots;
    return sort_in_again(s, id);
}

static uint32_t least_urgent_resident(const scheduler *s, uint32_t except) {
    const adaptive *t = adaptive_of(s);
    uint32_t worst = NO_SEQ;
    for (uint32_t i = 0; i < t->resident.n; i++) {
        uint32_t id = t->resident.seqs[i];
        if (id == except) continue;
        if (worst == NO_SEQ || note_of(s, id)->rank > note_of(s, worst)->rank) worst = id;
    }
    return worst;
}

status adaptive_reclaim(scheduler *s, uint32_t n, uint32_t except) {
    while (n > 0) {
        uint32_t id = least_urgent_resident(s, except);
        if (id == NO_SEQ) return ST_OK;
        TRY(strip(s, id, &n));
    }
    return ST_OK;
}

/* ------------------------------------------------------------ how a victim leaves */

static void take_back_chunk(scheduler *s, uint32_t id) {
    if (seq_at(s, id)->n_planned == 0) return;
    uint32_t n = plan_drop_chunk(&s->plan, id);
    s->plan.n_tokens -= n;
    adaptive_of(s)->n_budget += n;
}

/* Nothing is kept anywhere, and nothing is lost. */
static void leave_for_nothing(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    uint32_t n = q->n_computed;
    state_drop_behind(s, id, 0);
    q->n_kept = n;
    note_of(s, id)->n_on_host = 0;
}

status adaptive_pause(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    adaptive_note *note = note_of(s, id);
    note->copies = adaptive_leaves_by_copy(s, id);
    t->n_copied -= note->n_on_host;
    t->last_copied = note->copies;
    take_back_chunk(s, id);
    sequence_list_remove(&s->running, &s->table, id);
    TRY(state_pause(s, id));
    note->senior = false;
    note->served_ns += t->clock_ns - note->inside_ns;
    if (note->n_on_host > seq_at(s, id)->n_slots) note->n_on_host = seq_at(s, id)->n_slots;
    if (s->settings.mechanism == MECHANISM_FREE) leave_for_nothing(s, id);
    TRY(copy_rest(s, id));
    TRY(adaptive_go_outside(s, id));
    uint32_t all = seq_at(s, id)->n_slots;
    return s->settings.partial || all == 0 ? ST_OK : strip(s, id, &all);
}

/* ------------------------------------------------------------ who has to go */

/* The lower, the sooner it has to go: cost of going per block that is freed and token that it
 * would still have to be held for. */
static double price(const scheduler *s, uint32_t id, uint32_t n_host_room) {
    const sequence *q = &s->table.seqs[id];
    double n_left = length_estimate_remaining(adaptive_of(s)->lengths, q->req.n_prompt,
                                              n_output_of(s, id), q->n_output_max);
    return adaptive_leave_s(s, id, n_host_room) / ((double)q->n_slots * n_left);
}

/* Seniors and those who came in only now go last. */
static int reluctance(const scheduler *s, uint32_t id) {
    return note_of(s, id)->senior ? 2 : adaptive_is_fresh(s, id);
}

/* The higher, the sooner it goes. */
static double readiness(const scheduler *s, uint32_t id, uint32_t n_host_room) {
    switch (s->settings.victim) {
    case VICTIM_LEAST_COMPUTED:
        return -(double)n_computed_of(s, id);
    case VICTIM_CHEAPEST:
        return -price(s, id, n_host_room);
    default:
        return note_of(s, id)->rank;
    }
}

static uint32_t pick_victim(const scheduler *s, uint32_t except) {
    uint32_t victim = NO_SEQ, n_host_room = adaptive_n_host_room(s);
    int least_reluctant = 0;
    double readiest = 0;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next) {
        if (id == except || s->table.seqs[id].n_kept > 0) continue;
        int reluctant = reluctance(s, id);
        double ready = readiness(s, id, n_host_room);
        bool sooner =
            victim == NO_SEQ || reluctant < least_reluctant ||
            (reluctant == least_reluctant &&
             (ready > readiest ||
              (ready == readiest && s->table.seqs[id].req.id > s->table.seqs[victim].req.id)));
        if (!sooner) continue;
        victim = id;
        least_reluctant = reluctant;
        readiest = ready;
    }
    return victim;
}

status adaptive_make_free(scheduler *s, uint32_t n, uint32_t except, bool *done) {
    for (;;) {
        uint32_t n_free = kv_pool_n_free(s->device);
        *done = n_free >= n;
        if (*done) return ST_OK;
        n_free += adaptive_n_departing(s);
        if (n_free >= n) return ST_OK;
        uint32_t n_resident = adaptive_n_resident(s, except);
        if (n_resident > 0) {
            TRY(adaptive_reclaim(s, n - n_free, except));
            continue;
        }
        uint32_t victim = pick_victim(s, except);
        if (victim == NO_SEQ) return ST_OK;
        TRY(adaptive_pause(s, victim));
    }
}
