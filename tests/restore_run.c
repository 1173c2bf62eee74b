#include "restore_run.h"

#include "hand_plan.h"

typedef struct run {
    const restore_case *c;
    restore_kind kind;
    hand_plan h;
    executor device;
    uint32_t victim;
    uint64_t victim_copy; /* its id */
    uint32_t n_computed;  /* of the victim's tokens to recompute */
    bool planned, copied; /* the copies are under way; the victim's has ended */
    uint32_t n_unfinished;
    restore_outcome *out;
} run;

/* A sequence that is to generate n_left tokens, the first of them by decoding if `decodes`. */
static status add(run *r, uint32_t *id, uint32_t n_kv, uint32_t n_left, bool decodes) {
    *id = hand_plan_add(&r->h, decodes ? n_kv : n_kv + 1, n_left + 1);
    r->n_unfinished++;
    return r->device.admit(r->device.context, &r->h.seqs, *id, n_left + decodes);
}

static status add_all(run *r) {
    const restore_case *c = r->c;
    for (uint32_t i = 0; i < c->n_others; i++) {
        uint32_t id;
        TRY(add(r, &id, c->others[i].context, c->others[i].n_left, true));
        hand_plan_join(&r->h, id, 1);
    }
    TRY(add(r, &r->victim, c->n_kv, c->n_left, r->kind != RESTORE_RECOMPUTE));
    if (r->kind == RESTORE_FREE) hand_plan_join(&r->h, r->victim, 1);
    return ST_OK;
}

/* A copy of n_blocks; after run_blocks of them one block is left out. */
static status add_copy(run *r, link_direction direction, uint32_t n_blocks,
                       uint32_t run_blocks) {
    plan *p = &r->h.plan;
    plan_copy copy = {.id = p->n_copies,
                      .seq = r->victim,
                      .direction = direction,
                      .first_pair = p->n_pairs,
                      .n_pairs = n_blocks};
    for (uint32_t i = 0; i < n_blocks; i++)
        TRY(plan_add_pair(p, (block_pair){i + i / run_blocks, i + i / run_blocks}));
    return plan_add_copy(p, copy);
}

/* The victim's copy behind the queue; twice as much the other way keeps that way busy. */
static status add_copies(run *r) {
    const restore_case *c = r->c;
    for (uint32_t left = c->n_queued_blocks; left > 0;) {
        uint32_t n = left < RESTORE_QUEUED_COPY ? left : RESTORE_QUEUED_COPY;
        TRY(add_copy(r, LINK_TO_DEVICE, n, n));
        left -= n;
    }
    r->victim_copy = r->h.plan.n_copies;
    TRY(add_copy(r, LINK_TO_DEVICE, c->n_blocks, c->run_blocks));
    if (!c->other_direction_busy) return ST_OK;
    uint32_t n = 2 * (c->n_queued_blocks + c->n_blocks);
    return add_copy(r, LINK_TO_HOST, n, n);
}

static status add_chunk(run *r) {
    uint32_t left = r->c->n_kv + 1 - r->n_computed, room = r->c->budget - r->h.plan.n_tokens;
    plan_chunk chunk = {.seq = r->victim,
                        .n_before = r->n_computed,
                        .n_tokens = left < room ? left : room,
                        .samples = left <= room};
    chunk.n_recomputed = chunk.n_tokens - chunk.samples;
    r->n_computed += chunk.n_tokens;
    r->h.plan.n_tokens += chunk.n_tokens;
    return plan_add_chunk(&r->h.plan, chunk);
}

static status plan_next(run *r) {
    bool recomputes = r->kind == RESTORE_RECOMPUTE && r->n_computed <= r->c->n_kv;
    hand_plan_decodes(&r->h, recomputes ? 1 : HORIZON_MAX);
    r->h.plan.runs_cohort = r->h.decodes.n > 0;
    if (recomputes) TRY(add_chunk(r));
    if (r->kind == RESTORE_SWAP && !r->planned) TRY(add_copies(r));
    r->planned = true;
    return ST_OK;
}

static void book(run *r, const completion *c) {
    const plan *p = &r->h.plan;
    if (p->runs_cohort) cohort_advance(&r->h.decodes, c->n_iterations);
    bool victim_ended = false;
    for (uint32_t i = 0; i < c->n_finished; i++) {
        uint32_t id = c->finished[i];
        r->out->makespan_s = (double)c->now_ns * 1e-9;
        r->out->total_s += r->out->makespan_s;
        if (id == r->victim) {
            victim_ended = true;
            r->out->victim_s = r->out->makespan_s;
        }
        if (r->h.seqs.seqs[id].in_cohort) cohort_leave(&r->h.decodes, &r->h.seqs, id);
        r->n_unfinished--;
    }
    if (p->n_chunks > 0 && p->chunks[0].samples && !victim_ended)
        hand_plan_join(&r->h, r->victim, 1);
}

/* Until the plan is done; with nothing to compute, until the victim's copy is. */
static status wait(run *r, errbuf *err) {
    bool computes = plan_occupies_compute(&r->h.plan);
    completion c;
    do {
        TRY(r->device.next(r->device.context, INT64_MAX, &c, err));
        if (c.kind == COMPLETION_COPY && c.copy_id == r->victim_copy) r->copied = true;
        if (c.kind == COMPLETION_COMPUTE) book(r, &c);
    } while (computes ? c.kind != COMPLETION_COMPUTE : !r->copied);
    return ST_OK;
}

static status run_to_end(run *r, errbuf *err) {
    TRY(add_all(r));
    while (r->n_unfinished > 0) {
        bool was_copied = r->copied;
        TRY(plan_next(r));
        if (plan_has_work(&r->h.plan))
            TRY(r->device.submit(r->device.context, &r->h.plan, err));
        TRY(wait(r, err));
        if (r->copied && !was_copied) hand_plan_join(&r->h, r->victim, 1);
    }
    return ST_OK;
}

status restore_run(restore_outcome *out, const restore_case *c, restore_kind kind,
                   const virtual_device_config *device, errbuf *err) {
    run r = {.c = c, .kind = kind, .out = out};
    *out = (restore_outcome){0};
    TRY(virtual_device_create(&r.device, device, err));
    hand_plan_init(&r.h);
    status st = run_to_end(&r, err);
    hand_plan_finish(&r.h);
    r.device.destroy(r.device.context);
    return st;
}
