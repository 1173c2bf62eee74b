/* check.c - every invariant of the scheduler in one place, for tests. */
#include <stdlib.h>

#include "scheduler_state.h"

/* Holders that each block should have, counted from the tables, copies and named holders. */
typedef struct tally {
    uint32_t *device, *host; /* [n_device_blocks], [n_host_blocks] */
} tally;

static bool is_on_device(const sequence *q) {
    return q->state == SEQ_RUNNING || q->state == SEQ_STARTED;
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
        if (q->state == SEQ_SWAPPED && q->slots[i].host == KV_NO_BLOCK)
            return fail(err, ST_INVALID, "request %llu lost its block %u on the host", id, i);
    }
    return ST_OK;
}

static void count_others(const scheduler *s, tally *t) {
    if (s->null_block != KV_NO_BLOCK) t->device[s->null_block]++;
    for (uint32_t i = 0; i < s->n_leaked; i++) t->host[s->leaked[i]]++;
    for (uint32_t i = 0; i < s->n_flying; i++) {
        for (uint32_t j = 0; j < s->flying[i].n_pairs; j++) {
            t->device[s->flying[i].pairs[j].device]++;
            t->host[s->flying[i].pairs[j].host]++;
        }
    }
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

/* The list is linked both ways, counts right, and holds sequences of this state only; the first
 * waiting one may have started. */
static status check_list(const scheduler *s, const sequence_list *l, sequence_state state,
                         const char *name, errbuf *err) {
    uint32_t n = 0, prev = NO_SEQ;
    for (uint32_t id = l->first; id != NO_SEQ && n <= l->n; id = s->table.seqs[id].next) {
        const sequence *q = &s->table.seqs[id];
        bool leads = l == &s->waiting && id == l->first && q->state == SEQ_STARTED;
        if ((q->state != state && !leads) || q->prev != prev)
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
    TRY(check_list(s, &s->waiting, SEQ_WAITING, "waiting", err));
    TRY(check_list(s, &s->running, SEQ_RUNNING, "running", err));
    TRY(check_list(s, &s->swapped, SEQ_SWAPPED, "swapped", err));
    return check_cohort(s, err);
}

status scheduler_check(const scheduler *s, errbuf *err) {
    tally t = {calloc(s->config.n_device_blocks + 1, sizeof(*t.device)),
               calloc(s->config.n_host_blocks + 1, sizeof(*t.host))};
    status st = t.device && t.host ? check_all(s, &t, err)
                                   : fail(err, ST_NO_MEMORY, "out of memory for the check");
    free(t.device);
    free(t.host);
    return st;
}
