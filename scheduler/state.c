/* state.c - the moves of scheduler_state.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler_state.h"

status state_grow(scheduler *s, uint32_t id, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t block = kv_pool_take(s->device);
        assert(block != KV_NO_BLOCK);
        status st = sequence_push_slot(seq_at(s, id), (kv_slot){block, KV_NO_BLOCK});
        if (st != ST_OK) {
            kv_pool_untake(s->device, block);
            return st;
        }
    }
    return ST_OK;
}

void state_release(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    while (q->n_slots > 0) {
        kv_slot slot = q->slots[--q->n_slots];
        if (slot.device != KV_NO_BLOCK) kv_pool_release(s->device, slot.device);
        if (slot.host != KV_NO_BLOCK) kv_pool_release(s->host, slot.host);
    }
}

static void note_first_run(scheduler *s, sequence *q) {
    if (q->has_run) return;
    q->has_run = true;
    q->first_scheduled_ns = s->now_ns;
}

void state_start_in_queue(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    q->state = SEQ_STARTED;
    note_first_run(s, q);
}

void state_run(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    q->state = SEQ_RUNNING;
    q->running_no = s->next_running_no++;
    note_first_run(s, q);
    sequence_list_push_back(&s->running, &s->table, id);
}

void state_renumber(scheduler *s) {
    bool in_order = true;
    int64_t before = INT64_MIN;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next) {
        sequence *q = seq_at(s, id);
        in_order = in_order && q->running_no > before;
        before = q->running_no;
        q->running_no = s->next_running_no++;
    }
    if (!in_order) cohort_reorder(&s->cohort, &s->table, &s->running);
}

status state_plan_chunk(scheduler *s, uint32_t id, uint32_t n) {
    sequence *q = seq_at(s, id);
    assert(!q->in_cohort && n > 0);
    assert(q->n_computed + n <= sequence_len(q));
    /* Nothing is computed on KV that has not arrived: until then only the front is. */
    assert(q->n_arriving == 0 || q->n_computed + n <= q->n_front);
    uint32_t end = q->n_computed + n;
    uint32_t known = q->n_kv_peak < end ? q->n_kv_peak : end;
    plan_chunk chunk = {.seq = id,
                        .n_before = q->n_computed,
                        .n_tokens = n,
                        .n_recomputed = known > q->n_computed ? known - q->n_computed : 0,
                        .samples = end == sequence_len(q)};
    TRY(plan_add_chunk(&s->plan, chunk));
    q->n_planned = n;
    s->plan.n_tokens += n;
    return ST_OK;
}

/* Leaves the cohort with the counters written; the newest token came with the latest tick. */
static void settle(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    if (!q->in_cohort) return;
    bool ticked = q->joined_tick != s->cohort.tick;
    cohort_leave(&s->cohort, &s->table, id);
    if (ticked) q->last_token_ns = s->latest_tick_ns;
    if (q->n_kv_peak < q->n_computed) q->n_kv_peak = q->n_computed;
}

void state_leave_cohort(scheduler *s, uint32_t id) {
    settle(s, id);
}

static status book_preemption(scheduler *s, uint32_t id) {
    TRY(plan_add_preempted(&s->plan, id));
    settle(s, id);
    sequence *q = seq_at(s, id);
    q->n_preemptions++;
    q->n_planned = 0;
    return ST_OK;
}

status state_preempt_recompute(scheduler *s, uint32_t id) {
    TRY(book_preemption(s, id));
    state_name_own_blocks(s, id);
    state_release(s, id);
    sequence *q = seq_at(s, id);
    q->n_computed = q->n_stored = 0;
    q->decoding = false;
    q->state = SEQ_WAITING;
    return ST_OK;
}

/* An ordered copy of all blocks of a sequence, in many small pieces as vLLM V0 makes it; the
 * pairs follow. */
static status plan_swap(scheduler *s, uint32_t id, link_direction direction) {
    return plan_add_copy(&s->plan, (plan_copy){.id = s->n_copies++,
                                               .seq = id,
                                               .direction = direction,
                                               .ordered = true,
                                               .per_layer = true,
                                               .first_pair = s->plan.n_pairs,
                                               .n_pairs = seq_at(s, id)->n_slots});
}

status state_swap_out(scheduler *s, uint32_t id) {
    TRY(book_preemption(s, id));
    TRY(plan_swap(s, id, LINK_TO_HOST));
    sequence *q = seq_at(s, id);
    for (uint32_t i = 0; i < q->n_slots; i++) {
        kv_slot *slot = &q->slots[i];
        slot->host = kv_pool_take(s->host);
        assert(slot->host != KV_NO_BLOCK);
        TRY(plan_add_pair(&s->plan, (block_pair){slot->device, slot->host}));
        kv_pool_release(s->device, slot->device);
        slot->device = KV_NO_BLOCK;
    }
    q->state = SEQ_SWAPPED;
    return ST_OK;
}

status state_swap_in(scheduler *s, uint32_t id) {
    TRY(plan_swap(s, id, LINK_TO_DEVICE));
    sequence *q = seq_at(s, id);
    for (uint32_t i = 0; i < q->n_slots; i++) {
        kv_slot *slot = &q->slots[i];
        slot->device = kv_pool_take(s->device);
        assert(slot->device != KV_NO_BLOCK);
        TRY(plan_add_pair(&s->plan, (block_pair){slot->device, slot->host}));
        kv_pool_release(s->host, slot->host);
        slot->host = KV_NO_BLOCK;
    }
    q->state = SEQ_RUNNING;
    return ST_OK;
}

static status leak_host_blocks(scheduler *s, sequence *q) {
    uint32_t wanted = s->n_leaked + q->n_slots;
    if (wanted > s->leaked_capacity) {
        uint32_t *leaked = realloc(s->leaked, 2 * wanted * sizeof(*leaked));
        if (!leaked) return ST_NO_MEMORY;
        s->leaked = leaked;
        s->leaked_capacity = 2 * wanted;
    }
    while (q->n_slots > 0) s->leaked[s->n_leaked++] = q->slots[--q->n_slots].host;
    return ST_OK;
}

status state_pause(scheduler *s, uint32_t id) {
    TRY(book_preemption(s, id));
    sequence *q = seq_at(s, id);
    assert(q->n_kept == 0 && q->n_arriving == 0); /* not while it is restored */
    q->decoding = false;
    q->state = SEQ_SWAPPED;
    state_drop_behind(s, id, q->n_computed);
    return ST_OK;
}

void state_drop_behind(scheduler *s, uint32_t id, uint32_t n_tokens) {
    sequence *q = seq_at(s, id);
    assert(n_tokens <= q->n_computed);
    uint32_t n_slots = blocks_for(s, n_tokens);
    while (q->n_slots > n_slots) {
        kv_slot slot = q->slots[--q->n_slots];
        if (slot.device != KV_NO_BLOCK) kv_pool_release(s->device, slot.device);
        if (slot.host != KV_NO_BLOCK) kv_pool_release(s->host, slot.host);
    }
    q->n_computed = n_tokens;
}

/* An asynchronous copy of the pairs, or an ordered one where the policy wants those. */
static status copy_pairs(scheduler *s, uint32_t id, link_direction direction, uint32_t n,
                         bool write_back) {
    if (n == 0) return ST_OK;
    if (!s->ordered_copies) {
        TRY(state_copy_async(s, id, direction, s->pairs, n));
        s->plan.copies[s->plan.n_copies - 1].write_back = write_back;
        return ST_OK;
    }
    plan_copy copy = {.id = s->n_copies++,
                      .seq = id,
                      .direction = direction,
                      .ordered = true,
                      .write_back = write_back,
                      .first_pair = s->plan.n_pairs,
                      .n_pairs = n};
    for (uint32_t i = 0; i < n; i++) TRY(plan_add_pair(&s->plan, s->pairs[i]));
    return plan_add_copy(&s->plan, copy);
}

static status reserve_pairs(scheduler *s, uint32_t n) {
    if (n <= s->pairs_capacity) return ST_OK;
    block_pair *pairs = realloc(s->pairs, 2 * n * sizeof(*pairs));
    if (!pairs) return ST_NO_MEMORY;
    s->pairs = pairs;
    s->pairs_capacity = 2 * n;
    return ST_OK;
}

status state_copy_to_host(scheduler *s, uint32_t id, uint32_t first, uint32_t n,
                          bool write_back) {
    uint32_t n_pairs = 0;
    TRY(reserve_pairs(s, n));
    for (uint32_t i = first; i < first + n; i++) {
        kv_slot *slot = &seq_at(s, id)->slots[i];
        if (slot->host != KV_NO_BLOCK) continue;
        assert(slot->device != KV_NO_BLOCK);
        slot->host = kv_pool_take(s->host);
        assert(slot->host != KV_NO_BLOCK);
        s->pairs[n_pairs++] = (block_pair){slot->device, slot->host};
    }
    return copy_pairs(s, id, LINK_TO_HOST, n_pairs, write_back);
}

status state_copy_to_device(scheduler *s, uint32_t id, uint32_t first, uint32_t n) {
    uint32_t n_pairs = 0;
    TRY(reserve_pairs(s, n));
    for (uint32_t i = first; i < first + n; i++) {
        kv_slot *slot = &seq_at(s, id)->slots[i];
        if (slot->device != KV_NO_BLOCK) continue;
        assert(slot->host != KV_NO_BLOCK);
        slot->device = kv_pool_take(s->device);
        assert(slot->device != KV_NO_BLOCK);
        s->pairs[n_pairs++] = (block_pair){slot->device, slot->host};
    }
    return copy_pairs(s, id, LINK_TO_DEVICE, n_pairs, false);
}

void state_take_device(scheduler *s, uint32_t id, uint32_t first, uint32_t n) {
    for (uint32_t i = first; i < first + n; i++) {
        kv_slot *slot = &seq_at(s, id)->slots[i];
        assert(slot->device == KV_NO_BLOCK);
        slot->device = kv_pool_take(s->device);
        assert(slot->device != KV_NO_BLOCK);
    }
}

status state_ignore(scheduler *s, uint32_t id, bool leak) {
    TRY(plan_add_ignored(&s->plan, id));
    if (leak) TRY(leak_host_blocks(s, seq_at(s, id)));
    state_release(s, id);
    return ST_OK;
}

status state_copy_async(scheduler *s, uint32_t seq, link_direction direction,
                        const block_pair *pairs, uint32_t n_pairs) {
    if (s->n_flying == s->flying_capacity) {
        uint32_t capacity = s->flying_capacity ? 2 * s->flying_capacity : 16;
        flying_copy *flying = realloc(s->flying, capacity * sizeof(*flying));
        if (!flying) return ST_NO_MEMORY;
        s->flying = flying;
        s->flying_capacity = capacity;
    }
    block_pair *kept = malloc(n_pairs * sizeof(*kept));
    if (!kept) return ST_NO_MEMORY;
    memcpy(kept, pairs, n_pairs * sizeof(*kept));
    uint64_t request_id = UINT64_MAX;
    if (seq != NO_SEQ) {
        sequence *q = seq_at(s, seq);
        ++*(direction == LINK_TO_HOST ? &q->n_leaving : &q->n_arriving);
        request_id = q->req.id;
    }
    s->flying[s->n_flying++] =
        (flying_copy){s->n_copies, seq, request_id, direction, kept, n_pairs};
    plan_copy copy = {.id = s->n_copies++,
                      .seq = seq,
                      .direction = direction,
                      .first_pair = s->plan.n_pairs,
                      .n_pairs = n_pairs};
    for (uint32_t i = 0; i < n_pairs; i++) {
        kv_pool_retain(s->device, pairs[i].device);
        kv_pool_retain(s->host, pairs[i].host);
        TRY(plan_add_pair(&s->plan, pairs[i]));
    }
    return plan_add_copy(&s->plan, copy);
}

status state_grow_cohort(scheduler *s, uint32_t later) {
    uint32_t id = cohort_growth(&s->cohort, later)->first;
    for (; id != NO_SEQ; id = seq_at(s, id)->phase_next) {
        assert((cohort_n_computed(&s->cohort, seq_at(s, id)) + later) ==
               seq_at(s, id)->n_slots * s->config.block_tokens);
        TRY(state_grow(s, id, 1));
    }
    return ST_OK;
}

bool state_cohort_leads(const scheduler *s, const sequence_list *running) {
    uint32_t n_others = running->n - s->cohort.n;
    uint32_t id = running->last;
    while (n_others > 0 && !s->table.seqs[id].in_cohort) {
        id = s->table.seqs[id].prev;
        n_others--;
    }
    return n_others == 0;
}

/* First of the running sequences outside of the cohort, given that they come last. */
static uint32_t first_outside(const scheduler *s) {
    uint32_t id = NO_SEQ, n_others = s->running.n - s->cohort.n;
    for (; n_others > 0; n_others--)
        id = id == NO_SEQ ? s->running.last : s->table.seqs[id].prev;
    return id;
}

status state_run_cohort(scheduler *s, uint32_t n_max, uint32_t *n_run, uint32_t *next) {
    const cohort *c = &s->cohort;
    *n_run = 0;
    *next = s->running.first;
    if (s->config.single_file || c->n == 0 || c->n > n_max ||
        cohort_growth(c, 0)->n > kv_pool_n_free(s->device) ||
        !state_cohort_leads(s, &s->running))
        return ST_OK;
    TRY(state_grow_cohort(s, 0));
    *n_run = c->n;
    *next = first_outside(s);
    return ST_OK;
}

/* The growth of the iteration at hand has been taken already. */
uint32_t state_growth_horizon(const scheduler *s) {
    uint64_t room = (uint64_t)kv_pool_n_free(s->device) + cohort_growth(&s->cohort, 0)->n;
    uint32_t ticks = cohort_ticks_within(&s->cohort, room, s->config.horizon_max);
    return ticks > 0 ? ticks : 1;
}

static status preempt_last(scheduler *s) {
    uint32_t victim = sequence_list_pop_back(&s->running, &s->table);
    TRY(state_preempt_recompute(s, victim));
    sequence_list_push_front(&s->waiting, &s->table, victim);
    return ST_OK;
}

status state_grow_or_preempt(scheduler *s, uint32_t id, bool *survives) {
    uint32_t n_computed = cohort_n_computed(&s->cohort, seq_at(s, id));
    *survives = true;
    if (n_computed < seq_at(s, id)->n_slots * s->config.block_tokens) return ST_OK;
    while (kv_pool_n_free(s->device) == 0) {
        *survives = s->running.last != id;
        TRY(preempt_last(s));
        if (!*survives) return ST_OK;
    }
    return state_grow(s, id, 1);
}
