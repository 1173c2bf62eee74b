#include "offload.h"

#include <assert.h>
#include <stdlib.h>

status offload_create(scheduler *s) {
    if (s->config.n_host_blocks == 0) return ST_OK;
    s->offload = calloc(1, sizeof(*s->offload));
    if (!s->offload) return ST_NO_MEMORY;
    s->offload->arriving = calloc(s->config.n_host_blocks, sizeof(*s->offload->arriving));
    s->offload->departing = calloc(s->config.n_host_blocks, sizeof(*s->offload->departing));
    return s->offload->arriving && s->offload->departing ? ST_OK : ST_NO_MEMORY;
}

void offload_destroy(offload *o) {
    if (!o) return;
    free(o->arriving);
    free(o->departing);
    free(o->jobs);
    free(o->pairs);
    free(o);
}

/* Room for n more pairs behind those of the jobs. */
static status reserve_pairs(offload *o, uint32_t n) {
    if (o->n_pairs + n <= o->pairs_capacity) return ST_OK;
    uint32_t capacity = 2 * (o->n_pairs + n);
    block_pair *pairs = realloc(o->pairs, capacity * sizeof(*pairs));
    if (!pairs) return ST_NO_MEMORY;
    o->pairs = pairs;
    o->pairs_capacity = capacity;
    return ST_OK;
}

static status reserve_job(offload *o) {
    if (o->n_jobs < o->jobs_capacity) return ST_OK;
    uint32_t capacity = 2 * o->n_jobs + 16;
    store_job *jobs = realloc(o->jobs, capacity * sizeof(*jobs));
    if (!jobs) return ST_NO_MEMORY;
    o->jobs = jobs;
    o->jobs_capacity = capacity;
    return ST_OK;
}

/* The host block of a sequence's block number i, or KV_NO_BLOCK. */
static uint32_t find_on_host(const scheduler *s, const sequence *q, uint32_t i) {
    return kv_pool_find(s->host, state_block_key(s, q, i));
}

/* The first n blocks of a sequence were used. The last goes first, so that of one sequence the
 * end is reused before the beginning, without which it cannot be found. */
static void touch(scheduler *s, const sequence *q, uint32_t n) {
    for (uint32_t i = n; i-- > 0;) {
        uint32_t host = find_on_host(s, q, i);
        if (host == KV_NO_BLOCK || kv_pool_holders(s->host, host) > 0) continue;
        kv_pool_retain(s->host, host);
        kv_pool_release(s->host, host);
    }
}

/* The slot's sequence, unless it has ended since. */
static uint32_t sequence_of(const scheduler *s, const store_job *job) {
    const sequence *q = &s->table.seqs[job->seq];
    bool is_there = q->state != SEQ_UNUSED && q->req.id == job->request_id;
    return is_there ? job->seq : NO_SEQ;
}

status offload_submit(scheduler *s) {
    offload *o = s->offload;
    if (!o) return ST_OK;
    const block_pair *pairs = o->pairs;
    for (uint32_t i = 0; i < o->n_jobs; i++) {
        uint32_t n = o->jobs[i].n_pairs;
        TRY(state_copy_async(s, sequence_of(s, &o->jobs[i]), LINK_TO_HOST, pairs, n));
        pairs += n;
    }
    for (uint32_t i = 0; i < o->n_pairs; i++) { /* the copies hold them now */
        kv_pool_release(s->device, o->pairs[i].device);
        kv_pool_release(s->host, o->pairs[i].host);
    }
    o->n_jobs = o->n_pairs = 0;
    return ST_OK;
}

/* All of these new blocks can be taken, and none that is on the host already is lost for them.
 */
static bool host_has_room(const scheduler *s, const sequence *q, uint32_t n_full,
                          uint32_t *n_new) {
    uint32_t n_needed = 0;
    *n_new = 0;
    for (uint32_t i = q->n_stored; i < n_full; i++) {
        uint32_t host = find_on_host(s, q, i);
        *n_new += host == KV_NO_BLOCK;
        n_needed += host == KV_NO_BLOCK || kv_pool_holders(s->host, host) == 0;
        if (n_needed > kv_pool_n_free(s->host)) return false;
    }
    return true;
}

/* Takes a host block for one block of a sequence and holds both until the copy starts. */
static void take_pair(scheduler *s, const sequence *q, uint32_t i) {
    offload *o = s->offload;
    uint32_t host = kv_pool_take(s->host);
    assert(host != KV_NO_BLOCK);
    kv_pool_set_key(s->host, host, state_block_key(s, q, i));
    o->arriving[host] = true;
    kv_pool_retain(s->device, q->slots[i].device);
    o->pairs[o->n_pairs++] = (block_pair){q->slots[i].device, host};
}

/* Blocks [n_stored, n_full) of a sequence go to the host, all that are not there, or none. */
static status note_sequence(scheduler *s, uint32_t id, uint32_t n_full) {
    offload *o = s->offload;
    sequence *q = seq_at(s, id);
    uint32_t first = q->n_stored, n_new, before = o->n_pairs;
    if (!host_has_room(s, q, n_full, &n_new)) return ST_OK;
    TRY(reserve_pairs(o, n_full - first));
    TRY(reserve_job(o));
    q->n_stored = n_full;
    if (n_new == 0) return ST_OK;
    touch(s, q, n_full);
    for (uint32_t i = first; i < n_full; i++)
        if (find_on_host(s, q, i) == KV_NO_BLOCK) take_pair(s, q, i);
    o->jobs[o->n_jobs++] = (store_job){id, q->req.id, o->n_pairs - before};
    return ST_OK;
}

status offload_note(scheduler *s) {
    if (!s->offload) return ST_OK;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next) {
        const sequence *q = seq_at(s, id);
        uint32_t n = q->in_cohort ? 1 : q->n_planned;
        uint32_t n_full = (cohort_n_computed(&s->cohort, q) + n) / s->config.block_tokens;
        if (n > 0 && n_full > q->n_stored) TRY(note_sequence(s, id, n_full));
    }
    return ST_OK;
}

uint32_t offload_find(scheduler *s, bool *later, const sequence *q, uint32_t n_cached) {
    *later = false;
    if (!s->offload) return 0;
    uint32_t n = n_cached, n_max = sequence_len(q) / s->config.block_tokens;
    touch(s, q, n_max);
    for (; n < n_max; n++) {
        uint32_t host = find_on_host(s, q, n);
        if (host == KV_NO_BLOCK || s->offload->arriving[host]) break;
        *later = *later || s->offload->departing[host];
    }
    return n - n_cached;
}

status offload_load(scheduler *s, uint32_t id, uint32_t n) {
    offload *o = s->offload;
    uint32_t first = seq_at(s, id)->n_slots;
    TRY(reserve_pairs(o, n));
    TRY(state_grow(s, id, n));
    sequence *q = seq_at(s, id);
    q->state = SEQ_LOADING;
    block_pair *pairs = o->pairs + o->n_pairs; /* free until the next job */
    for (uint32_t i = 0; i < n; i++) {
        pairs[i] = (block_pair){q->slots[first + i].device, find_on_host(s, q, first + i)};
        o->departing[pairs[i].host] = true;
    }
    return state_copy_async(s, id, LINK_TO_DEVICE, pairs, n);
}

/* All blocks of a loading sequence are there. One token at least is left to be computed, so
 * that the next one comes out. */
static void arrive(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    assert(q->state == SEQ_LOADING);
    uint32_t bt = s->config.block_tokens, before = q->n_computed, len = sequence_len(q);
    q->n_computed = q->n_slots * bt < len ? q->n_slots * bt : len - 1;
    q->state = SEQ_STARTED;
    q->n_stored = q->n_slots;
    s->n_hit_tokens += q->n_computed - before;
    state_name_blocks(s, id, before / bt, q->n_computed);
}

void offload_copied(scheduler *s, const flying_copy *f) {
    if (!s->offload) return;
    bool *moving = f->direction == LINK_TO_HOST ? s->offload->arriving : s->offload->departing;
    for (uint32_t i = 0; i < f->n_pairs; i++) moving[f->pairs[i].host] = false;
    if (f->direction == LINK_TO_DEVICE) arrive(s, f->seq);
}

/* The last waiting sequence that has loaded, but not this one, starts from nothing again. Its
 * blocks can be found on both sides until they are taken. */
static bool give_back(scheduler *s, uint32_t but) {
    uint32_t id = s->waiting.last;
    while (id != NO_SEQ && (id == but || seq_at(s, id)->state != SEQ_STARTED))
        id = seq_at(s, id)->prev;
    if (id == NO_SEQ) return false;
    sequence *q = seq_at(s, id);
    state_name_own_blocks(s, id);
    state_release(s, id);
    q->state = SEQ_WAITING;
    q->n_computed = q->n_stored = 0;
    return true;
}

/* Device blocks that nothing but copies to the host holds. */
static uint32_t n_leaving(const scheduler *s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_flying; i++) {
        const flying_copy *f = &s->flying[i];
        for (uint32_t j = 0; j < f->n_pairs && f->direction == LINK_TO_HOST; j++)
            n += kv_pool_holders(s->device, f->pairs[j].device) == 1;
    }
    return n;
}

offload_room offload_find_room(scheduler *s, uint32_t n) {
    if (!s->offload) return ROOM_NONE;
    if (kv_pool_n_free(s->device) + n_leaving(s) >= n) return ROOM_LATER;
    if (s->running.n > 1) return ROOM_NONE;
    if (give_back(s, NO_SEQ)) return ROOM_NOW;
    return s->n_flying > 0 ? ROOM_LATER : ROOM_NONE;
}

bool offload_make_room(scheduler *s, uint32_t id) {
    if (!s->offload || s->running.n > 0 || s->n_flying > 0) return false;
    return give_back(s, id);
}

/* A block that is taken may be one that the first waiting sequence would start from, which then
 * loads and needs fewer; one that is full is noted. */
uint32_t offload_horizon(const scheduler *s, uint32_t n) {
    if (!s->offload) return n;
    if (s->n_flying > 0 || s->offload->n_jobs > 0) return 1;
    for (uint32_t later = 1; later < n; later++)
        if (cohort_growth(&s->cohort, later)->n > 0 ||
            cohort_growth(&s->cohort, (uint64_t)later + 1)->n > 0)
            return later;
    return n;
}
