#include "vllm_v1.h"

#include "offload.h"

/* Block 0 belongs to no one in vLLM V1: one block less than the pool has. */
static status hold_null_block(scheduler *s) {
    s->null_block = kv_pool_take(s->device);
    return ST_OK;
}

static uint32_t length_stop(uint32_t n_prompt, uint32_t max_model_len) {
    return n_prompt < max_model_len ? max_model_len - n_prompt : 0;
}

static bool by_priority(const scheduler *s) {
    return s->settings.order == ORDER_PRIORITY;
}

/* Into the waiting queue at its place by priority; a preempted one under FCFS to the front. */
static void insert_waiting(scheduler *s, uint32_t id) {
    uint32_t after = s->waiting.last;
    while (after != NO_SEQ && s->order->before(seq_at(s, id), seq_at(s, after)))
        after = seq_at(s, after)->prev;
    sequence_list_insert_after(&s->waiting, &s->table, after, id);
}

static void enqueue(scheduler *s, uint32_t id) {
    if (by_priority(s))
        insert_waiting(s, id);
    else
        sequence_list_push_back(&s->waiting, &s->table, id);
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Tokens of the next chunk within the budget. */
static uint32_t chunk_tokens(const scheduler *s, uint32_t n_left, uint32_t budget) {
    uint32_t threshold = s->settings.long_prefill_threshold;
    if (threshold > 0) n_left = least(n_left, threshold);
    return least(n_left, budget);
}

/* Blocks that a sequence lacks for its tokens [0, n_tokens), n_held being in its table. */
static uint32_t blocks_lacking(const scheduler *s, uint32_t n_tokens, uint32_t n_held) {
    uint32_t need = blocks_for(s, least(n_tokens, s->config.max_model_len));
    return need > n_held ? need - n_held : 0;
}

static uint32_t pick_victim(scheduler *s) {
    uint32_t victim = s->running.last;
    if (!by_priority(s)) return victim;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next)
        if (s->order->before(seq_at(s, victim), seq_at(s, id))) victim = id;
    return victim;
}

/* Preempts one running sequence; what it had been given in this step goes back to the budget.
 */
static status preempt(scheduler *s, uint32_t victim, bool was_scheduled, uint32_t *budget) {
    sequence *v = seq_at(s, victim);
    if (was_scheduled) {
        uint32_t n = v->in_cohort ? 1 : plan_drop_chunk(&s->plan, victim);
        if (!v->in_cohort) s->plan.n_tokens -= n;
        *budget += n;
    }
    sequence_list_remove(&s->running, &s->table, victim);
    TRY(state_preempt_recompute(s, victim));
    if (by_priority(s))
        insert_waiting(s, victim);
    else
        sequence_list_push_front(&s->waiting, &s->table, victim);
    return ST_OK;
}

/* Makes room for n blocks by preempting; *survives is false when `id` itself had to go, or
 * waits for copies that hold blocks. */
static status make_room(scheduler *s, uint32_t id, uint32_t n, uint32_t *budget,
                        bool *survives) {
    *survives = true;
    while (kv_pool_n_free(s->device) < n) {
        offload_room room = offload_find_room(s, n);
        if (room == ROOM_NOW) continue;
        if (room == ROOM_LATER) {
            state_leave_cohort(s, id);
            *survives = false;
            return ST_OK;
        }
        uint32_t victim = pick_victim(s);
        bool earlier = seq_at(s, victim)->running_no < seq_at(s, id)->running_no;
        TRY(preempt(s, victim, earlier, budget));
        if (victim == id) {
            *survives = false;
            return ST_OK;
        }
    }
    return ST_OK;
}

/* One running sequence: a decode of the cohort stays in it, others get a chunk. */
static status run_one(scheduler *s, uint32_t id, uint32_t *budget, bool *survives) {
    sequence *q = seq_at(s, id);
    uint32_t n_computed = cohort_n_computed(&s->cohort, q);
    uint32_t n = q->in_cohort ? 1 : chunk_tokens(s, sequence_len(q) - n_computed, *budget);
    uint32_t lacking = blocks_lacking(s, n_computed + n, q->n_slots);
    TRY(make_room(s, id, lacking, budget, survives));
    if (!*survives) return ST_OK;
    TRY(state_grow(s, id, lacking));
    *budget -= n;
    if (q->in_cohort) return ST_OK;
    TRY(state_plan_chunk(s, id, n));
    state_name_blocks(s, id, n_computed / s->config.block_tokens, n_computed + n);
    return ST_OK;
}

/* The running sequences from id on, in order, until the budget is used up or one preempted
 * itself or waits. Members of the cohort that are not reached leave it. */
static status run_each(scheduler *s, uint32_t id, uint32_t *budget) {
    if (id == NO_SEQ) return ST_OK;
    bool survives = true;
    int64_t reached = seq_at(s, id)->running_no - 1;
    while (id != NO_SEQ && *budget > 0 && survives) {
        reached = seq_at(s, id)->running_no;
        TRY(run_one(s, id, budget, &survives));
        id = survives ? seq_at(s, id)->next : NO_SEQ;
    }
    id = s->running.last;
    for (; id != NO_SEQ && seq_at(s, id)->running_no > reached; id = seq_at(s, id)->prev)
        state_leave_cohort(s, id);
    return ST_OK;
}

static status run_running(scheduler *s, uint32_t *budget) {
    uint32_t n_run, id;
    TRY(state_run_cohort(s, *budget, &n_run, &id));
    *budget -= n_run;
    TRY(run_each(s, id, budget));
    s->plan.runs_cohort = s->cohort.n > 0;
    return ST_OK;
}

/* How a waiting sequence would start. */
typedef struct beginning {
    uint32_t n_held, n_free_hits; /* blocks: its own or cached; of these without a holder */
    uint32_t n_computed;          /* tokens in them */
    uint32_t n_load;              /* blocks on the host behind them: it loads first, */
    bool later;                   /* but not yet */
    uint32_t n_tokens;            /* otherwise: its first chunk */
    uint32_t n_lacking;           /* blocks for what it loads or computes */
} beginning;

static beginning find_beginning(scheduler *s, uint32_t id, uint32_t budget) {
    const sequence *q = seq_at(s, id);
    beginning b = {.n_held = q->n_slots, .n_computed = q->n_computed};
    if (q->state == SEQ_WAITING) { /* or it has loaded already */
        b.n_held = state_find_cached(s, q, &b.n_free_hits);
        b.n_computed = b.n_held * s->config.block_tokens;
        b.n_load = offload_find(s, &b.later, q, b.n_held);
    }
    b.n_lacking = b.n_load;
    if (b.n_load > 0) return b;
    b.n_tokens = chunk_tokens(s, sequence_len(q) - b.n_computed, budget);
    b.n_lacking = blocks_lacking(s, b.n_computed + b.n_tokens, b.n_held);
    return b;
}

static bool has_room(const scheduler *s, uint32_t id, const beginning *b) {
    uint32_t len = sequence_len(&s->table.seqs[id]);
    uint32_t need = s->settings.full_isl ? blocks_lacking(s, len, b->n_held) : b->n_lacking;
    uint64_t reserve = s->running.n > 0 ? s->watermark_blocks : 0;
    return need + b->n_free_hits + reserve <= kv_pool_n_free(s->device);
}

/* Admits a waiting sequence if its blocks can be had without preempting; otherwise the queue
 * does not go on. It goes on past one that waits for another's load. */
static status admit(scheduler *s, uint32_t id, uint32_t *budget, bool *goes_on) {
    beginning b = find_beginning(s, id, *budget);
    *goes_on = b.later || has_room(s, id, &b);
    if (b.later || !*goes_on) return ST_OK;
    if (seq_at(s, id)->state == SEQ_WAITING) TRY(state_take_cached(s, id, b.n_held));
    if (b.n_load > 0) return offload_load(s, id, b.n_load);
    sequence_list_remove(&s->waiting, &s->table, id);
    TRY(state_grow(s, id, b.n_lacking));
    state_run(s, id);
    TRY(state_plan_chunk(s, id, b.n_tokens));
    state_name_blocks(s, id, b.n_computed / s->config.block_tokens, b.n_computed + b.n_tokens);
    *budget -= b.n_tokens;
    return ST_OK;
}

/* Arrivals up to here are known. With asynchronous scheduling an iteration is decided on while
 * the one before runs, so that later arrivals wait for one more, unless there was a rest. */
static int64_t known_until_ns(const scheduler *s) {
    bool rested = s->running.n == 0 || s->now_ns > s->latest_end_ns;
    return s->settings.async && !rested ? s->latest_start_ns : INT64_MAX;
}

static bool is_known(const scheduler *s, uint32_t id, int64_t until_ns) {
    return s->table.seqs[id].req.arrival_ns <= until_ns;
}

/* The first waiting sequence from id on that is not loading, or NO_SEQ. */
static uint32_t next_to_admit(const scheduler *s, uint32_t id) {
    while (id != NO_SEQ && s->table.seqs[id].state == SEQ_LOADING) id = s->table.seqs[id].next;
    return id;
}

/* Admits waiting sequences in order until one has to stay out. */
static status admit_waiting(scheduler *s, uint32_t *budget) {
    int64_t until_ns = known_until_ns(s);
    uint32_t id = next_to_admit(s, s->waiting.first);
    while (id != NO_SEQ && is_known(s, id, until_ns) && *budget > 0 &&
           s->running.n < s->config.max_seqs) {
        uint32_t next = seq_at(s, id)->next;
        bool goes_on;
        TRY(admit(s, id, budget, &goes_on));
        if (goes_on)
            id = next_to_admit(s, next);
        else if (!offload_make_room(s, id))
            return ST_OK;
    }
    return ST_OK;
}

/* Did the running sequences all get what they may, budget left? Whoever waits for blocks comes
 * before those who are not admitted yet. */
static bool nobody_waits_for_room(const scheduler *s) {
    if (s->plan.n_preempted > 0) return false;
    const sequence *last = s->running.n ? &s->table.seqs[s->running.last] : NULL;
    return !last || last->in_cohort || last->n_planned > 0;
}

static status schedule(scheduler *s, errbuf *err) {
    (void)err;
    uint32_t budget = s->config.max_batched_tokens;
    TRY(offload_submit(s));
    TRY(run_running(s, &budget));
    if (nobody_waits_for_room(s)) TRY(admit_waiting(s, &budget));
    return offload_note(s);
}

/* A waiting sequence that was not admitted stays out: seats and budget stay the same and free
 * blocks only become fewer. Nothing was tried after a preemption, nor with a late arrival. */
static uint32_t horizon(const scheduler *s) {
    if (s->plan.n_preempted > 0 || s->running.n > s->cohort.n) return 1;
    if (s->waiting.n > 0 && !is_known(s, s->waiting.first, known_until_ns(s))) return 1;
    return offload_horizon(s, state_growth_horizon(s));
}

const memory_policy vllm_v1_memory = {.init = hold_null_block,
                                      .enqueue = enqueue,
                                      .schedule = schedule,
                                      .horizon = horizon,
                                      .length_stop = length_stop};

static status set_up_offload(scheduler *s) {
    TRY(hold_null_block(s));
    return offload_create(s);
}

const memory_policy vllm_v1_offload_memory = {.init = set_up_offload,
                                              .enqueue = enqueue,
                                              .schedule = schedule,
                                              .horizon = horizon,
                                              .length_stop = length_stop,
                                              .copied = offload_copied};
