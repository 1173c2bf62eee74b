#include "adaptive.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "adaptive_state.h"

/* Tokens of the context by which rates are measured. */
enum { TYPICAL_CONTEXT = 512 };

/* Sequences outside that are ranked anew in each iteration: so many, and this share. */
enum { RERANKED_MIN = 8, RERANKED_SHARE = 64 };

status slot_list_add(slot_list *l, uint32_t seq) {
    if (l->n == l->capacity) {
        uint32_t capacity = l->capacity ? 2 * l->capacity : 16;
        uint32_t *seqs = realloc(l->seqs, capacity * sizeof(*seqs));
        if (!seqs) return ST_NO_MEMORY;
        l->seqs = seqs;
        l->capacity = capacity;
    }
    l->seqs[l->n++] = seq;
    return ST_OK;
}

void slot_list_remove(slot_list *l, uint32_t seq) {
    uint32_t i = 0;
    while (i < l->n && l->seqs[i] != seq) i++;
    if (i < l->n) memmove(l->seqs + i, l->seqs + i + 1, (--l->n - i) * sizeof(*l->seqs));
}

/* ------------------------------------------------------------ set up */

static void destroy(void *policy_state) {
    adaptive *t = policy_state;
    if (!t) return;
    length_estimate_destroy(t->lengths);
    rank_heap_finish(&t->fresh);
    rank_heap_finish(&t->paused);
    rank_heap_finish(&t->by_age);
    free(t->notes);
    free(t->clients);
    free(t->resident.seqs);
    free(t->departing.seqs);
    free(t->dirty.seqs);
    free(t);
}

static double decode_s(const cost_model *m, uint32_t n) {
    batch_shape b = {0};
    batch_shape_add_decodes(&b, n, (uint64_t)n * TYPICAL_CONTEXT, TYPICAL_CONTEXT);
    return m->iteration(m->context, &b).s;
}

static void measure_rates(const scheduler *s, adaptive *t) {
    const cost_model *m = s->config.costs;
    enum { N_BLOCKS = 32 };
    t->token_s = t->slot_s = 1;
    if (!m) return;
    uint64_t n_tokens = (uint64_t)s->config.n_device_blocks * s->config.block_tokens;
    uint64_t n_full = n_tokens / TYPICAL_CONTEXT + 1;
    uint32_t n = n_full < s->config.max_seqs ? (uint32_t)n_full : s->config.max_seqs;
    t->token_s = decode_s(m, 1);
    t->slot_s = decode_s(m, n) / n;
    for (int d = 0; d < N_LINK_DIRECTIONS; d++)
        t->block_copy_s[d] =
            m->copy(m->context, (link_direction)d, N_BLOCKS, N_BLOCKS, true).s / N_BLOCKS;
}

static status init(scheduler *s) {
    adaptive *t = calloc(1, sizeof(*t));
    if (!t) return ST_NO_MEMORY;
    s->policy_state = t;
    s->destroy_policy_state = destroy;
    s->ordered_copies = !s->settings.beside;
    measure_rates(s, t);
    t->iteration_s = t->slot_s * s->config.max_seqs;
    return length_estimate_create(&t->lengths, s->config.max_model_len);
}

static uint32_t length_stop(uint32_t n_prompt, uint32_t max_model_len) {
    return n_prompt < max_model_len ? max_model_len - n_prompt : 0;
}

/* Outputs that the whole pool has room for behind the prompt. */
static uint64_t pool_stop(const scheduler *s, const sequence *q) {
    uint64_t n_tokens = (uint64_t)s->config.n_device_blocks * s->config.block_tokens;
    return n_tokens > q->req.n_prompt ? n_tokens - q->req.n_prompt : 0;
}

static void enqueue(scheduler *s, uint32_t id) {
    sequence *q = seq_at(s, id);
    uint64_t stop = pool_stop(s, q);
    if (stop > 0 && q->n_output_max > stop) q->n_output_max = (uint32_t)stop;
    sequence_list_push_back(&s->waiting, &s->table, id);
}

/* ------------------------------------------------------------ copies */

double adaptive_wait_s(const scheduler *s, link_direction direction) {
    double wait_s = adaptive_of(s)->link_free_s[direction] - now_s(s);
    return wait_s > 0 ? wait_s : 0;
}

double adaptive_copy_s(const scheduler *s, link_direction direction, uint32_t n_blocks) {
    return adaptive_of(s)->block_copy_s[direction] * n_blocks;
}

void adaptive_book_copy(scheduler *s, link_direction direction, uint32_t n_blocks) {
    adaptive_of(s)->link_free_s[direction] =
        now_s(s) + adaptive_wait_s(s, direction) + adaptive_copy_s(s, direction, n_blocks);
}

/* ------------------------------------------------------------ who comes and goes */

static status reserve_notes(adaptive *t, uint32_t n) {
    if (n <= t->n_notes) return ST_OK;
    adaptive_note *notes = realloc(t->notes, 2 * n * sizeof(*notes));
    if (!notes) return ST_NO_MEMORY;
    t->notes = notes;
    t->n_notes = 2 * n;
    return ST_OK;
}

/* Finds a client's account or opens one at its end. */
static status find_account(adaptive *t, uint32_t *out, uint32_t client) {
    uint32_t i = 0;
    while (i < t->n_clients && t->clients[i].client != client) i++;
    *out = i;
    if (i < t->n_clients) return ST_OK;
    if (t->n_clients == t->clients_capacity) {
        uint32_t capacity = 2 * t->clients_capacity + 16;
        client_account *clients = realloc(t->clients, capacity * sizeof(*clients));
        if (!clients) return ST_NO_MEMORY;
        t->clients = clients;
        t->clients_capacity = capacity;
    }
    t->clients[t->n_clients++] = (client_account){.client = client};
    return ST_OK;
}

/* The least that any of the clients who are here was charged; when nobody is, what the last one
 * was who left. */
static double charged_least(const adaptive *t) {
    bool found = false;
    double least = t->charged_of_last;
    for (uint32_t i = 0; i < t->n_clients; i++) {
        const client_account *c = &t->clients[i];
        if (c->n_requests == 0 || (found && c->charged >= least)) continue;
        least = c->charged;
        found = true;
    }
    return least;
}

static double larger(double a, double b) {
    return a > b ? a : b;
}

/* A client that comes back starts level with the least served of those who are here: it cannot
 * save up service (VTC, algorithm 2). */
static status open_account(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    if (!s->order->needs_clients) return ST_OK;
    TRY(find_account(t, &note_of(s, id)->account, seq_at(s, id)->req.client));
    client_account *own = &t->clients[note_of(s, id)->account];
    if (own->n_requests == 0) own->charged = larger(own->charged, charged_least(t));
    own->n_requests++;
    return ST_OK;
}

static void close_account(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    client_account *own = &t->clients[note_of(s, id)->account];
    if (--own->n_requests == 0) t->charged_of_last = own->charged;
}

/* Weights of VTC: an output token counts twice as much as one of the prompt. */
static void charge(scheduler *s, uint32_t id) {
    if (!s->order->needs_clients) return;
    adaptive_note *note = note_of(s, id);
    uint32_t n_output = n_output_of(s, id);
    adaptive_of(s)->clients[note->account].charged += 2.0 * (n_output - note->n_charged);
    note->n_charged = n_output;
}

/* The place in the heap of those without KV, or of those with. */
static double place_of(const scheduler *s, uint32_t id) {
    bool fresh = s->table.seqs[id].state == SEQ_WAITING;
    return fresh && s->order->entry_rank ? s->order->entry_rank(s, id) : note_of(s, id)->rank;
}

static status into_heaps(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    adaptive_note *note = note_of(s, id);
    const request *req = &seq_at(s, id)->req;
    note->rank = s->order->rank(s, id, 0);
    note->ranked_version = length_estimate_version(t->lengths);
    rank_heap *h = seq_at(s, id)->state == SEQ_SWAPPED ? &t->paused : &t->fresh;
    TRY(rank_heap_push(h, id, place_of(s, id), req->id));
    return rank_heap_push(&t->by_age, id, (double)req->arrival_ns, req->id);
}

void adaptive_leave_heaps(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    rank_heap_remove(&t->fresh, id);
    rank_heap_remove(&t->paused, id);
    rank_heap_remove(&t->by_age, id);
}

static status welcome(scheduler *s, uint32_t id) {
    const sequence *q = seq_at(s, id);
    adaptive *t = adaptive_of(s);
    adaptive_note *note = note_of(s, id);
    *note = (adaptive_note){.bucket_end = length_bucket_start(1)};
    if (s->config.costs)
        note->solo_start =
            cost_of_lone_prefill(s->config.costs, 0, q->req.n_prompt).s / t->token_s;
    length_estimate_reached(t->lengths, q->req.n_prompt, 0);
    TRY(open_account(s, id));
    return into_heaps(s, id);
}

/* Arrivals are at the end of the waiting and in no heap yet. One that no pool of this size can
 * serve is given up. */
static status welcome_arrivals(scheduler *s) {
    adaptive *t = adaptive_of(s);
    TRY(reserve_notes(t, s->table.n_touched));
    uint32_t id = s->waiting.last, first = NO_SEQ;
    for (; id != NO_SEQ && !rank_heap_has(&t->by_age, id); id = seq_at(s, id)->prev) first = id;
    while (first != NO_SEQ) {
        id = first;
        first = seq_at(s, id)->next;
        if (pool_stop(s, seq_at(s, id)) > 0) {
            TRY(welcome(s, id));
        } else {
            sequence_list_remove(&s->waiting, &s->table, id);
            TRY(state_ignore(s, id, false));
        }
    }
    return ST_OK;
}

bool adaptive_is_fresh(const scheduler *s, uint32_t id) {
    return n_output_of(s, id) < note_of(s, id)->n_output_then + s->settings.min_service;
}

status adaptive_go_outside(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    sequence *q = seq_at(s, id);
    if (q->n_slots == 0) q->state = SEQ_WAITING;
    sequence_list_push_back(q->n_slots ? &s->swapped : &s->waiting, &s->table, id);
    if (q->n_slots > 0 && q->slots[0].device != KV_NO_BLOCK)
        TRY(slot_list_add(&t->resident, id));
    bool whole = q->n_slots == 0 || q->slots[q->n_slots - 1].device != KV_NO_BLOCK;
    return q->n_leaving == 0 || whole ? into_heaps(s, id) : slot_list_add(&t->departing, id);
}

/* Paused sequences whose copies have ended may come back. */
static status see_off_departed(scheduler *s) {
    adaptive *t = adaptive_of(s);
    for (uint32_t i = t->departing.n; i-- > 0;) {
        uint32_t id = t->departing.seqs[i];
        if (seq_at(s, id)->n_leaving > 0) continue;
        slot_list_remove(&t->departing, id);
        TRY(into_heaps(s, id));
    }
    return ST_OK;
}

static uint32_t bucket_end(uint32_t bucket) {
    return bucket + 1 < LENGTH_N_BUCKETS ? length_bucket_start(bucket + 1) : UINT32_MAX;
}

/* It ran with n_output tokens. */
static void note_length(scheduler *s, uint32_t id, uint32_t n_output) {
    adaptive_note *note = note_of(s, id);
    while (n_output >= note->bucket_end) {
        length_estimate_reached(adaptive_of(s)->lengths, seq_at(s, id)->req.n_prompt,
                                ++note->bucket);
        note->bucket_end = bucket_end(note->bucket);
    }
}

/* What is learnt from an end must not depend on the iterations that a plan held: the others
 * tell the lengths first with which they ran in the last of them. */
static void note_lengths_of_horizon(scheduler *s) {
    if (s->cohort.tick <= adaptive_of(s)->batch_tick + 1) return;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next)
        if (seq_at(s, id)->in_cohort) note_length(s, id, n_output_of(s, id) - 1);
}

static void finished(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    const sequence *q = seq_at(s, id);
    uint32_t n_output = n_output_of(s, id);
    note_lengths_of_horizon(s);
    note_length(s, id, n_output - 1);
    if (n_output < q->n_output_max)
        length_estimate_finished(t->lengths, q->req.n_prompt, n_output);
    t->n_copied -= note_of(s, id)->n_on_host;
    charge(s, id);
    if (s->order->needs_clients) close_account(s, id);
}

/* ------------------------------------------------------------ what has changed */

static void pass_time(scheduler *s) {
    adaptive *t = adaptive_of(s);
    if (t->computes) t->clock_ns += s->now_ns - t->asked_ns;
    t->asked_ns = s->now_ns;
    if (t->computes) t->iteration_s = (double)(s->latest_end_ns - s->latest_start_ns) * 1e-9;
    if (s->cohort.tick <= t->batch_tick + 1) return;
    uint64_t n_more = s->cohort.tick - t->batch_tick - 1; /* a horizon: contexts have grown */
    t->batch.decode_kv_tokens += n_more * t->batch.n_decode;
    t->batch.decode_kv_max += n_more;
}

/* Tokens that came out, for all before any is ranked by what its client was charged. */
static void charge_running(scheduler *s) {
    if (!s->order->needs_clients) return;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next) charge(s, id);
}

/* Lengths that were reached, restores that ended, ranks that moved. */
static void look_at_running(scheduler *s) {
    adaptive *t = adaptive_of(s);
    uint64_t version = length_estimate_version(t->lengths);
    bool all = s->order->moves_always || t->version != version;
    t->version = version;
    charge_running(s);
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next) {
        const sequence *q = seq_at(s, id);
        adaptive_note *note = note_of(s, id);
        note_length(s, id, n_output_of(s, id));
        if (q->n_kept > 0) adaptive_end_restore(s, id);
        bool joined = !q->in_cohort || q->joined_tick == s->cohort.tick;
        bool moved = all || joined || note->ranked_bucket != note->bucket;
        if (!s->order->moves || !moved) continue;
        note->rank = s->order->rank(s, id, 0);
        note->ranked_bucket = note->bucket;
    }
}

/* Some of those outside, so that each has its turn: what is learnt changes their ranks slowly.
 */
static void rerank_outside(scheduler *s, rank_heap *h) {
    if (!s->order->moves || h->n == 0) return;
    uint64_t version = length_estimate_version(adaptive_of(s)->lengths);
    uint32_t n = RERANKED_MIN + (s->order->ages ? h->n / RERANKED_SHARE : 0);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = h->entries[adaptive_of(s)->n_asked++ % h->n].seq;
        adaptive_note *note = note_of(s, id);
        if (!s->order->moves_always && note->ranked_version == version) continue;
        note->rank = s->order->rank(s, id, 0);
        note->ranked_version = version;
        rank_heap_rerank(h, id, place_of(s, id));
    }
}

/* ------------------------------------------------------------ the iteration */

/* Blocks for the next tokens of the cohort; members for whom none can be had now sit out. */
static status grow_cohort(scheduler *s) {
    const cohort_bucket *growth = cohort_growth(&s->cohort, 0);
    bool done = true;
    while (done && growth->n > kv_pool_n_free(s->device))
        TRY(adaptive_make_free(s, growth->n, NO_SEQ, &done));
    while (growth->n > kv_pool_n_free(s->device)) state_leave_cohort(s, growth->last);
    return state_grow_cohort(s, 0);
}

static status run_cohort(scheduler *s) {
    adaptive *t = adaptive_of(s);
    TRY(grow_cohort(s));
    s->plan.runs_cohort = s->cohort.n > 0;
    t->n_budget -= s->cohort.n;
    uint32_t chunk = s->settings.chunk;
    if (chunk > 0 && s->cohort.n > 0 && t->n_budget > chunk) t->n_budget = chunk;
    return ST_OK;
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

status adaptive_run_chunk(scheduler *s, uint32_t id) {
    adaptive *t = adaptive_of(s);
    sequence *q = seq_at(s, id);
    uint32_t end = q->n_kept > 0 ? q->n_front : sequence_len(q);
    uint32_t n = least(end - q->n_computed, t->n_budget);
    if (n == 0) return ST_OK;
    uint32_t need = blocks_for(s, q->n_computed + n);
    if (need > q->n_slots) {
        bool done;
        TRY(adaptive_make_free(s, need - q->n_slots, id, &done));
        if (!done) return ST_OK;
        TRY(state_grow(s, id, need - q->n_slots));
    }
    t->n_budget -= n;
    return state_plan_chunk(s, id, n);
}

/* Running sequences that do not decode yet. */
static status run_chunks(scheduler *s) {
    if (s->running.n == s->cohort.n) return ST_OK;
    uint32_t id = s->running.first, next;
    for (; id != NO_SEQ; id = next) {
        if (!seq_at(s, id)->in_cohort) TRY(adaptive_run_chunk(s, id));
        /* Whoever made room for it is not in the list any more. */
        next = seq_at(s, id)->next;
    }
    return ST_OK;
}

static status plan_iteration(scheduler *s) {
    if (s->settings.mixed) TRY(run_cohort(s));
    TRY(run_chunks(s));
    TRY(adaptive_admit(s));
    if (!s->settings.mixed && s->plan.n_chunks == 0) TRY(run_cohort(s));
    TRY(adaptive_write_back(s));
    s->plan.runs_cohort = s->plan.runs_cohort && s->cohort.n > 0;
    return ST_OK;
}

static status schedule(scheduler *s, errbuf *err) {
    (void)err;
    adaptive *t = adaptive_of(s);
    pass_time(s);
    look_at_running(s); /* first: arrivals are measured by what clients were charged */
    TRY(welcome_arrivals(s));
    TRY(see_off_departed(s));
    rerank_outside(s, &t->fresh);
    rerank_outside(s, &t->paused);
    t->n_budget = s->config.max_batched_tokens;
    TRY(plan_iteration(s));
    t->batch = plan_shape(&s->plan);
    t->batch_tick = s->cohort.tick;
    t->computes = plan_occupies_compute(&s->plan);
    return ST_OK;
}

/* Nothing changes as long as nobody is outside, nothing is being copied or about to be. */
static uint32_t horizon(const scheduler *s) {
    if (s->waiting.n > 0 || s->swapped.n > 0 || s->n_flying > 0) return 1;
    if (s->running.n > s->cohort.n) return 1;
    return adaptive_quiet_ticks(s);
}

const memory_policy adaptive_memory = {.init = init,
                                       .enqueue = enqueue,
                                       .schedule = schedule,
                                       .horizon = horizon,
                                       .length_stop = length_stop,
                                       .finished = finished};
