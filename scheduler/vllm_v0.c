#include "vllm_v0.h"

#include "scheduler_state.h"

/* What one step has used and collected. Sequences sit in these queues, in upstream's order,
 * until the step ends and they go back to the scheduler's. */
typedef struct step {
    uint64_t n_tokens, n_seqs; /* scheduled so far, against the limits */
    bool evicted;              /* something was preempted in this step */
    sequence_list new_prefills, prefills, swapped_prefills, decodes, swapped_decodes;
    sequence_list left_over; /* running, but the budget did not reach them */
    sequence_list preempted, swapped_out;
} step;

static uint32_t length_stop(uint32_t n_prompt, uint32_t max_model_len) {
    /* Upstream stops when the length exceeds the limit; too long prompts are ignored later. */
    return n_prompt <= max_model_len ? max_model_len - n_prompt + 1 : 1;
}

static void enqueue(scheduler *s, uint32_t id) {
    sequence_list_push_back(&s->waiting, &s->table, id);
}

static bool by_priority(const scheduler *s) {
    return s->settings.order == ORDER_PRIORITY;
}

static bool can_schedule(const scheduler *s, const step *now, uint32_t n) {
    return n > 0 && now->n_tokens + n <= s->config.max_batched_tokens &&
           now->n_seqs + 1 <= s->config.max_seqs;
}

static uint32_t unplanned(const sequence *q) {
    return q->decoding ? 1 : sequence_len(q) - q->n_computed;
}

/* Tokens of the next chunk; in chunked mode what is left of the budget, which may be 0. */
static uint32_t chunk_tokens(const scheduler *s, const step *now, const sequence *q) {
    uint64_t left = s->config.max_batched_tokens - now->n_tokens;
    uint32_t n = q->in_cohort ? 1 : unplanned(q);
    return s->settings.chunked && n > left ? (uint32_t)left : n;
}

/* Free blocks that upstream wants before it appends to a running sequence. Manager 1 asks for
 * one even if the last block has room; manager 2 only of an unfinished prefill with a full last
 * block it asks none. */
static uint32_t append_need(const scheduler *s, const sequence *q) {
    if (s->settings.block_manager == 1 || q->decoding) return 1;
    return sequence_len(q) % s->config.block_tokens != 0;
}

/* Blocks that upstream wants on the other side before a swap; it moves n_slots of them. */
static uint32_t swap_need(const scheduler *s, const sequence *q, bool in) {
    if (s->settings.block_manager == 1) return q->n_slots + in;
    uint32_t n_kv = cohort_n_computed(&s->cohort, q);
    uint32_t n_appended = q->decoding ? n_kv : sequence_len(q);
    return n_appended / s->config.block_tokens + append_need(s, q);
}

static status preempt(scheduler *s, step *now, uint32_t id, bool may_swap) {
    now->evicted = true;
    if (!s->settings.swap || !may_swap) {
        TRY(state_preempt_recompute(s, id));
        sequence_list_push_back(&now->preempted, &s->table, id);
        return ST_OK;
    }
    if (swap_need(s, seq_at(s, id), false) > kv_pool_n_free(s->host)) {
        if (s->settings.host_full == HOST_FULL_RECOMPUTE) return preempt(s, now, id, false);
        return ST_ABORTED;
    }
    TRY(state_swap_out(s, id));
    sequence_list_push_back(&now->swapped_out, &s->table, id);
    return ST_OK;
}

typedef enum room { ROOM_NEVER, ROOM_LATER, ROOM_NOW } room;

/* Can n blocks be had and the watermark be kept? */
static room room_for(const scheduler *s, uint32_t n, uint32_t never_reserve) {
    uint32_t total = kv_pool_n_blocks(s->device);
    if ((uint64_t)n + never_reserve > total) return ROOM_NEVER;
    return (uint64_t)n + s->watermark_blocks <= kv_pool_n_free(s->device) ? ROOM_NOW
                                                                          : ROOM_LATER;
}

/* Starts waiting sequences, strictly in order. Upstream takes all blocks of a sequence at once,
 * also when only a chunk of it runs. */
static status start_prefills(scheduler *s, step *now) {
    uint32_t limit = s->config.max_model_len;
    if (!s->settings.chunked && limit > s->config.max_batched_tokens)
        limit = s->config.max_batched_tokens;
    while (s->waiting.n > 0) {
        uint32_t id = s->waiting.first;
        sequence *q = seq_at(s, id);
        uint32_t n = chunk_tokens(s, now, q), n_blocks = blocks_for(s, sequence_len(q));
        room r = n > limit ? ROOM_NEVER : room_for(s, n_blocks, s->watermark_blocks);
        if (r == ROOM_NEVER) {
            sequence_list_remove(&s->waiting, &s->table, id);
            TRY(state_ignore(s, id, false));
            continue;
        }
        if (r == ROOM_LATER || !can_schedule(s, now, n)) break;
        sequence_list_remove(&s->waiting, &s->table, id);
        TRY(state_grow(s, id, n_blocks));
        q->n_planned = n;
        sequence_list_push_back(&now->new_prefills, &s->table, id);
        now->n_tokens += n;
        now->n_seqs++;
    }
    return ST_OK;
}

/* One running sequence, taken from its queue; makes room by evicting from the queue's end. */
static status run_one(scheduler *s, step *now, uint32_t id, uint32_t n, sequence_list *queue) {
    while (append_need(s, seq_at(s, id)) > kv_pool_n_free(s->device)) {
        uint32_t victim = sequence_list_pop_back(queue, &s->table);
        if (victim == NO_SEQ) victim = id;
        TRY(preempt(s, now, victim, true));
        if (victim == id) return ST_OK;
    }
    sequence *q = seq_at(s, id);
    uint32_t n_held = q->n_slots * s->config.block_tokens;
    if (q->decoding && cohort_n_computed(&s->cohort, q) + 1 > n_held) TRY(state_grow(s, id, 1));
    if (!q->in_cohort) q->n_planned = n;
    sequence_list_push_back(q->decoding ? &now->decodes : &now->prefills, &s->table, id);
    now->n_tokens += n;
    if (s->settings.chunked) now->n_seqs++;
    return ST_OK;
}

/* All members of the cohort at once, if they come first and nothing can run short. */
static status run_cohort(scheduler *s, step *now, sequence_list *queue) {
    const cohort *c = &s->cohort;
    uint64_t budget = s->settings.chunked ? s->config.max_batched_tokens : UINT32_MAX;
    if (s->config.single_file || c->n == 0 || c->n > budget ||
        cohort_growth(c, 0)->n >= kv_pool_n_free(s->device) || !state_cohort_leads(s, queue))
        return ST_OK;
    TRY(state_grow_cohort(s, 0));
    now->n_tokens += c->n;
    if (s->settings.chunked) now->n_seqs += c->n;
    sequence_list others = SEQUENCE_LIST_EMPTY;
    while (queue->n > c->n)
        sequence_list_push_front(&others, &s->table, sequence_list_pop_back(queue, &s->table));
    now->decodes = *queue;
    *queue = others;
    return ST_OK;
}

static bool arrived_before(const sequence *a, const sequence *b) {
    if (a->req.arrival_ns != b->req.arrival_ns) return a->req.arrival_ns < b->req.arrival_ns;
    return a->req.id < b->req.id;
}

static status run_running(scheduler *s, step *now) {
    if (s->settings.fcfs_resort) {
        sequence_list_sort(&s->running, &s->table, arrived_before);
        state_renumber(s);
    }
    sequence_list queue = s->running;
    s->running = SEQUENCE_LIST_EMPTY;
    status st = run_cohort(s, now, &queue);
    while (st == ST_OK && queue.n > 0) {
        uint32_t id = queue.first, n = chunk_tokens(s, now, seq_at(s, id));
        if (n == 0) break; /* the budget is used up */
        sequence_list_remove(&queue, &s->table, id);
        st = run_one(s, now, id, n, &queue);
    }
    for (uint32_t id = queue.first; id != NO_SEQ; id = seq_at(s, id)->next)
        state_leave_cohort(s, id);
    now->left_over = queue;
    return st;
}

/* Brings swapped sequences back, strictly in order; each runs in this same step. */
static status run_swapped(scheduler *s, step *now) {
    if (s->settings.fcfs_resort) sequence_list_sort(&s->swapped, &s->table, arrived_before);
    while (s->swapped.n > 0) {
        uint32_t id = s->swapped.first;
        sequence *q = seq_at(s, id);
        room r = room_for(s, swap_need(s, q, true), 0);
        if (r == ROOM_LATER) break;
        if (r == ROOM_NEVER) { /* upstream forgets the blocks that it holds on the host */
            sequence_list_remove(&s->swapped, &s->table, id);
            TRY(state_ignore(s, id, true));
            continue;
        }
        uint32_t n = unplanned(q);
        if (!can_schedule(s, now, n)) break;
        sequence_list_remove(&s->swapped, &s->table, id);
        TRY(state_swap_in(s, id));
        if (q->decoding && q->n_computed + 1 > q->n_slots * s->config.block_tokens)
            TRY(state_grow(s, id, 1));
        q->n_planned = n;
        sequence_list *to = q->decoding ? &now->swapped_decodes : &now->swapped_prefills;
        sequence_list_push_back(to, &s->table, id);
        now->n_tokens += n;
        now->n_seqs++;
    }
    return ST_OK;
}

/* Priority order, when no prefill was possible: evicts less urgent running sequences until the
 * most urgent waiting one would fit. It starts in the next step. */
static status force_preempt(scheduler *s, step *now) {
    sequence_list_sort(&s->running, &s->table, s->order->before);
    state_renumber(s);
    if (s->waiting.n == 0) return ST_OK;
    uint32_t head = sequence_list_pop_front(&s->waiting, &s->table);
    uint32_t n = sequence_len(seq_at(s, head)), n_blocks = blocks_for(s, n);
    while (s->running.n > 0) {
        uint32_t victim = s->running.last;
        if (!s->order->before(seq_at(s, head), seq_at(s, victim))) break;
        if (room_for(s, n_blocks, s->watermark_blocks) == ROOM_NOW && can_schedule(s, now, n))
            break;
        sequence_list_remove(&s->running, &s->table, victim);
        now->n_seqs--;
        TRY(state_preempt_recompute(s, victim));
        sequence_list_push_front(&s->waiting, &s->table, victim);
    }
    sequence_list_push_front(&s->waiting, &s->table, head);
    sequence_list_sort(&s->waiting, &s->table, s->order->before);
    return ST_OK;
}

/* Chunks of a queue's sequences; members of the cohort are planned with it. */
static status plan_chunks(scheduler *s, const sequence_list *l) {
    for (uint32_t id = l->first; id != NO_SEQ; id = seq_at(s, id)->next)
        if (!seq_at(s, id)->in_cohort) TRY(state_plan_chunk(s, id, seq_at(s, id)->n_planned));
    return ST_OK;
}

static void run_new(scheduler *s, sequence_list *l) {
    uint32_t id;
    while ((id = sequence_list_pop_front(l, &s->table)) != NO_SEQ) state_run(s, id);
}

/* Moves the step's queues back into the scheduler's. */
static void file(scheduler *s, step *now) {
    sequence_table *t = &s->table;
    uint32_t id;
    while ((id = sequence_list_pop_front(&now->preempted, t)) != NO_SEQ)
        sequence_list_push_front(&s->waiting, t, id);
    sequence_list_append(&s->swapped, t, &now->swapped_out);
    sequence_list prefilled = now->new_prefills;
    if (s->settings.chunked) {
        bool reordered =
            now->left_over.n + now->swapped_decodes.n + now->swapped_prefills.n > 0;
        sequence_list_append(&s->running, t, &now->left_over);
        if (s->settings.fcfs_resort) { /* v0.4.2 to v0.5.3 */
            run_new(s, &prefilled);
            reordered = true;
        }
        sequence_list *behind[2][2] = {{&now->swapped_decodes, &now->swapped_prefills},
                                       {&now->decodes, &now->prefills}};
        for (int i = 0; i < 2; i++) {
            sequence_list **pair = behind[s->settings.fcfs_resort ? 1 - i : i];
            for (int j = 0; j < 2; j++) sequence_list_append(&s->running, t, pair[j]);
        }
        run_new(s, &prefilled);
        if (reordered) state_renumber(s);
        return;
    }
    sequence_list_append(&s->running, t, &now->left_over);
    sequence_list_append(&s->running, t, &now->decodes);
    run_new(s, &prefilled);
    run_new(s, &now->swapped_decodes);
    run_new(s, &now->swapped_prefills);
}

static status run_chunked(scheduler *s, step *now) {
    TRY(run_running(s, now));
    if (!now->evicted) TRY(run_swapped(s, now));
    return start_prefills(s, now);
}

static status run_default(scheduler *s, step *now) {
    now->n_seqs = s->running.n;
    if (s->swapped.n == 0) TRY(start_prefills(s, now));
    if (now->new_prefills.n > 0) return ST_OK;
    if (by_priority(s)) TRY(force_preempt(s, now));
    TRY(run_running(s, now));
    return now->evicted ? ST_OK : run_swapped(s, now);
}

static status schedule(scheduler *s, errbuf *err) {
    sequence_list none = SEQUENCE_LIST_EMPTY;
    step now = {0, 0, false, none, none, none, none, none, none, none, none};
    status st = s->settings.chunked ? run_chunked(s, &now) : run_default(s, &now);
    if (st == ST_ABORTED)
        return fail(err, st,
                    "vLLM V0 aborts: no room on the host to swap out (%u of %u blocks free); "
                    "give it more with --host-gib, or set host_full=recompute (not vLLM)",
                    kv_pool_n_free(s->host), s->config.n_host_blocks);
    TRY(st);
    TRY(plan_chunks(s, &now.new_prefills));
    TRY(plan_chunks(s, &now.prefills));
    TRY(plan_chunks(s, &now.swapped_prefills));
    TRY(plan_chunks(s, &now.decodes));
    TRY(plan_chunks(s, &now.swapped_decodes));
    bool prefill_only = !s->settings.chunked && now.new_prefills.n > 0;
    s->plan.runs_cohort = s->cohort.n > 0 && !prefill_only;
    file(s, &now);
    return ST_OK;
}

/* Waiting and swapped sequences that found no room find none while free blocks only become
 * fewer; but the step after an eviction tries what this one did not. */
static uint32_t horizon(const scheduler *s) {
    if (s->plan.n_preempted > 0 || s->plan.n_copies > 0 || s->running.n > s->cohort.n) return 1;
    if (by_priority(s) && s->waiting.n > 0) return 1;
    uint64_t n_room = (uint64_t)kv_pool_n_free(s->device) + cohort_growth(&s->cohort, 0)->n;
    uint32_t ticks = cohort_ticks_within(&s->cohort, n_room - 1, s->config.horizon_max);
    return ticks > 0 ? ticks : 1;
}

const memory_policy vllm_v0_memory = {
    .enqueue = enqueue, .schedule = schedule, .horizon = horizon, .length_stop = length_stop};
