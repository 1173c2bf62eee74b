/* adaptive_restore.c - how a paused sequence comes back.
 *
 *     blocks [0, n_device)                     are still there
 *            [n_device, n_device + n_front)    are computed again
 *            [n_device + n_front, n_slots)     stream in from the host meanwhile
 *
 * What lies behind the kept KV is computed after that, with the newest token. One without any
 * KV starts from the prefix that it shares, if the cache has it; who leaves, and how, is chosen
 * as if nobody shared. */
#include "adaptive_state.h"

/* Cached blocks that a sequence without any KV starts from; so many of them free blocks. */
static uint32_t find_cached(const scheduler *s, const sequence *q, uint32_t *n_free) {
    *n_free = 0;
    bool has_none = q->state == SEQ_WAITING && q->n_slots == 0 && q->n_kept == 0;
    return has_none ? state_find_cached(s, q, n_free) : 0;
}

uint32_t adaptive_n_lacking(const scheduler *s, uint32_t id) {
    const sequence *q = &s->table.seqs[id];
    uint32_t n_free_hits, n_hits = find_cached(s, q, &n_free_hits);
    return blocks_for(s, sequence_len(q)) - n_on_device(q) - n_hits + n_free_hits;
}

/* Fronts that are compared: so many parts of what lacks. */
enum { N_PARTS = 8 };

/* Device time of a restore: what computing the front adds to the batch at hand, and the memory
 * that the sequence holds without running until the rest has come. */
static double restore_s(const scheduler *s, uint32_t n_device, uint32_t n_front,
                        uint32_t n_slots, uint32_t n_computed) {
    const adaptive *t = adaptive_of(s);
    uint32_t bt = s->config.block_tokens, n_stream = n_slots - n_device - n_front;
    uint32_t end =
        (n_device + n_front) * bt < n_computed ? (n_device + n_front) * bt : n_computed;
    double compute_s = 0, wait_s = n_front > 0 ? t->iteration_s : 0;
    if (n_front > 0)
        compute_s = cost_of_added_prefill(s->config.costs, &t->batch, n_device * bt,
                                          end - n_device * bt)
                        .s;
    double stream_s = n_stream ? adaptive_wait_s(s, LINK_TO_DEVICE) +
                                     adaptive_copy_s(s, LINK_TO_DEVICE, n_stream)
                               : 0;
    if (wait_s < stream_s) wait_s = stream_s;
    return compute_s + wait_s * n_slots / s->config.n_device_blocks;
}

/* Blocks to compute again, of those that are not on the device. */
static uint32_t choose_front(const scheduler *s, const sequence *q, uint32_t n_device) {
    uint32_t n_lacking = q->n_slots - n_device, best = 0;
    if (s->settings.mechanism != MECHANISM_MARGINAL) return 0;
    double best_s = restore_s(s, n_device, 0, q->n_slots, q->n_computed);
    for (uint32_t part = s->settings.split ? 1 : N_PARTS; part <= N_PARTS; part++) {
        uint32_t n_front = (uint32_t)((uint64_t)n_lacking * part / N_PARTS);
        double candidate_s = restore_s(s, n_device, n_front, q->n_slots, q->n_computed);
        if (candidate_s >= best_s) continue;
        best_s = candidate_s;
        best = n_front;
    }
    return best;
}

/* A block that is going to be written to again must not keep its old copy. */
static void forget_partial_copy(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    adaptive_note *note = note_of(s, id);
    uint32_t n_full = q->n_kept / s->config.block_tokens;
    for (uint32_t i = n_full; i < q->n_slots; i++) {
        if (q->slots[i].host == KV_NO_BLOCK) continue;
        kv_pool_release(s->host, q->slots[i].host);
        q->slots[i].host = KV_NO_BLOCK;
    }
    if (note->n_on_host > n_full) note->n_on_host = n_full;
}

static status bring_back(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    uint32_t bt = s->config.block_tokens, n_device = n_on_device(q);
    uint32_t n_front = n_device < q->n_slots ? choose_front(s, q, n_device) : 0;
    if (n_front > 0 && n_front == q->n_slots - n_device) { /* no use for the copies */
        state_drop_behind(s, id, n_device * bt);
        if (note_of(s, id)->n_on_host > n_device) note_of(s, id)->n_on_host = n_device;
        n_front = 0;
    }
    uint32_t n_stream = q->n_slots - n_device - n_front;
    q->n_kept = q->n_computed;
    if (n_stream > 0) {
        state_take_device(s, id, n_device, n_front);
        TRY(state_copy_to_device(s, id, n_device + n_front, n_stream));
        adaptive_book_copy(s, LINK_TO_DEVICE, n_stream);
        q->n_front = (n_device + n_front) * bt;
        q->n_computed = n_device * bt;
    } else {
        q->n_front = q->n_computed;
    }
    forget_partial_copy(s, id);
    return ST_OK;
}

status adaptive_restore(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    sequence *q = seq_at(s, id);
    adaptive_note *note = note_of(s, id);
    uint32_t n_free_hits, n_hits = find_cached(s, q, &n_free_hits);
    if (q->state == SEQ_SWAPPED) TRY(bring_back(s, id));
    if (n_hits > 0) TRY(state_take_cached(s, id, n_hits));
    TRY(state_grow(s, id, blocks_for(s, sequence_len(q)) - seq_at(s, id)->n_slots));
    state_run(s, id);
    t->n_copied += note->n_on_host;
    note->inside_ns = t->clock_ns;
    note->n_output_then = seq_at(s, id)->n_output;
    adaptive_end_restore(s, id);
    return ST_OK;
}

void adaptive_end_restore(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    if (q->n_arriving > 0 || q->n_computed < q->n_front) return;
    if (q->n_kept > q->n_computed) q->n_computed = q->n_kept;
    q->n_kept = q->n_front = 0;
}
