/* prefix_cache.c - content keys of blocks, and who starts from blocks that have them: the part
 * of scheduler_state.h that caches prefixes. */
#include "rng.h"
#include "scheduler_state.h"

enum { STREAM_PREFIX = 1, STREAM_OWN = 2 }; /* of content keys */

/* The id that names the prompt up to the end of a block; 0 when the block is the request's own.
 */
static uint64_t shared_prefix_id(const scheduler *s, const sequence *q, uint32_t index) {
    uint32_t last_token = (index + 1) * s->config.block_tokens - 1;
    if (!s->settings.prefix_cache) return 0; /* the ids are there for the executor */
    if (q->req.n_prefix_ids == 0 || last_token >= q->req.n_prompt) return 0;
    uint32_t piece = last_token / q->req.prefix_tokens;
    return piece < q->req.n_prefix_ids ? q->req.prefix_ids[piece] + 1 : 0;
}

uint64_t state_block_key(const scheduler *s, const sequence *q, uint32_t index) {
    uint64_t prefix = shared_prefix_id(s, q, index);
    uint64_t key = prefix ? rng_bits(prefix, STREAM_PREFIX, index)
                          : rng_bits(q->req.id, STREAM_OWN, index);
    return key == KV_NO_KEY ? 1 : key;
}

/* Only the request itself can look for its own blocks, and only after a preemption: until then
 * they are just kept from being reused first. */
void state_name_blocks(scheduler *s, uint32_t id, uint32_t first, uint32_t n_tokens) {
    sequence *q = seq_at(s, id);
    if (!s->settings.prefix_cache || (s->shares_only && q->req.n_prefix_ids == 0)) return;
    for (uint32_t i = first; i < n_tokens / s->config.block_tokens; i++) {
        uint32_t block = q->slots[i].device;
        if (shared_prefix_id(s, q, i) == 0) {
            if (s->shares_only) return;
            kv_pool_set_whole(s->device, block);
        } else if (kv_pool_key(s->device, block) == KV_NO_KEY) {
            kv_pool_set_key(s->device, block, state_block_key(s, q, i));
        }
    }
}

void state_name_own_blocks(scheduler *s, uint32_t id) {
    const sequence *q = seq_at(s, id);
    for (uint32_t i = 0; i < q->n_slots; i++) {
        uint32_t block = q->slots[i].device;
        if (kv_pool_is_whole(s->device, block) && shared_prefix_id(s, q, i) == 0 &&
            kv_pool_key(s->device, block) == KV_NO_KEY)
            kv_pool_set_key(s->device, block, state_block_key(s, q, i));
    }
}

void state_name_cohort(scheduler *s, uint32_t later) {
    if (!s->settings.prefix_cache || s->shares_only) return;
    uint32_t id = cohort_growth(&s->cohort, (uint64_t)later + 1)->first;
    for (; id != NO_SEQ; id = seq_at(s, id)->phase_next) {
        uint32_t n = cohort_n_computed(&s->cohort, seq_at(s, id)) + later + 1;
        state_name_blocks(s, id, n / s->config.block_tokens - 1, n);
    }
}

uint32_t state_find_cached(const scheduler *s, const sequence *q, uint32_t *n_free) {
    *n_free = 0;
    if (!s->settings.prefix_cache || (s->shares_only && q->req.n_prefix_ids == 0)) return 0;
    uint32_t n = 0, n_max = (sequence_len(q) - 1) / s->config.block_tokens;
    for (; n < n_max; n++) {
        uint32_t block = kv_pool_find(s->device, state_block_key(s, q, n));
        if (block == KV_NO_BLOCK) break;
        *n_free += kv_pool_holders(s->device, block) == 0;
    }
    return n;
}

status state_take_cached(scheduler *s, uint32_t id, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        sequence *q = seq_at(s, id);
        uint32_t block = kv_pool_find(s->device, state_block_key(s, q, i));
        TRY(sequence_push_slot(q, (kv_slot){block, KV_NO_BLOCK}));
        kv_pool_retain(s->device, block);
    }
    seq_at(s, id)->n_computed = n * s->config.block_tokens;
    s->n_hit_tokens += (uint64_t)n * s->config.block_tokens;
    return ST_OK;
}
