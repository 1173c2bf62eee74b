/* adaptive_write_back.c - copies ahead of time: full blocks of those who will probably have to
 * go next, while the link is idle, so that they go for nothing. */
#include "adaptive_state.h"

/* Below this share of free blocks, victims are prepared. */
enum { WRITE_BACK_SHARE = 8 };

static uint32_t write_back_level(const scheduler *s) {
    return s->config.n_device_blocks / WRITE_BACK_SHARE;
}

static bool writes_back(const scheduler *s) {
    return s->settings.write_back && kv_pool_n_blocks(s->host) > 0;
}

uint32_t adaptive_quiet_ticks(const scheduler *s) {
    uint32_t n_free = kv_pool_n_free(s->device), growth = cohort_growth(&s->cohort, 0)->n;
    uint32_t level = writes_back(s) ? write_back_level(s) : 0;
    if (n_free + growth <= level) return 1;
    uint32_t ticks =
        cohort_ticks_within(&s->cohort, n_free + growth - level, s->config.horizon_max);
    return ticks > 0 ? ticks : 1;
}

static uint32_t n_full_dirty(const scheduler *s, uint32_t id) {
    uint32_t n_full = n_computed_of(s, id) / s->config.block_tokens;
    uint32_t n_on_host = note_of(s, id)->n_on_host;
    return n_full > n_on_host ? n_full - n_on_host : 0;
}

/* The running sequences that have full blocks without a copy, in running order. */
static status list_dirty(scheduler *s) {
    slot_list *dirty = &adaptive_of(s)->dirty;
    dirty->n = 0;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next)
        if (s->table.seqs[id].n_kept == 0 && n_full_dirty(s, id) > 0)
            TRY(slot_list_add(dirty, id));
    return ST_OK;
}

/* Takes the least urgent one out of the list. */
static uint32_t next_to_write_back(const scheduler *s) {
    slot_list *dirty = &adaptive_of(s)->dirty;
    uint32_t worst = NO_SEQ;
    for (uint32_t i = 0; i < dirty->n; i++) {
        uint32_t id = dirty->seqs[i];
        if (worst == NO_SEQ || note_of(s, id)->rank > note_of(s, worst)->rank) worst = id;
    }
    slot_list_remove(dirty, worst);
    return worst;
}

/* As much as the link can do within one iteration, and only while it is idle. */
status adaptive_write_back(scheduler *s) {
    adaptive *t = adaptive_of(s);
    bool short_of_room =
        s->waiting.n + s->swapped.n > 0 || kv_pool_n_free(s->device) < write_back_level(s);
    if (!writes_back(s) || !short_of_room || adaptive_wait_s(s, LINK_TO_HOST) > 0) return ST_OK;
    double block_s = adaptive_copy_s(s, LINK_TO_HOST, 1);
    double n_fit = block_s > 0 ? t->iteration_s / block_s : 0;
    uint32_t n_left = n_fit < 4e9 ? (uint32_t)n_fit : UINT32_MAX;
    TRY(list_dirty(s));
    while (n_left > 0) {
        uint32_t id = next_to_write_back(s);
        if (id == NO_SEQ) return ST_OK;
        uint32_t n = n_full_dirty(s, id);
        if (n > n_left) n = n_left;
        if (n > kv_pool_n_free(s->host)) n = kv_pool_n_free(s->host);
        if (n == 0) return ST_OK;
        adaptive_note *note = note_of(s, id);
        TRY(state_copy_to_host(s, id, note->n_on_host, n, true));
        adaptive_book_copy(s, LINK_TO_HOST, n);
        note->n_on_host += n;
        t->n_copied += n;
        n_left -= n;
    }
    return ST_OK;
}
