/* check.c - every invariant of the scheduler in one place, for tests. */
#include <stdlib.h>

#include "adaptive.h"
#include "adaptive_state.h"
#include "offload.h"

/* Holders that each block should have, counted from the tables, copies and named holders; and
 * copies on their way. */
typedef struct tally {
    uint32_t *device, *host;                   /* [n_device_blocks], [n_host_blocks] */
    uint32_t *device_arrivals, *host_arrivals; /* the same */
    uint32_t *host_departures;                 /* and out of it */
} tally;

static bool is_on_device(const sequence *q) {
    return q->state == SEQ_RUNNING || q->state == SEQ_STARTED || q->state == SEQ_LOADING;
}

static status count_sequence(const scheduler *s, tally *t, const sequence *q, errbuf *err) {
    for (uint32_t i = 0; i < q->n_slots; i++) {
        kv_slot slot = q->slots[i];
        if (slot.device != KV_NO_BLOCK) t->device[slot.device]++;
        if (slot.host != KV_NO_BLOCK) t->host[slot.host]++;
    }
    unsigned long long id = (unsigned long long)q->req.id;
    uint32_t n_computed = cohort_n_computed(&s->cohort, q);
    uint32_t n_output = cohort_n_output(&s->cohort, q);
    if (q->in_cohort && n_computed + 1 != q->req.n_prompt + n_output)
        return fail(err, ST_INVALID, "request %llu decodes with %u of %u tokens computed", id,
                    n_computed, q->req.n_prompt + n_output);
    if (n_output > q->n_output_max)
        return fail(err, ST_INVALID, "request %llu has %u outputs of at most %u", id, n_output,
                    q->n_output_max);
    if (q->state == SEQ_WAITING && (q->n_slots != 0 || n_computed != 0))
        return fail(err, ST_INVALID, "request %llu waits but holds %u blocks", id, q->n_slots);
    if (is_on_device(q) && n_computed > q->n_slots * s->config.block_tokens)
        return fail(err, ST_INVALID, "request %llu has %u tokens computed in %u blocks", id,
                    n_computed, q->n_slots);
    for (uint32_t i = 0; i < q->n_slots; i++) {
        if (is_on_device(q) && q->slots[i].device == KV_NO_BLOCK)
            return fail(err, ST_INVALID, "request %llu runs without its block %u", id, i);
        if (q->state == SEQ_SWAPPED && q->slots[i].host == KV_NO_BLOCK &&
            q->slots[i].device == KV_NO_BLOCK)
            return fail(err, ST_INVALID, "request %llu lost its block %u", id, i);
    }
    return ST_OK;
}

static void count_copy(tally *t, link_direction direction, const block_pair *pairs,
                       uint32_t n_pairs) {
    for (uint32_t i = 0; i < n_pairs; i++) {
        t->device[pairs[i].device]++;
        t->host[pairs[i].host]++;
        if (direction == LINK_TO_HOST) {
            t->host_arrivals[pairs[i].host]++;
        } else {
            t->device_arrivals[pairs[i].device]++;
            t->host_departures[pairs[i].host]++;
        }
    }
}

static void count_others(const scheduler *s, tally *t) {
    if (s->null_block != KV_NO_BLOCK) t->device[s->null_block]++;
    for (uint32_t i = 0; i < s->n_leaked; i++) t->host[s->leaked[i]]++;
    for (uint32_t i = 0; i < s->n_flying; i++)
        count_copy(t, s->flying[i].direction, s->flying[i].pairs, s->flying[i].n_pairs);
    if (s->offload) count_copy(t, LINK_TO_HOST, s->offload->pairs, s->offload->n_pairs);
}

/* What a sequence computes on is there; what it loads is on its way, into blocks of its own. */
static status check_arrivals(const scheduler *s, const tally *t, const sequence *q,
                             errbuf *err) {
    unsigned long long id = (unsigned long long)q->req.id;
    uint32_t n_computed = cohort_n_computed(&s->cohort, q);
    bool loads = q->state == SEQ_LOADING;
    bool restores = q->n_kept > 0; /* behind the front KV may be on its way */
    uint32_t bt = s->config.block_tokens;
    uint32_t first = loads      ? n_computed / bt
                     : restores ? (q->n_front + bt - 1) / bt
                                : q->n_slots;
    for (uint32_t i = 0; i < q->n_slots; i++) {
        uint32_t block = q->slots[i].device;
        if (block == KV_NO_BLOCK) continue;
        if (i < first && t->device_arrivals[block] > 0)
            return fail(err, ST_INVALID, "request %llu has block %u, still being copied", id,
                        i);
        if (loads && i >= first && (t->device_arrivals[block] != 1 || t->device[block] != 2))
            return fail(err, ST_INVALID, "request %llu loads block %u, nobody copies it", id,
                        i);
    }
    if (loads && (q->n_slots == first || q->n_planned > 0))
        return fail(err, ST_INVALID, "request %llu loads nothing, or computes", id);
    return ST_OK;
}

/* Copies read what is there, and the offload knows what is not. */
static status check_offload(const scheduler *s, const tally *t, errbuf *err) {
    for (uint32_t i = 0; i < s->config.n_host_blocks; i++) {
        if (t->host_arrivals[i] > 1 || s->offload->arriving[i] != (t->host_arrivals[i] == 1))
            return fail(err, ST_INVALID, "host block %u: %u copies into it, known as %s", i,
                        t->host_arrivals[i], s->offload->arriving[i] ? "on its way" : "there");
        if (s->offload->departing[i] != (t->host_departures[i] > 0) ||
            t->host_departures[i] > 1)
            return fail(err, ST_INVALID, "host block %u: %u copies out of it, known as %s", i,
                        t->host_departures[i], s->offload->departing[i] ? "read" : "at rest");
        if (t->host_arrivals[i] && kv_pool_key(s->host, i) == KV_NO_KEY)
            return fail(err, ST_INVALID, "host block %u is stored without a key", i);
    }
    for (uint32_t i = 0; i < s->n_flying; i++) {
        const flying_copy *f = &s->flying[i];
        for (uint32_t j = 0; j < f->n_pairs; j++) {
            bool to_host = f->direction == LINK_TO_HOST;
            if (to_host ? t->device_arrivals[f->pairs[j].device]
                        : t->host_arrivals[f->pairs[j].host])
                return fail(err, ST_INVALID, "copy %llu reads what has not come",
                            (unsigned long long)f->id);
        }
    }
    return ST_OK;
}

static status compare_pool(const kv_pool *p, const uint32_t *holders, const char *name,
                           errbuf *err) {
    if (!kv_pool_check(p)) return fail(err, ST_INVALID, "the %s pool is inconsistent", name);
    for (uint32_t i = 0; i < kv_pool_n_blocks(p); i++)
        if (kv_pool_holders(p, i) != holders[i])
            return fail(err, ST_INVALID, "%s block %u has %u holders, %u are known", name, i,
                        kv_pool_holders(p, i), holders[i]);
    return ST_OK;
}

/* A waiting sequence may hold blocks: the first that has started, and behind an offload any. */
static bool may_wait(const scheduler *s, uint32_t id) {
    const sequence *q = &s->table.seqs[id];
    if (q->state == SEQ_STARTED) return id == s->waiting.first || s->offload;
    return q->state == SEQ_LOADING && s->offload;
}

/* The list is linked both ways, counts right, and holds sequences of this state only, or such
 * as may wait. */
static status check_list(const scheduler *s, const sequence_list *l, sequence_state state,
                         const char *name, errbuf *err) {
    uint32_t n = 0, prev = NO_SEQ;
    for (uint32_t id = l->first; id != NO_SEQ && n <= l->n; id = s->table.seqs[id].next) {
        const sequence *q = &s->table.seqs[id];
        bool fits = q->state == state || (l == &s->waiting && may_wait(s, id));
        if (!fits || q->prev != prev)
            return fail(err, ST_INVALID, "request %llu is wrong in the %s queue",
                        (unsigned long long)q->req.id, name);
        prev = id;
        n++;
    }
    if (n != l->n || prev != l->last)
        return fail(err, ST_INVALID, "the %s queue counts %u but links %u", name, l->n, n);
    return ST_OK;
}

/* The n members sit in the bucket of their phase, in running order. */
static status check_growth(const scheduler *s, uint32_t n, errbuf *err) {
    uint32_t n_in_buckets = 0;
    for (uint32_t phase = 0; phase < s->config.block_tokens; phase++) {
        const cohort_bucket *b = cohort_growth(&s->cohort, phase);
        n_in_buckets += b->n;
        int64_t no = INT64_MIN;
        for (uint32_t id = b->first; id != NO_SEQ; id = s->table.seqs[id].phase_next) {
            const sequence *q = &s->table.seqs[id];
            uint32_t n_computed = cohort_n_computed(&s->cohort, q);
            if ((n_computed + phase) % s->config.block_tokens || q->running_no <= no)
                return fail(err, ST_INVALID, "request %llu is at a wrong place to grow",
                            (unsigned long long)q->req.id);
            no = q->running_no;
        }
    }
    return n_in_buckets == n ? ST_OK
                             : fail(err, ST_INVALID, "growth buckets hold %u of %u sequences",
                                    n_in_buckets, n);
}

static status check_cohort(const scheduler *s, errbuf *err) {
    uint64_t kv_tokens = 0, kv_max = 0;
    uint32_t n = 0;
    int64_t no = INT64_MIN;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = s->table.seqs[id].next) {
        const sequence *q = &s->table.seqs[id];
        if (q->running_no <= no) return fail(err, ST_INVALID, "running order is not numbered");
        no = q->running_no;
        if (!q->in_cohort) continue;
        n++;
        uint32_t n_computed = cohort_n_computed(&s->cohort, q);
        kv_tokens += n_computed;
        if (kv_max < n_computed) kv_max = n_computed;
    }
    if (n != s->cohort.n || kv_tokens != s->cohort.kv_tokens)
        return fail(err, ST_INVALID,
                    "the cohort counts %u sequences, %llu tokens; there are %u, %llu",
                    s->cohort.n, (unsigned long long)s->cohort.kv_tokens, n,
                    (unsigned long long)kv_tokens);
    if (kv_max != cohort_kv_max(&s->cohort))
        return fail(err, ST_INVALID, "the longest context is %llu tokens, the cohort says %llu",
                    (unsigned long long)kv_max, (unsigned long long)cohort_kv_max(&s->cohort));
    return check_growth(s, n, err);
}

static status check_all(const scheduler *s, tally *t, errbuf *err) {
    for (uint32_t id = 0; id < s->table.n_touched; id++)
        if (s->table.seqs[id].state != SEQ_UNUSED)
            TRY(count_sequence(s, t, &s->table.seqs[id], err));
    count_others(s, t);
    TRY(compare_pool(s->device, t->device, "device", err));
    TRY(compare_pool(s->host, t->host, "host", err));
    for (uint32_t id = 0; id < s->table.n_touched; id++)
        if (is_on_device(&s->table.seqs[id]))
            TRY(check_arrivals(s, t, &s->table.seqs[id], err));
    if (s->offload) TRY(check_offload(s, t, err));
    TRY(check_list(s, &s->waiting, SEQ_WAITING, "waiting", err));
    TRY(check_list(s, &s->running, SEQ_RUNNING, "running", err));
    TRY(check_list(s, &s->swapped, SEQ_SWAPPED, "swapped", err));
    TRY(check_cohort(s, err));
    return s->memory == &adaptive_memory ? adaptive_check(s, err) : ST_OK;
}

status scheduler_check(const scheduler *s, errbuf *err) {
    uint32_t n_device = s->config.n_device_blocks, n_host = s->config.n_host_blocks;
    uint32_t *counts = calloc(2 * (size_t)n_device + 3 * (size_t)n_host, sizeof(*counts));
    if (!counts) return fail(err, ST_NO_MEMORY, "out of memory for the check");
    tally t = {.device = counts,
               .device_arrivals = counts + n_device,
               .host = counts + 2 * (size_t)n_device,
               .host_arrivals = counts + 2 * (size_t)n_device + n_host,
               .host_departures = counts + 2 * ((size_t)n_device + n_host)};
    status st = check_all(s, &t, err);
    free(counts);
    return st;
}
