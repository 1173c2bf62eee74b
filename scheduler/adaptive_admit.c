/* adaptive_admit.c - who is let in.
 *
 * Admissions take turns: a share `fairness` of them goes to the most urgent by rank, the
 * others, at least one of ADMISSIONS_PER_OLDEST, to the oldest outside, which then stays inside
 * as long as memory allows. So a request with m older ones outside is let in after at most
 * ADMISSIONS_PER_OLDEST * (m + p + 1) admissions, whatever arrives meanwhile; p counts how
 * often an older one was paused since, as that comes before it again. For a paused one itself
 * this holds from when its copies have ended. */
#include "adaptive_state.h"

enum { ADMISSIONS_PER_OLDEST = 64 };

/* Iterations between two estimates of the reserve. */
enum { RESERVE_LIFE = 8 };

static bool oldest_has_its_turn(const scheduler *s) {
    const adaptive *t = adaptive_of(s);
    double share = 1 - s->settings.fairness;
    if (share < 1.0 / ADMISSIONS_PER_OLDEST) share = 1.0 / ADMISSIONS_PER_OLDEST;
    return (double)t->n_by_age < (double)t->n_admitted * share;
}

/* Host blocks that must be left for those inside before somebody new comes in. */
static uint32_t host_reserve(const scheduler *s) {
    uint32_t n_device = s->config.n_device_blocks, half = s->config.n_host_blocks / 2;
    return n_device <= half ? n_device : half + 1;
}

/* Blocks that those inside will want within the next min_service tokens, less what those of
 * them that will have ended by then give back. */
static uint32_t expected_growth(const scheduler *s) {
    const adaptive *t = adaptive_of(s);
    uint32_t n_more = s->settings.min_service;
    double n = 0;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next) {
        const sequence *q = &s->table.seqs[id];
        double ends = length_estimate_ends_within(t->lengths, q->req.n_prompt,
                                                  n_output_of(s, id), n_more);
        n += (1 - ends) * n_more / s->config.block_tokens - ends * q->n_slots;
    }
    double n_max = s->config.n_device_blocks;
    return n > 0 ? (uint32_t)(n < n_max ? n : n_max) : 0;
}

/* Blocks that are kept free when somebody comes in. While the host has room, pausing loses no
 * work, and the device is better filled. */
static uint32_t reserve(scheduler *s) {
    adaptive *t = adaptive_of(s);
    if (s->running.n == 0) return 0;
    if (s->settings.reserve && t->reserve_age++ % RESERVE_LIFE == 0)
        t->reserve = adaptive_n_host_room(s) < host_reserve(s) ? expected_growth(s) : 0;
    return t->reserve > s->watermark_blocks ? t->reserve : s->watermark_blocks;
}

static bool has_seat(const scheduler *s) {
    return s->running.n < s->config.max_seqs && s->running.n < s->config.max_batched_tokens;
}

/* The least urgent of those inside that may be asked to leave for the sake of order. */
static uint32_t least_urgent_inside(const scheduler *s) {
    uint32_t worst = NO_SEQ;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next) {
        const adaptive_note *note = note_of(s, id);
        if (note->senior || s->table.seqs[id].n_kept > 0 || adaptive_is_fresh(s, id)) continue;
        if (worst == NO_SEQ || note->rank > note_of(s, worst)->rank) worst = id;
    }
    return worst;
}

/* Pauses someone who is clearly less urgent; *done is false when there is nobody. */
static status displace(scheduler *s, uint32_t id, bool *done) {
    *done = false;
    if (!s->order->preempts) return ST_OK;
    uint32_t worst = least_urgent_inside(s);
    if (worst == NO_SEQ) return ST_OK;
    double limit = note_of(s, worst)->rank / (1 + s->settings.hysteresis);
    if (note_of(s, id)->rank >= limit) return ST_OK;
    bool keeps = s->settings.mechanism == MECHANISM_FREE ||
                 adaptive_n_host_room(s) >= blocks_for(s, n_computed_of(s, worst));
    if (s->settings.mechanism != MECHANISM_RECOMPUTE && !keeps) return ST_OK;
    double extra = adaptive_leave_s(s, worst, adaptive_n_host_room(s)) / adaptive_of(s)->slot_s;
    if (s->order->rank(s, id, extra) >= limit) return ST_OK;
    *done = true;
    return adaptive_pause(s, worst);
}

/* Room for a sequence outside: free blocks, those of paused ones, those of less urgent ones. */
static status make_room(scheduler *s, uint32_t id, bool by_age, bool *done) {
    for (;;) {
        uint32_t n = adaptive_n_lacking(s, id), n_free = kv_pool_n_free(s->device);
        bool seat = has_seat(s);
        uint32_t want = n + reserve(s);
        *done = seat && n_free >= want;
        if (*done) return ST_OK;
        if (seat && n_free + adaptive_n_departing(s) >= want) return ST_OK;
        if (seat && n_free + adaptive_n_resident(s, id) >= want) {
            TRY(adaptive_reclaim(s, want - n_free, id));
            continue;
        }
        bool displaced = false;
        if (!by_age) TRY(displace(s, id, &displaced));
        if (!displaced) return ST_OK;
    }
}

static status let_in(scheduler *s, uint32_t id, bool by_age) {
    adaptive *t = adaptive_of(s);
    adaptive_leave_outside(s, id);
    TRY(adaptive_restore(s, id));
    t->n_admitted++;
    t->n_by_age += by_age;
    note_of(s, id)->senior = by_age;
    adaptive_charge_prompt(s, id);
    return adaptive_run_chunk(s, id);
}

/* The most urgent outside. When those inside could not all be paused any more without losing
 * work, it is one of the paused. */
static uint32_t most_urgent_outside(const scheduler *s) {
    const adaptive *t = adaptive_of(s);
    uint32_t fresh = rank_heap_first(&t->fresh), paused = rank_heap_first(&t->paused);
    if (fresh == NO_SEQ || paused == NO_SEQ) return fresh == NO_SEQ ? paused : fresh;
    bool urgent = note_of(s, fresh)->rank < note_of(s, paused)->rank;
    if (!urgent || !s->order->preempts || s->settings.mechanism == MECHANISM_FREE)
        return urgent ? fresh : paused;
    return adaptive_n_host_room(s) >= host_reserve(s) ? fresh : paused;
}

status adaptive_admit(scheduler *s) {
    adaptive *t = adaptive_of(s);
    while (t->n_budget > 0 && t->by_age.n > 0) {
        bool by_age = oldest_has_its_turn(s), done;
        uint32_t id = by_age ? rank_heap_first(&t->by_age) : most_urgent_outside(s);
        TRY(make_room(s, id, by_age, &done));
        if (!done) return ST_OK;
        TRY(let_in(s, id, by_age));
    }
    return ST_OK;
}
