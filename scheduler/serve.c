#include "serve.h"

typedef struct loop {
    scheduler *s;
    executor *e;
    request_source *source;
    const serve_observer *watch;
    request next; /* not arrived yet */
    uint32_t next_n_output;
    bool more;                  /* next is set */
    uint32_t n_idle_iterations; /* since the latest new token */
} loop;

static status fetch(loop *l, errbuf *err) {
    status st = l->source->next(l->source->context, &l->next, &l->next_n_output, err);
    l->more = st == ST_OK;
    return st == ST_END ? ST_OK : st;
}

static status admit(loop *l, errbuf *err) {
    uint32_t id;
    if (scheduler_output_limit(l->s, &l->next) == 0) {
        sequence rejected = {.req = l->next};
        if (l->watch->ended)
            l->watch->ended(l->watch->context, &rejected, REQUEST_REJECTED, l->next.arrival_ns);
        return ST_OK;
    }
    status st = scheduler_add(l->s, &id, &l->next);
    if (st == ST_OK && scheduler_is_oracle(l->s)) scheduler_reveal(l->s, id, l->next_n_output);
    if (st == ST_OK)
        st = l->e->admit(l->e->context, scheduler_table(l->s), id, l->next_n_output);
    if (st == ST_OK) return ST_OK;
    return fail(err, st, "out of memory with %u requests waiting",
                scheduler_n_unfinished(l->s));
}

/* All requests that arrived by now. */
static status admit_arrived(loop *l, errbuf *err) {
    int64_t now_ns = l->e->now_ns(l->e->context);
    while (l->more && l->next.arrival_ns <= now_ns) {
        TRY(admit(l, err));
        TRY(fetch(l, err));
    }
    return ST_OK;
}

static void end_request(loop *l, uint32_t id, request_outcome outcome) {
    if (l->watch->ended)
        l->watch->ended(l->watch->context, &scheduler_table(l->s)->seqs[id], outcome,
                        l->e->now_ns(l->e->context));
    scheduler_end(l->s, id);
}

static status stuck(const loop *l, const char *why, errbuf *err) {
    char state[256];
    scheduler_describe(l->s, state, sizeof(state));
    return fail(err, ST_STUCK, "stuck at %.6f s: %s (%s)",
                (double)l->e->now_ns(l->e->context) * 1e-9, why, state);
}

static status book_compute(loop *l, const completion *c, errbuf *err) {
    iteration_span span;
    scheduler_span(l->s, &span, c);
    if (l->watch->iterated) l->watch->iterated(l->watch->context, &span);
    bool new_token = span.plan->runs_cohort;
    for (uint32_t i = 0; !new_token && i < span.plan->n_chunks; i++)
        new_token = span.plan->chunks[i].samples;
    l->n_idle_iterations = new_token ? 0 : l->n_idle_iterations + 1;
    const uint32_t *finished;
    uint32_t n_finished;
    status st = scheduler_complete(l->s, &finished, &n_finished, c);
    if (st != ST_OK) return fail(err, st, "cannot book an iteration: %s", status_text(st));
    for (uint32_t i = 0; i < n_finished; i++) end_request(l, finished[i], REQUEST_FINISHED);
    if (l->n_idle_iterations >= SERVE_STUCK_ITERATIONS)
        return stuck(l, "10000 iterations without a new token", err);
    return ST_OK;
}

/* The next event and what follows from it. With `compute`, goes on until the plan is done. */
static status wait(loop *l, bool compute, errbuf *err) {
    completion c;
    int64_t until_ns = l->more ? l->next.arrival_ns : INT64_MAX;
    do {
        TRY(l->e->next(l->e->context, until_ns, &c, err));
        if (c.kind == COMPLETION_COPY) {
            scheduler_copy_done(l->s, c.copy_id);
            if (l->watch->copied) l->watch->copied(l->watch->context, &c);
        } else if (c.kind == COMPLETION_COMPUTE) {
            TRY(book_compute(l, &c, err));
        }
    } while (compute && c.kind != COMPLETION_COMPUTE);
    return ST_OK;
}

static status iterate(loop *l, errbuf *err) {
    const plan *p;
    int64_t now_ns = l->e->now_ns(l->e->context);
    if (scheduler_is_idle(l->s)) return wait(l, false, err);
    TRY(scheduler_schedule(l->s, &p, now_ns, err));
    for (uint32_t i = 0; i < p->n_ignored; i++) end_request(l, p->ignored[i], REQUEST_IGNORED);
    if (plan_has_work(p)) TRY(l->e->submit(l->e->context, p, err));
    if (l->watch->planned) l->watch->planned(l->watch->context, p, now_ns);
    if (plan_occupies_compute(p)) return wait(l, true, err);
    if (p->n_ignored > 0) return ST_OK; /* there may be room for others now */
    if (!l->more && scheduler_n_copies_in_flight(l->s) == 0)
        return stuck(l, "nothing can be scheduled and nothing more arrives", err);
    return wait(l, false, err);
}

status serve(scheduler *s, executor *e, request_source *source, const serve_observer *watch,
             errbuf *err) {
    loop l = {.s = s, .e = e, .source = source, .watch = watch};
    TRY(fetch(&l, err));
    for (;;) {
        TRY(admit_arrived(&l, err));
        if (!l.more && scheduler_n_unfinished(s) == 0) return ST_OK;
        TRY(iterate(&l, err));
        if (watch->checked) TRY(watch->checked(watch->context, err));
    }
}
