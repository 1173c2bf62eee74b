/* adaptive_choice.c - copy or recompute: what it costs that a sequence leaves and comes back.
 */
#include "adaptive_state.h"

/* Device time that computing its tokens from n_before on would add to the batch at hand. */
static cost recompute_cost(const scheduler *s, uint32_t n_before, uint32_t n) {
    if (n == 0) return (cost){.in_range = true};
    return cost_of_added_prefill(s->config.costs, &adaptive_of(s)->batch, n_before, n);
}

/* All out and all back, queues included, against all computed again. */
static bool copies_if_cheaper(const scheduler *s, uint32_t n_computed, uint32_t n_blocks,
                              uint32_t n_dirty) {
    double swap_s =
        adaptive_wait_s(s, LINK_TO_HOST) + adaptive_copy_s(s, LINK_TO_HOST, n_dirty) +
        adaptive_wait_s(s, LINK_TO_DEVICE) + adaptive_copy_s(s, LINK_TO_DEVICE, n_blocks);
    return swap_s < recompute_cost(s, 0, n_computed).s;
}

/* Only what is not on the host yet is at stake. Copies run beside compute: what they cost the
 * device is the memory that they keep from others meanwhile. The choice changes only when the
 * interval of the recompute is clear of it. */
static bool copies_at_margin(const scheduler *s, uint32_t n_computed, uint32_t n_dirty) {
    uint32_t n_dirty_tokens = n_dirty * s->config.block_tokens;
    if (n_dirty_tokens > n_computed) n_dirty_tokens = n_computed;
    cost recompute = recompute_cost(s, n_computed - n_dirty_tokens, n_dirty_tokens);
    double out_s = adaptive_wait_s(s, LINK_TO_HOST) + adaptive_copy_s(s, LINK_TO_HOST, n_dirty);
    double in_s =
        adaptive_wait_s(s, LINK_TO_DEVICE) + adaptive_copy_s(s, LINK_TO_DEVICE, n_dirty);
    double swap_s = (out_s + in_s) * n_dirty / s->config.n_device_blocks;
    if (swap_s < recompute.low_s) return true;
    if (swap_s > recompute.high_s) return false;
    return adaptive_of(s)->last_copied;
}

/* InferCept: what is wasted is memory times time. Copies within the budget of the iteration at
 * hand hide behind it; others hold up the whole batch. */
static bool copies_by_min_waste(const scheduler *s, uint32_t n_computed, uint32_t n_blocks) {
    const adaptive *t = adaptive_of(s);
    double out_s = adaptive_copy_s(s, LINK_TO_HOST, n_blocks);
    double in_s = adaptive_copy_s(s, LINK_TO_DEVICE, n_blocks);
    if (adaptive_wait_s(s, LINK_TO_HOST) + out_s <= t->iteration_s) return true;
    double n_batch = (double)s->cohort.kv_tokens;
    double discard = cost_of_lone_prefill(s->config.costs, 0, n_computed).s * n_batch;
    return (out_s + in_s) * n_batch < discard;
}

/* KV of a running sequence, and what of it has no copy on the host. */
typedef struct kv_extent {
    uint32_t n_tokens, n_blocks, n_dirty_tokens, n_dirty; /* n_dirty: blocks */
} kv_extent;

static kv_extent extent_of(const scheduler *s, uint32_t id) {
    kv_extent x = {.n_tokens = n_computed_of(s, id)};
    uint32_t n_clean = note_of(s, id)->n_on_host;
    uint32_t n_clean_tokens = n_clean * s->config.block_tokens;
    x.n_blocks = blocks_for(s, x.n_tokens);
    x.n_dirty = x.n_blocks > n_clean ? x.n_blocks - n_clean : 0;
    x.n_dirty_tokens = x.n_tokens > n_clean_tokens ? x.n_tokens - n_clean_tokens : 0;
    return x;
}

bool adaptive_leaves_by_copy(const scheduler *s, uint32_t id) {
    kv_extent x = extent_of(s, id);
    if (x.n_tokens == 0) return false;
    switch (s->settings.mechanism) {
    case MECHANISM_SWAP:
        return true;
    case MECHANISM_CHEAPER:
        return copies_if_cheaper(s, x.n_tokens, x.n_blocks, x.n_dirty);
    case MECHANISM_MARGINAL:
        return copies_at_margin(s, x.n_tokens, x.n_dirty);
    case MECHANISM_MIN_WASTE:
        return copies_by_min_waste(s, x.n_tokens, x.n_blocks);
    default:
        return false;
    }
}

uint32_t adaptive_n_host_room(const scheduler *s) {
    return kv_pool_n_free(s->host) + adaptive_of(s)->n_copied;
}

/* Device time of leaving and coming back, given the room on the host. */
double adaptive_leave_s(const scheduler *s, uint32_t id, uint32_t n_host_room) {
    kv_extent x = extent_of(s, id);
    uint32_t mechanism = s->settings.mechanism;
    if (mechanism == MECHANISM_FREE || !s->config.costs) return 0;
    if (mechanism == MECHANISM_RECOMPUTE || n_host_room < x.n_blocks)
        return recompute_cost(s, x.n_tokens - x.n_dirty_tokens, x.n_dirty_tokens).s;
    double copy_s = adaptive_copy_s(s, LINK_TO_HOST, x.n_dirty) +
                    adaptive_copy_s(s, LINK_TO_DEVICE, x.n_blocks);
    return copy_s * x.n_blocks / s->config.n_device_blocks;
}
