/* prop_starvation.c - nobody who waits under the adaptive memory policy is passed over for
 * ever.
 *
 * Random overload under every order: as long as a request is outside, fewer than
 * (m + p + 1) / share sequences were let in since it came there, m counting the older ones who
 * were outside then and p the pauses of older ones since (adaptive_admit.c). And who was let in
 * as the oldest is not asked to leave while memory is plenty.
 *
 * SEED (default 1) is the seed of the first case, PROP_CASES (default 300) their number; the
 * line before a failure tells the seed of its case. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "adaptive_state.h"
#include "plain_costs.h"
#include "rng.h"
#include "step_driver.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { N_REQUESTS = 500, N_STEPS_MAX = 200000, STEP_NS = 1000000, CHECK_EVERY = 32 };
enum { N_ORDERS_TRIED = 9 };
static const char *const orders[N_ORDERS_TRIED] = {"fcfs",       "priority",    "hrrn",
                                                   "mlfq",       "srpt-oracle", "lpt-oracle",
                                                   "sjf-prompt", "vtc",         "gittins"};

static const plain_costs constants = {.latency = {.iteration_s = 5e-4,
                                                  .token_s = 1e-5,
                                                  .kv_token_s = 1e-7,
                                                  .pair_s = 1e-7,
                                                  .byte_s = 1e-9,
                                                  .segment_s = 1e-5,
                                                  .copy_slowdown = 1.5},
                                      .block_bytes = 3e5,
                                      .spread = 0.1};

/* One who is outside: what may come before. */
typedef struct waiter {
    uint64_t since; /* admissions before it came outside */
    uint64_t n_before;
    bool is_outside;
} waiter;

typedef struct world {
    uint64_t seed, n_draws;
    char policy[256];
    bool is_roomy;
    cost_model costs;
    step_driver d;
    request requests[N_REQUESTS];
    uint32_t n_outputs[N_REQUESTS];
    uint32_t n_added;
    waiter waiters[N_REQUESTS]; /* by request id */
    bool was_senior[N_REQUESTS];
    double tightest; /* largest share of its bound that anyone waited */
    uint64_t n_displaced;
} world;

static uint32_t draw(world *w, uint32_t low, uint32_t high) {
    return low + (uint32_t)(rng_bits(w->seed, 1, w->n_draws++) % (high - low + 1));
}

static void draw_policy(world *w) {
    static const char *const fairnesses[] = {"1", "1", "1", "0.9", "0"};
    static const char *const mechanisms[] = {"recompute", "swap", "marginal"};
    static const char *const hystereses[] = {"0", "1"};
    const char *order = orders[draw(w, 0, N_ORDERS_TRIED - 1)];
    const char *fairness = fairnesses[draw(w, 0, 4)], *mechanism = mechanisms[draw(w, 0, 2)];
    const char *hysteresis = hystereses[draw(w, 0, 1)];
    snprintf(w->policy, sizeof(w->policy),
             "adaptive,order=%s,fairness=%s,mechanism=%s,hysteresis=%s,min_service=%" PRIu32,
             order, fairness, mechanism, hysteresis, draw(w, 0, 3));
}

/* More arrives than can be served, most of it short and urgent by many orders. */
static void draw_requests(world *w) {
    int64_t step = 0;
    for (uint32_t i = 0; i < N_REQUESTS; i++) {
        step += draw(w, 0, 3);
        bool is_long = draw(w, 0, 9) == 0;
        w->requests[i] = (request){.id = i,
                                   .arrival_ns = step * STEP_NS,
                                   .n_prompt = is_long ? draw(w, 20, 60) : draw(w, 1, 20),
                                   .n_output_max = 60,
                                   .priority = (int32_t)draw(w, 0, 2),
                                   .client = draw(w, 0, 3)};
        w->n_outputs[i] = is_long ? draw(w, 10, 60) : draw(w, 1, 10);
    }
}

static void world_init(world *w, uint64_t seed) {
    *w = (world){.seed = seed};
    draw_policy(w);
    draw_requests(w);
    w->is_roomy = draw(w, 0, 1);
    w->costs = plain_cost_model(&constants);
    errbuf err = {0};
    scheduler_config c = scheduler_config_defaults();
    if (policy_parse(&c.policy, w->policy, &err) != ST_OK) fail_msg("%s", err.text);
    c.costs = &w->costs;
    c.block_tokens = 4;
    c.max_seqs = draw(w, 2, 6);
    c.n_device_blocks = w->is_roomy ? 1000 : draw(w, 30, 60);
    c.n_host_blocks = draw(w, 0, 100);
    c.max_model_len = 120;
    step_driver_init(&w->d, &c);
    w->d.step_ns = STEP_NS;
    w->d.n_copy_steps = draw(w, 0, 3);
    w->d.copy_seed = seed;
}

static uint32_t n_older_outside(const world *w, uint32_t i) {
    uint32_t n = 0;
    for (uint32_t j = 0; j < i; j++) n += w->waiters[j].is_outside;
    return n;
}

static void start_waiting(world *w, uint32_t i) {
    w->waiters[i] = (waiter){.since = adaptive_of(w->d.scheduler)->n_admitted,
                             .n_before = n_older_outside(w, i),
                             .is_outside = true};
}

static void add_arrivals(world *w, int64_t step) {
    for (; w->n_added < N_REQUESTS; w->n_added++) {
        uint32_t i = w->n_added;
        if (w->requests[i].arrival_ns > step * STEP_NS) return;
        step_driver_add(&w->d, &w->requests[i], w->n_outputs[i]);
        start_waiting(w, i);
    }
}

/* Who cannot be let in before its copies have ended starts to wait then. */
static void restart_departing(world *w) {
    const adaptive *t = adaptive_of(w->d.scheduler);
    for (uint32_t i = 0; i < t->departing.n; i++)
        start_waiting(w, (uint32_t)seq_at(w->d.scheduler, t->departing.seqs[i])->req.id);
}

static void note_seniors(world *w) {
    scheduler *s = w->d.scheduler;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next)
        w->was_senior[seq_at(s, id)->req.id] = note_of(s, id)->senior;
}

/* Of the latest plan. */
static void note_preempted(world *w) {
    const plan *p = w->d.plan;
    for (uint32_t i = 0; i < p->n_preempted; i++) {
        uint32_t older = (uint32_t)p->seqs->seqs[p->preempted[i]].req.id;
        if (w->is_roomy && w->was_senior[older])
            fail_msg("request %" PRIu32 " was let in as the oldest, and displaced", older);
        w->n_displaced += w->is_roomy;
        for (uint32_t j = older + 1; j < w->n_added; j++) w->waiters[j].n_before++;
    }
}

static void note_where_they_are(world *w) {
    scheduler *s = w->d.scheduler;
    for (uint32_t id = s->running.first; id != NO_SEQ; id = seq_at(s, id)->next)
        w->waiters[seq_at(s, id)->req.id].is_outside = false;
    const plan *p = w->d.plan;
    for (uint32_t i = 0; i < p->n_preempted; i++) { /* all, before any is told of the others */
        const sequence *q = seq_at(s, p->preempted[i]);
        w->waiters[q->req.id].is_outside = q->state != SEQ_RUNNING;
    }
    for (uint32_t i = 0; i < p->n_preempted; i++) {
        const sequence *q = seq_at(s, p->preempted[i]);
        if (q->state != SEQ_RUNNING) start_waiting(w, (uint32_t)q->req.id);
    }
}

static double share_of_oldest(const world *w) {
    double share = 1 - w->d.scheduler->settings.fairness;
    return share < 1.0 / 64 ? 1.0 / 64 : share;
}

static void expect_bound(world *w) {
    uint64_t n_admitted = adaptive_of(w->d.scheduler)->n_admitted;
    for (uint32_t i = 0; i < w->n_added; i++) {
        const waiter *x = &w->waiters[i];
        if (!x->is_outside) continue;
        double bound = ceil((double)(x->n_before + 1) / share_of_oldest(w));
        double waited = (double)(n_admitted - x->since);
        if (waited >= bound)
            fail_msg("request %" PRIu32 " still waits after %.0f admissions, %" PRIu64
                     " came before it",
                     i, waited, x->n_before);
        if (waited / bound > w->tightest) w->tightest = waited / bound;
    }
}

static void run_step(world *w, int64_t step) {
    errbuf err = {0};
    add_arrivals(w, step);
    note_seniors(w);
    if (step_driver_schedule(&w->d, step, &err) != ST_OK) fail_msg("%s", err.text);
    note_preempted(w);
    note_where_they_are(w);
    restart_departing(w);
    expect_bound(w);
    step_driver_complete(&w->d, step);
    if (step % CHECK_EVERY == 0 && scheduler_check(w->d.scheduler, &err) != ST_OK)
        fail_msg("step %" PRId64 ": %s", step, err.text);
}

static uint64_t from_environment(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void whoever_waits_is_let_in_in_time(void **state) {
    (void)state;
    uint64_t seed = from_environment("SEED", 1), n = from_environment("PROP_CASES", 300);
    print_message("SEED=%" PRIu64 " PROP_CASES=%" PRIu64 "\n", seed, n);
    static world w;
    double tightest = 0;
    uint64_t n_displaced = 0;
    for (uint64_t i = 0; i < n; i++) {
        world_init(&w, seed + i);
        print_message("SEED=%" PRIu64 " %s\n", w.seed, w.policy);
        for (int64_t step = 0; w.d.n_ended < N_REQUESTS; step++) {
            assert_true(step < N_STEPS_MAX);
            run_step(&w, step);
        }
        if (w.tightest > tightest) tightest = w.tightest;
        n_displaced += w.n_displaced;
        step_driver_finish(&w.d);
    }
    print_message("the longest wait was %.2f of its bound, %" PRIu64 " were displaced\n",
                  tightest, n_displaced);
    assert_true(n < 300 ||
                (tightest > 0.8 && n_displaced > 1000)); /* or the cases are too easy */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(whoever_waits_is_let_in_in_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
