/* test_adaptive.c - the adaptive memory policy in scenes small enough to know the end of.
 *
 * Blocks of 4 tokens; a step is one iteration. In most scenes two requests fill the pool and
 * the older one, request 0, needs a block first: request 1 has to make room. */
#include "adaptive_state.h"
#include "plain_costs.h"
#include "step_driver.h"

#include <stdio.h>
#include <string.h>

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { STEP_NS = 100000 };

typedef struct scene {
    plain_costs constants;
    cost_model costs;
    scheduler_config config;
    step_driver d;
    int64_t step; /* the next */
    uint64_t n_added;
} scene;

/* 0.1 ms per token and per block copied; certain of it. */
static void scene_init(scene *c, const char *policy_text, uint32_t n_device, uint32_t n_host) {
    errbuf err = {0};
    *c = (scene){.constants = {.latency = {.token_s = 1e-4, .byte_s = 1e-4, .copy_slowdown = 1},
                               .block_bytes = 1}};
    c->config = scheduler_config_defaults();
    if (policy_parse(&c->config.policy, policy_text, &err) != ST_OK) fail_msg("%s", err.text);
    c->config.block_tokens = 4;
    c->config.n_device_blocks = n_device;
    c->config.n_host_blocks = n_host;
    c->config.max_model_len = 200;
    c->costs = plain_cost_model(&c->constants);
    c->config.costs = &c->costs;
}

/* After the constants and limits are as they should be. With fairness=1 the oldest has had its
 * turn, so that nobody in a scene is a senior. */
static void scene_start(scene *c) {
    step_driver_init(&c->d, &c->config);
    if (c->config.policy.settings.fairness == 1) adaptive_of(c->d.scheduler)->n_by_age = 1;
    c->d.step_ns = STEP_NS;
}

static void scene_finish(scene *c) {
    step_driver_finish(&c->d);
}

static void add_from(scene *c, uint32_t client, uint32_t n_prompt, uint32_t n_output) {
    request r = {.id = c->n_added++,
                 .arrival_ns = c->step * STEP_NS,
                 .n_prompt = n_prompt,
                 .n_output_max = 150,
                 .client = client};
    step_driver_add(&c->d, &r, n_output);
}

static void add(scene *c, uint32_t n_prompt, uint32_t n_output) {
    add_from(c, 0, n_prompt, n_output);
}

static void decide(scene *c) {
    errbuf err = {0};
    if (step_driver_schedule(&c->d, c->step, &err) != ST_OK) fail_msg("%s", err.text);
    if (scheduler_check(c->d.scheduler, &err) != ST_OK) fail_msg("%s", err.text);
}

static void complete(scene *c) {
    errbuf err = {0};
    step_driver_complete(&c->d, c->step++);
    if (scheduler_check(c->d.scheduler, &err) != ST_OK) fail_msg("%s", err.text);
}

static void run_until(scene *c, int64_t step) {
    while (c->step < step) {
        decide(c);
        complete(c);
    }
}

static uint32_t slot_of(const scene *c, uint64_t request_id) {
    const sequence_table *t = scheduler_table(c->d.scheduler);
    for (uint32_t id = 0; id < t->n_touched; id++)
        if (t->seqs[id].state != SEQ_UNUSED && t->seqs[id].req.id == request_id) return id;
    fail_msg("request %u is not there", (unsigned)request_id);
    return NO_SEQ;
}

static const sequence *seq_of(const scene *c, uint64_t request_id) {
    return &scheduler_table(c->d.scheduler)->seqs[slot_of(c, request_id)];
}

static uint32_t n_of_device(const sequence *q) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->n_slots; i++) n += q->slots[i].device != KV_NO_BLOCK;
    return n;
}

static uint32_t n_on_host(const sequence *q) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->n_slots; i++) n += q->slots[i].host != KV_NO_BLOCK;
    return n;
}

/* The chunk of a request in the plan at hand. */
static plan_chunk chunk_of(const scene *c, uint64_t request_id) {
    uint32_t id = slot_of(c, request_id);
    for (uint32_t i = 0; i < c->d.plan->n_chunks; i++)
        if (c->d.plan->chunks[i].seq == id) return c->d.plan->chunks[i];
    return (plan_chunk){.seq = NO_SEQ};
}

/* Two requests of 2 and 3 blocks in a pool of 5; the first needs its third block in step 1. */
static void start_two(scene *c, const char *policy_text, uint32_t n_host) {
    scene_init(c, policy_text, 5, n_host);
    scene_start(c);
    add(c, 8, 8);
    add(c, 10, 10);
    run_until(c, 1);
    assert_int_equal(seq_of(c, 0)->state, SEQ_RUNNING);
    assert_int_equal(seq_of(c, 1)->state, SEQ_RUNNING);
    assert_int_equal(scheduler_n_free_device(c->d.scheduler), 0);
}

static void only_as_many_blocks_are_taken_as_are_needed(void **state) {
    (void)state;
    scene c;
    start_two(&c, "always-swap,partial=on", 20);
    run_until(&c, 3);
    const sequence *q = seq_of(&c, 1);
    assert_int_equal(q->state, SEQ_SWAPPED);
    assert_int_equal(q->n_computed, 10);
    assert_int_equal(n_of_device(q), 2);
    assert_int_equal(n_on_host(q), 3);
    assert_int_equal(seq_of(&c, 0)->n_slots, 3);
    scene_finish(&c);
    start_two(&c, "always-swap,partial=off", 20);
    run_until(&c, 3);
    assert_int_equal(n_of_device(seq_of(&c, 1)), 0);
    scene_finish(&c);
}

static void what_was_written_back_goes_for_nothing(void **state) {
    (void)state;
    scene c;
    scene_init(&c, "always-recompute,write_back=on,partial=on", 5, 20);
    c.constants.latency.byte_s = 1e-6; /* all at once */
    scene_start(&c);
    add(&c, 7, 30);
    add(&c, 9, 30);
    add(&c, 16, 1); /* waits: there is a shortage */
    run_until(&c, 2);
    assert_int_equal(n_on_host(seq_of(&c, 1)), 2); /* the full ones */
    decide(&c);                                    /* request 0 needs its third block */
    assert_int_equal(c.d.plan->n_preempted, 1);
    for (uint32_t i = 0; i < c.d.plan->n_copies; i++)
        assert_int_equal(c.d.plan->copies[i].seq, slot_of(&c, 0)); /* a new full block */
    const sequence *q = seq_of(&c, 1);
    assert_int_equal(q->n_computed, 8); /* the partial block was dropped */
    assert_int_equal(n_of_device(q), 2);
    complete(&c);
    run_until(&c, 6);
    decide(&c); /* and its fourth */
    assert_int_equal(q->n_computed, 8);
    assert_int_equal(n_of_device(q), 1);
    assert_int_equal(n_on_host(q), 2);
    assert_int_equal(seq_of(&c, 0)->n_slots, 4);
    complete(&c);
    scene_finish(&c);
}

static void without_room_on_the_host_kv_is_dropped(void **state) {
    (void)state;
    scene c;
    start_two(&c, "always-swap", 2);
    run_until(&c, 2);
    assert_int_equal(seq_of(&c, 1)->state, SEQ_WAITING);
    assert_int_equal(c.d.n_out_blocks, 0);
    while (c.d.n_ended < 2) run_until(&c, c.step + 1);
    assert_int_equal(c.d.n_preempted, 1);
    assert_int_equal(scheduler_n_free_device(c.d.scheduler), 5);
    scene_finish(&c);
}

static void a_restored_sequence_runs_once_its_copy_has_ended(void **state) {
    (void)state;
    scene c;
    start_two(&c, "always-swap,partial=on", 20);
    c.d.n_copy_steps = 2;
    while (c.d.n_ended < 1) run_until(&c, c.step + 1);
    assert_int_equal(seq_of(&c, 1)->state, SEQ_SWAPPED);
    uint32_t n_lost = 3 - n_of_device(seq_of(&c, 1));
    decide(&c);
    const sequence *q = seq_of(&c, 1);
    assert_int_equal(q->state, SEQ_RUNNING);
    assert_int_equal(c.d.n_in_blocks, n_lost);
    assert_int_equal(q->n_arriving, 1);
    assert_int_equal(c.d.plan->n_tokens, 0);
    /* Its third block is going to be written to: the copy of it is not kept. */
    assert_int_equal(n_on_host(q), 2);
    complete(&c);
    decide(&c);
    assert_int_equal(c.d.plan->n_tokens, 0);
    complete(&c);
    decide(&c);
    assert_int_equal(c.d.plan->n_tokens, 0);
    complete(&c);
    decide(&c);
    plan_chunk chunk = chunk_of(&c, 1);
    assert_int_equal(chunk.n_before, 10);
    assert_int_equal(chunk.n_tokens, 1);
    assert_int_equal(chunk.n_recomputed, 0);
    complete(&c);
    while (c.d.n_ended < 2) run_until(&c, c.step + 1);
    assert_int_equal(c.d.n_tokens, 8 + 7 + 10 + 9);
    scene_finish(&c);
}

static void a_block_written_to_again_is_copied_again(void **state) {
    (void)state;
    scene c;
    start_two(&c, "always-swap,partial=on", 20);
    while (seq_of(&c, 1)->state == SEQ_RUNNING) run_until(&c, c.step + 1);
    assert_int_equal(c.d.n_out_blocks, 3);
    while (c.d.n_ended < 1) run_until(&c, c.step + 1);
    run_until(&c, c.step + 1);
    assert_int_equal(seq_of(&c, 1)->state, SEQ_RUNNING);
    assert_int_equal(n_on_host(seq_of(&c, 1)), 2);
    /* Once more, with another token in its third block. */
    run_until(&c, c.step + 1);
    uint32_t id = slot_of(&c, 1);
    scheduler *s = c.d.scheduler;
    assert_int_equal(n_computed_of(s, id), 11);
    plan_clear(&s->plan);
    assert_int_equal(adaptive_pause(s, id), ST_OK);
    assert_int_equal(s->plan.n_pairs, 1);
    assert_int_equal(s->plan.pairs[0].device, seq_of(&c, 1)->slots[2].device);
    scene_finish(&c);
}

/* A front of one block of eight is worth it: each block that streams holds memory for 0.2 ms,
 * and the first takes 0.1 ms to compute, the second 0.26 ms more (their pairs). */
static void the_front_is_computed_while_the_tail_streams_in(void **state) {
    (void)state;
    scene c;
    scene_init(&c, "always-swap,mechanism=marginal,split=on", 12, 20);
    c.constants.latency = (plain_latency){.pair_s = 1e-5, .byte_s = 3e-4, .copy_slowdown = 1};
    scene_start(&c);
    c.d.n_copy_steps = 3;
    add(&c, 12, 8);
    add(&c, 31, 10); /* needs its ninth block with the second token, and has to go itself */
    run_until(&c, 3);
    assert_int_equal(seq_of(&c, 1)->state, SEQ_SWAPPED);
    assert_int_equal(n_on_host(seq_of(&c, 1)), 8);
    while (c.d.n_ended < 1) run_until(&c, c.step + 1);
    decide(&c);
    assert_int_equal(seq_of(&c, 1)->n_kept, 32);
    assert_int_equal(chunk_of(&c, 1).n_before, 0);
    assert_int_equal(chunk_of(&c, 1).n_tokens, 4);
    assert_int_equal(chunk_of(&c, 1).n_recomputed, 4);
    assert_int_equal(c.d.n_in_blocks, 7);
    complete(&c);
    for (int i = 0; i < 3; i++) {
        decide(&c);
        assert_int_equal(c.d.plan->n_tokens, 0);
        assert_int_equal(seq_of(&c, 1)->n_computed, 4);
        complete(&c);
    }
    decide(&c);
    assert_int_equal(chunk_of(&c, 1).n_before, 32);
    assert_int_equal(chunk_of(&c, 1).n_tokens, 1);
    assert_int_equal(seq_of(&c, 1)->n_kept, 0);
    complete(&c);
    while (c.d.n_ended < 2) run_until(&c, c.step + 1);
    assert_int_equal(c.d.n_tokens, 12 + 7 + 31 + 9 + 4);
    scene_finish(&c);
}

/* Blocks that leave by copy when a recompute takes 1 ms, within an interval of spread * 2.8 ms,
 * and both copies hold memory worth 3.6 times the time of one block. */
static uint64_t copied_if(double block_s, double spread, bool last_copied) {
    scene c;
    scene_init(&c, "always-swap,mechanism=marginal", 5, 20);
    c.constants.latency.byte_s = block_s;
    c.constants.spread = spread;
    scene_start(&c);
    adaptive_of(c.d.scheduler)->last_copied = last_copied;
    add(&c, 8, 8);
    add(&c, 10, 10);
    run_until(&c, 2);
    assert_int_equal(c.d.n_preempted, 1);
    uint64_t n = c.d.n_out_blocks;
    scene_finish(&c);
    return n;
}

static void a_choice_flips_only_when_it_is_clear(void **state) {
    (void)state;
    static const double cheaper_s = 2.5e-4, dearer_s = 3e-4;
    assert_int_equal(copied_if(cheaper_s, 0, false), 3);
    assert_int_equal(copied_if(cheaper_s, 0.2, false), 0);
    assert_int_equal(copied_if(cheaper_s, 0.2, true), 3);
    assert_int_equal(copied_if(dearer_s, 0, true), 0);
    assert_int_equal(copied_if(dearer_s, 0.2, true), 3);
    assert_int_equal(copied_if(dearer_s, 0.2, false), 0);
    assert_int_equal(copied_if(1e-5, 0.2, false), 3);
    assert_int_equal(copied_if(1e-3, 0.2, true), 0);
}

static void fairness_0_admits_by_arrival_whatever_the_order(void **state) {
    (void)state;
    static const char *const orders[] = {"fcfs",        "priority",   "hrrn",
                                         "srpt-oracle", "lpt-oracle", "sjf-prompt",
                                         "mlfq",        "vtc",        "gittins"};
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        char text[80];
        snprintf(text, sizeof(text), "adaptive,fairness=0,min_service=0,order=%s", orders[i]);
        scene c;
        scene_init(&c, text, 60, 20);
        c.config.max_seqs = 1;
        scene_start(&c);
        for (uint32_t j = 0; j < 8; j++) {
            add_from(&c, j % 3, 4 + 13 * j % 40, 1 + 7 * j % 9);
            run_until(&c, c.step + 1);
        }
        while (c.d.n_ended < 8) run_until(&c, c.step + 1);
        for (uint32_t j = 0; j < 8; j++) assert_int_equal(c.d.ended[j], j);
        assert_int_equal(c.d.n_preempted, 0);
        scene_finish(&c);
    }
}

static void nobody_is_displaced_before_its_minimum_of_tokens(void **state) {
    (void)state;
    scene c;
    scene_init(&c, "srpt-oracle,min_service=5,hysteresis=0", 60, 60);
    c.config.max_seqs = 1;
    scene_start(&c);
    add(&c, 4, 100);
    run_until(&c, 1);
    add(&c, 4, 1); /* more urgent from now on */
    for (uint32_t n_output = 1; n_output < 5; n_output++) {
        decide(&c);
        assert_int_equal(c.d.plan->n_preempted, 0);
        assert_int_equal(n_output_of(c.d.scheduler, slot_of(&c, 0)), n_output);
        complete(&c);
    }
    decide(&c);
    assert_int_equal(c.d.plan->n_preempted, 1);
    assert_int_equal(seq_of(&c, 1)->state, SEQ_RUNNING);
    assert_int_equal(seq_of(&c, 0)->state, SEQ_SWAPPED);
    complete(&c);
    scene_finish(&c);
}

static void the_bound_preempts_for_nothing(void **state) {
    (void)state;
    scene c;
    start_two(&c, "oracle-bound", 0);
    run_until(&c, 2);
    assert_int_equal(c.d.n_preempted, 1);
    assert_int_equal(scheduler_n_free_device(c.d.scheduler), 2);
    while (c.d.n_ended < 1) run_until(&c, c.step + 1);
    decide(&c);
    assert_int_equal(chunk_of(&c, 1).n_before, 10);
    assert_int_equal(chunk_of(&c, 1).n_tokens, 1);
    complete(&c);
    while (c.d.n_ended < 2) run_until(&c, c.step + 1);
    assert_int_equal(c.d.n_out_blocks + c.d.n_in_blocks, 0);
    assert_int_equal(c.d.n_tokens, 8 + 7 + 10 + 9);
    scene_finish(&c);
}

/* Preempted for nothing, it has nothing to catch up on. */
static void the_bound_ranks_by_what_is_left(void **state) {
    (void)state;
    scene c;
    start_two(&c, "oracle-bound,order=srpt-oracle", 0);
    run_until(&c, 2);
    uint32_t id = slot_of(&c, 1);
    assert_int_equal(seq_of(&c, 1)->state, SEQ_WAITING);
    assert_true(note_of(c.d.scheduler, id)->rank == 10 - 1);
    scene_finish(&c);
}

static double charged(const scene *c, uint32_t client) {
    const adaptive *t = adaptive_of(c->d.scheduler);
    for (uint32_t i = 0; i < t->clients.n; i++)
        if (t->clients.accounts[i].client == client) return t->clients.accounts[i].charged;
    return -1;
}

static void an_idle_client_saves_up_no_service(void **state) {
    (void)state;
    scene c;
    scene_init(&c, "always-recompute,order=vtc", 60, 0);
    scene_start(&c);
    add_from(&c, UINT32_MAX, 10, 3); /* any number may name a client */
    run_until(&c, 1);
    assert_true(charged(&c, UINT32_MAX) == 10);
    run_until(&c, 2);
    add_from(&c, 7, 5, 20);
    decide(&c); /* two tokens came out so far, each counts twice */
    assert_true(charged(&c, UINT32_MAX) == 10 + 2 * 2);
    assert_true(charged(&c, 7) == 10 + 2 * 2 + 5);
    complete(&c);
    while (c.d.n_ended < 2) run_until(&c, c.step + 1);
    /* Nobody is here any more: level with who was the last to leave. */
    assert_true(charged(&c, 7) == 10 + 2 * 2 + 5 + 2 * 20);
    add_from(&c, UINT32_MAX, 1, 1);
    decide(&c);
    assert_true(charged(&c, UINT32_MAX) == charged(&c, 7) + 1);
    complete(&c);
    scene_finish(&c);
}

static void the_client_served_least_comes_first(void **state) {
    (void)state;
    scene c;
    scene_init(&c, "always-recompute,order=vtc", 60, 0);
    c.config.max_seqs = 1;
    scene_start(&c);
    static const uint32_t clients[] = {0, 0, 0, 0, 1, 1};
    for (uint32_t i = 0; i < 6; i++) add_from(&c, clients[i], 10, 2);
    while (c.d.n_ended < 6) run_until(&c, c.step + 1);
    static const uint64_t order[] = {0, 4, 1, 5, 2, 3};
    assert_memory_equal(c.d.ended, order, sizeof(order));
    scene_finish(&c);
}

static void without_clients_vtc_is_by_arrival(void **state) {
    (void)state;
    scene c;
    scene_init(&c, "always-recompute,order=vtc", 60, 0);
    c.config.max_seqs = 1;
    scene_start(&c);
    for (uint32_t i = 0; i < 6; i++) add(&c, 30 - 4 * i, 1 + i % 2);
    while (c.d.n_ended < 6) run_until(&c, c.step + 1);
    for (uint32_t i = 0; i < 6; i++) assert_int_equal(c.d.ended[i], i);
    scene_finish(&c);
}

enum { N_ENDING = 8, N_STAYING = 4, N_TICKS = 20 };

/* Runs N_TICKS iterations from step 1 on, `horizon` by each plan; after them n requests end. */
static void run_horizons(scene *c, uint32_t horizon, uint32_t n_ending) {
    scheduler *s = c->d.scheduler;
    int64_t end_ns[N_TICKS];
    for (uint32_t done = horizon; done <= N_TICKS; done += horizon) {
        const plan *p;
        errbuf err = {0};
        assert_int_equal(scheduler_schedule(s, &p, c->step * STEP_NS, &err), ST_OK);
        assert_true(p->horizon >= horizon);
        for (uint32_t i = 0; i < horizon; i++) end_ns[i] = ++c->step * STEP_NS;
        uint32_t ids[N_ENDING], n = 0;
        while (n < n_ending && done == N_TICKS) ids[n] = slot_of(c, n), n++;
        completion now = {.kind = COMPLETION_COMPUTE,
                          .now_ns = c->step * STEP_NS,
                          .start_ns = end_ns[0] - STEP_NS,
                          .end_ns = end_ns,
                          .n_iterations = horizon,
                          .finished = ids,
                          .n_finished = n};
        const uint32_t *finished;
        assert_int_equal(scheduler_complete(s, &finished, &n, &now), ST_OK);
        for (uint32_t i = 0; i < n; i++) scheduler_end(s, finished[i]);
    }
}

/* What is known of lengths after eight of twelve ended. */
static void learn(double remaining[3], uint32_t horizon) {
    scene c;
    scene_init(&c, "adaptive", 400, 0);
    scene_start(&c);
    for (uint32_t i = 0; i < N_ENDING + N_STAYING; i++)
        add(&c, 4, i < N_ENDING ? N_TICKS + 1 : 100);
    run_until(&c, 1);
    run_horizons(&c, horizon, N_ENDING);
    const length_estimate *lengths = adaptive_of(c.d.scheduler)->lengths;
    assert_int_equal(length_estimate_version(lengths), 2);
    for (uint32_t i = 0; i < 3; i++)
        remaining[i] = length_estimate_remaining(lengths, 4, 9 * i, 150);
    scene_finish(&c);
}

static void a_horizon_teaches_the_same_lengths(void **state) {
    (void)state;
    double one_by_one[3], at_once[3];
    learn(one_by_one, 1);
    learn(at_once, N_TICKS);
    assert_memory_equal(one_by_one, at_once, sizeof(at_once));
}

/* The batch to which the cost of a recompute was added. */
typedef struct witness {
    cost_model told;
    uint64_t decode_kv_tokens;
} witness;

static cost tell_and_note(void *context, const batch_shape *batch) {
    witness *w = context;
    if (batch->n_decode == 2) w->decode_kv_tokens = batch->decode_kv_tokens;
    return w->told.iteration(w->told.context, batch);
}

static cost tell_of_copy(void *context, link_direction direction, uint32_t n_blocks,
                         uint32_t n_segments, copy_load load) {
    const witness *w = context;
    return w->told.copy(w->told.context, direction, n_blocks, n_segments, load);
}

/* Two requests that fill the pool after N_TICKS. */
static uint64_t batch_of_preemption(uint32_t horizon) {
    scene c;
    scene_init(&c, "always-swap,mechanism=marginal", 12, 20);
    witness w = {.told = c.costs};
    c.costs = (cost_model){.iteration = tell_and_note, .copy = tell_of_copy, .context = &w};
    scene_start(&c);
    add(&c, 4, 100);
    add(&c, 4, 100);
    run_until(&c, 1);
    run_horizons(&c, horizon, 0);
    decide(&c);
    assert_int_equal(c.d.plan->n_preempted, 1);
    complete(&c);
    scene_finish(&c);
    return w.decode_kv_tokens;
}

static void after_a_horizon_the_batch_is_that_of_its_last_iteration(void **state) {
    (void)state;
    assert_int_equal(batch_of_preemption(1), 2 * (4 + N_TICKS));
    assert_int_equal(batch_of_preemption(N_TICKS), 2 * (4 + N_TICKS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_as_many_blocks_are_taken_as_are_needed),
        cmocka_unit_test(what_was_written_back_goes_for_nothing),
        cmocka_unit_test(without_room_on_the_host_kv_is_dropped),
        cmocka_unit_test(a_restored_sequence_runs_once_its_copy_has_ended),
        cmocka_unit_test(a_block_written_to_again_is_copied_again),
        cmocka_unit_test(the_front_is_computed_while_the_tail_streams_in),
        cmocka_unit_test(a_choice_flips_only_when_it_is_clear),
        cmocka_unit_test(fairness_0_admits_by_arrival_whatever_the_order),
        cmocka_unit_test(nobody_is_displaced_before_its_minimum_of_tokens),
        cmocka_unit_test(the_bound_preempts_for_nothing),
        cmocka_unit_test(the_bound_ranks_by_what_is_left),
        cmocka_unit_test(an_idle_client_saves_up_no_service),
        cmocka_unit_test(the_client_served_least_comes_first),
        cmocka_unit_test(without_clients_vtc_is_by_arrival),
        cmocka_unit_test(a_horizon_teaches_the_same_lengths),
        cmocka_unit_test(after_a_horizon_the_batch_is_that_of_its_last_iteration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
