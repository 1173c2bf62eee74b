/* test_cpu_executor.c - the CPU engine runs plans put together by hand. */
#include "cpu_rig.h"
#include "forward.h"
#include "hand_plan.h"
#include "kv_pool.h"
#include "token_table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_DEVICE = 32, N_HOST = 16, BLOCK_TOKENS = 16, MAX_TOKENS = 240 };

static const int64_t MS = 1000000;

typedef struct finish {
    uint64_t request_id;
    uint32_t n;
    uint32_t tokens[MAX_TOKENS];
} finish;

typedef struct world {
    model *model;
    hand_plan hand;
    executor engine;
    size_t block_floats;
    uint32_t n_blocks_used;
    finish finishes[8];
    uint32_t n_finishes;
    uint64_t n_copies;
} world;

static void keep(void *context, uint64_t request_id, const uint32_t *tokens, uint32_t n) {
    world *w = context;
    finish *f = &w->finishes[w->n_finishes++];
    assert_true(n <= MAX_TOKENS);
    f->request_id = request_id;
    f->n = n;
    memcpy(f->tokens, tokens, n * sizeof(*tokens));
}

static world *world_create(bool stops_at_eos) {
    world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->model = cpu_rig_model(ARCH_LLAMA, 1);
    hand_plan_init(&w->hand);
    cpu_executor_config c = cpu_executor_defaults();
    c.model = w->model;
    c.common.n_device_blocks = N_DEVICE;
    c.common.n_host_blocks = N_HOST;
    c.common.max_batched_tokens = MAX_TOKENS;
    c.n_threads = 2;
    c.common.deterministic = true;
    c.common.stops_at_eos = stops_at_eos;
    c.common.finished = keep;
    c.common.finished_context = w;
    errbuf err = {0};
    if (cpu_executor_create(&w->engine, &c, &err) != ST_OK) fail_msg("%s", err.text);
    w->block_floats = forward_block_floats(model_config_of(w->model), BLOCK_TOKENS);
    return w;
}

static void world_destroy(world *w) {
    w->engine.destroy(w->engine.context);
    hand_plan_finish(&w->hand);
    model_close(w->model);
    free(w);
}

/* A sequence that the engine knows, with blocks for all of its tokens. */
static uint32_t admit(world *w, uint32_t n_prompt, uint32_t n_output) {
    uint32_t seq = hand_plan_add(&w->hand, n_prompt, n_output);
    for (uint32_t n = 0; n < n_prompt + n_output; n += BLOCK_TOKENS)
        assert_int_equal(sequence_push_slot(&w->hand.seqs.seqs[seq],
                                            (kv_slot){w->n_blocks_used++, KV_NO_BLOCK}),
                         ST_OK);
    assert_true(w->n_blocks_used <= N_DEVICE);
    assert_int_equal(w->engine.admit(w->engine.context, &w->hand.seqs, seq, n_output), ST_OK);
    return seq;
}

static void add_copy(world *w, link_direction direction, bool ordered, uint32_t device,
                     uint32_t host) {
    plan *p = &w->hand.plan;
    plan_copy c = {.id = w->n_copies++,
                   .seq = NO_SEQ,
                   .direction = direction,
                   .ordered = ordered,
                   .first_pair = p->n_pairs,
                   .n_pairs = 1};
    assert_int_equal(plan_add_pair(p, (block_pair){device, host}), ST_OK);
    assert_int_equal(plan_add_copy(p, c), ST_OK);
}

static void submit(world *w) {
    errbuf err = {0};
    if (w->engine.submit(w->engine.context, &w->hand.plan, &err) != ST_OK)
        fail_msg("%s", err.text);
}

/* The next event, booked in the cohort. */
static completion next(world *w, int64_t until_ns) {
    errbuf err = {0};
    completion c = {0};
    if (w->engine.next(w->engine.context, until_ns, &c, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_int_equal(w->engine.now_ns(w->engine.context), c.now_ns);
    if (c.kind == COMPLETION_COMPUTE && w->hand.plan.runs_cohort)
        cohort_advance(&w->hand.decodes, c.n_iterations);
    return c;
}

/* Computes a prompt; the first token is there then. */
static void prefill(world *w, uint32_t seq) {
    plan_clear(&w->hand.plan);
    hand_plan_prompt(&w->hand, seq, 0, 0);
    submit(w);
    assert_int_equal(next(w, INT64_MAX).kind, COMPLETION_COMPUTE);
}

static void fill(world *w, bool on_host, uint32_t id, float seed) {
    float *block = cpu_executor_block(&w->engine, on_host, id);
    for (size_t i = 0; i < w->block_floats; i++) block[i] = seed + (float)i;
}

static void assert_block(world *w, bool on_host, uint32_t id, float seed) {
    const float *block = cpu_executor_block(&w->engine, on_host, id);
    for (size_t i = 0; i < w->block_floats; i++) assert_true(block[i] == seed + (float)i);
}

static void test_clock_stands_still_at_the_latest_event(void **state) {
    (void)state;
    world *w = world_create(false);
    assert_true(w->engine.now_ns(w->engine.context) < 1000 * MS);
    int64_t now_ns = w->engine.now_ns(w->engine.context);
    assert_int_equal(w->engine.now_ns(w->engine.context), now_ns);
    completion c = next(w, now_ns + 3 * MS);
    assert_int_equal(c.kind, COMPLETION_NONE);
    assert_int_equal(c.now_ns, now_ns + 3 * MS);
    uint32_t seq = admit(w, 20, 5);
    prefill(w, seq);
    assert_true(w->engine.now_ns(w->engine.context) > now_ns + 3 * MS);
    c = next(w, 0); /* long past */
    assert_int_equal(c.kind, COMPLETION_NONE);
    assert_true(c.now_ns > now_ns + 3 * MS);
    world_destroy(w);
}

static void test_iteration_starts_where_the_one_before_ended(void **state) {
    (void)state;
    world *w = world_create(false);
    uint32_t seq = admit(w, 20, 5);
    prefill(w, seq);
    int64_t before_ns = w->engine.now_ns(w->engine.context);
    hand_plan_join(&w->hand, seq, 1);
    hand_plan_decodes(&w->hand, 3);
    submit(w);
    completion c = next(w, INT64_MAX);
    assert_int_equal(c.kind, COMPLETION_COMPUTE);
    assert_int_equal(c.n_iterations, 3);
    assert_int_equal(c.start_ns, before_ns);
    assert_true(c.end_ns[0] > c.start_ns && c.end_ns[1] > c.end_ns[0]);
    assert_int_equal(c.end_ns[2], c.now_ns);
    executor_usage usage;
    w->engine.usage(w->engine.context, &usage);
    assert_true(usage.compute_s > 0 && usage.link_s == 0);
    world_destroy(w);
}

static void test_horizon_ends_with_the_first_finish(void **state) {
    (void)state;
    world *w = world_create(false);
    uint32_t a = admit(w, 20, 9), b = admit(w, 7, 4);
    prefill(w, a);
    prefill(w, b);
    hand_plan_join(&w->hand, a, 1);
    hand_plan_join(&w->hand, b, 1);
    hand_plan_decodes(&w->hand, 9);
    submit(w);
    completion c = next(w, INT64_MAX);
    assert_int_equal(c.n_iterations, 3);
    assert_int_equal(c.n_finished, 1);
    assert_int_equal(c.finished[0], b);
    assert_int_equal(w->n_finishes, 1);
    assert_int_equal(w->finishes[0].n, 4);
    world_destroy(w);
}

static void test_horizon_ends_at_until(void **state) {
    (void)state;
    world *w = world_create(false);
    uint32_t a = admit(w, 20, 60);
    prefill(w, a);
    hand_plan_join(&w->hand, a, 1);
    hand_plan_decodes(&w->hand, 50);
    submit(w);
    completion c = next(w, w->engine.now_ns(w->engine.context) + 1);
    assert_int_equal(c.kind, COMPLETION_COMPUTE);
    assert_int_equal(c.n_iterations, 1);
    world_destroy(w);
}

static void test_horizon_says_what_single_steps_say(void **state) {
    (void)state;
    world *w = world_create(false);
    uint32_t a = admit(w, 20, 40), b = admit(w, 20, 40); /* of one id: the same prompt */
    prefill(w, a);
    hand_plan_join(&w->hand, a, 1);
    hand_plan_decodes(&w->hand, 39);
    submit(w);
    assert_int_equal(next(w, INT64_MAX).n_iterations, 39);
    cohort_leave(&w->hand.decodes, &w->hand.seqs, a);
    prefill(w, b);
    hand_plan_join(&w->hand, b, 1);
    for (int i = 0; i < 39; i++) {
        hand_plan_decodes(&w->hand, 1);
        submit(w);
        assert_int_equal(next(w, INT64_MAX).n_iterations, 1);
    }
    assert_int_equal(w->n_finishes, 2);
    assert_int_equal(w->finishes[0].n, 40);
    assert_memory_equal(w->finishes[0].tokens, w->finishes[1].tokens, 40 * sizeof(uint32_t));
    world_destroy(w);
}

static void test_ordered_copies_run_in_order_before_their_iteration(void **state) {
    (void)state;
    world *w = world_create(false);
    fill(w, false, 20, 1);
    fill(w, false, 21, 2);
    plan_clear(&w->hand.plan);
    add_copy(w, LINK_TO_HOST, true, 20, 3);
    add_copy(w, LINK_TO_HOST, true, 21, 4);
    add_copy(w, LINK_TO_DEVICE, true, 20, 4); /* into a block that the first one left */
    submit(w);
    completion c = next(w, INT64_MAX);
    assert_int_equal(c.kind, COMPLETION_COMPUTE);
    assert_int_equal(c.n_iterations, 1);
    assert_int_equal(c.n_finished, 0);
    assert_true(c.ordered_copy_s > 0);
    assert_block(w, true, 3, 1);
    assert_block(w, true, 4, 2);
    assert_block(w, false, 20, 2);
    executor_usage usage;
    w->engine.usage(w->engine.context, &usage);
    assert_true(usage.link_s > 0 && usage.link_s <= c.ordered_copy_s);
    world_destroy(w);
}

static void test_asynchronous_copies_complete_each_by_itself(void **state) {
    (void)state;
    world *w = world_create(false);
    fill(w, false, 5, 7);
    fill(w, true, 2, 9);
    plan_clear(&w->hand.plan);
    add_copy(w, LINK_TO_HOST, false, 5, 0);
    add_copy(w, LINK_TO_DEVICE, false, 6, 2);
    submit(w);
    bool seen[2] = {false, false};
    int64_t before_ns = 0;
    for (int i = 0; i < 2; i++) {
        completion c = next(w, INT64_MAX);
        assert_int_equal(c.kind, COMPLETION_COPY);
        assert_true(c.copy_id < 2 && !seen[c.copy_id]);
        assert_true(c.now_ns > before_ns && c.copy_s > 0);
        seen[c.copy_id] = true;
        before_ns = c.now_ns;
    }
    assert_block(w, true, 0, 7);
    assert_block(w, false, 6, 9);
    world_destroy(w);
}

static void test_copy_ends_a_horizon_with_its_iteration(void **state) {
    (void)state;
    world *w = world_create(false);
    uint32_t a = admit(w, 20, 60);
    prefill(w, a);
    fill(w, false, 30, 3);
    hand_plan_join(&w->hand, a, 1);
    hand_plan_decodes(&w->hand, 50);
    add_copy(w, LINK_TO_HOST, false, 30, 1);
    submit(w);
    completion c = next(w, INT64_MAX);
    assert_int_equal(c.kind, COMPLETION_COPY);
    int64_t copied_ns = c.now_ns;
    c = next(w, INT64_MAX);
    assert_int_equal(c.kind, COMPLETION_COMPUTE);
    assert_true(c.now_ns > copied_ns);
    assert_true(c.n_iterations == 1 || c.end_ns[c.n_iterations - 2] < copied_ns);
    assert_true(c.n_iterations < 50);
    world_destroy(w);
}

/* The copy takes what the ordered one freed: it must not come before. */
static void test_asynchronous_copies_wait_for_ordered_ones_of_their_plan(void **state) {
    (void)state;
    world *w = world_create(false);
    for (float round = 0; round < 50; round++) {
        fill(w, false, 9, 100 + round);
        fill(w, true, 1, 200 + round);
        plan_clear(&w->hand.plan);
        add_copy(w, LINK_TO_HOST, true, 9, 0);
        add_copy(w, LINK_TO_DEVICE, false, 9, 1);
        submit(w);
        for (int i = 0; i < 2; i++) assert_true(next(w, INT64_MAX).kind != COMPLETION_NONE);
        assert_block(w, true, 0, 100 + round);
        assert_block(w, false, 9, 200 + round);
    }
    world_destroy(w);
}

/* The first outputs of a sequence whose first token is there. */
static void decode_all(world *w, uint32_t seq, uint32_t n_output) {
    hand_plan_join(&w->hand, seq, 1);
    hand_plan_decodes(&w->hand, n_output - 1);
    submit(w);
    assert_int_equal(next(w, INT64_MAX).n_iterations, n_output - 1);
    cohort_leave(&w->hand.decodes, &w->hand.seqs, seq);
}

/* Blocks [first, 7) of a sequence's KV go to the host, and everything on the device is lost. */
static void swap_tail_out(world *w, uint32_t seq, uint32_t first) {
    kv_slot *slots = w->hand.seqs.seqs[seq].slots;
    plan_clear(&w->hand.plan);
    for (uint32_t i = first; i < 7; i++) add_copy(w, LINK_TO_HOST, false, slots[i].device, i);
    submit(w);
    for (uint32_t i = first; i < 7; i++)
        assert_int_equal(next(w, INT64_MAX).kind, COMPLETION_COPY);
    for (uint32_t i = 0; i < 7; i++) {
        fill(w, false, slots[i].device, NAN);
        slots[i].device = w->n_blocks_used++;
        fill(w, false, slots[i].device, NAN);
    }
}

static void test_front_is_computed_while_the_tail_streams_in(void **state) {
    (void)state;
    enum { N_FRONT_BLOCKS = 3 };
    world *w = world_create(false);
    uint32_t a = admit(w, 100, 12), b = admit(w, 100, 12); /* the same prompt */
    prefill(w, a);
    decode_all(w, a, 12);
    prefill(w, b);
    swap_tail_out(w, b, N_FRONT_BLOCKS);
    plan_clear(&w->hand.plan);
    plan_chunk front = {.seq = b,
                        .n_tokens = N_FRONT_BLOCKS * BLOCK_TOKENS,
                        .n_recomputed = N_FRONT_BLOCKS * BLOCK_TOKENS};
    assert_int_equal(plan_add_chunk(&w->hand.plan, front), ST_OK);
    w->hand.plan.n_tokens = front.n_tokens;
    for (uint32_t i = N_FRONT_BLOCKS; i < 7; i++)
        add_copy(w, LINK_TO_DEVICE, false, w->hand.seqs.seqs[b].slots[i].device, i);
    submit(w);
    for (uint32_t i = N_FRONT_BLOCKS; i < 7 + 1; i++)
        assert_int_not_equal(next(w, INT64_MAX).kind, COMPLETION_NONE);
    decode_all(w, b, 12);
    assert_int_equal(w->n_finishes, 2);
    assert_memory_equal(w->finishes[0].tokens, w->finishes[1].tokens, 12 * sizeof(uint32_t));
    world_destroy(w);
}

static void test_value_that_is_no_number_ends_the_run(void **state) {
    (void)state;
    world *w = world_create(false);
    uint32_t a = admit(w, 20, 5);
    prefill(w, a);
    float *block = cpu_executor_block(&w->engine, false, w->hand.seqs.seqs[a].slots[0].device);
    for (size_t i = 0; i < w->block_floats; i++) block[i] = NAN;
    hand_plan_join(&w->hand, a, 1);
    hand_plan_decodes(&w->hand, 4);
    submit(w);
    errbuf err = {0};
    completion c;
    assert_int_equal(w->engine.next(w->engine.context, INT64_MAX, &c, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "no number"));
    world_destroy(w);
}

static void test_too_large_an_iteration_is_refused(void **state) {
    (void)state;
    world *w = world_create(false);
    uint32_t a = admit(w, 200, 1), b = admit(w, 200, 1);
    plan_clear(&w->hand.plan);
    hand_plan_prompt(&w->hand, a, 0, 0);
    hand_plan_prompt(&w->hand, b, 0, 0);
    errbuf err = {0};
    assert_int_equal(w->engine.submit(w->engine.context, &w->hand.plan, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "400"));
    world_destroy(w);
}

static void test_can_be_destroyed_with_work_outstanding(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        world *w = world_create(false);
        uint32_t a = admit(w, 100, 60);
        plan_clear(&w->hand.plan);
        hand_plan_prompt(&w->hand, a, 0, 0);
        for (uint32_t j = 0; j < 8; j++) add_copy(w, (link_direction)(j % 2), false, 20 + j, j);
        submit(w);
        world_destroy(w);
    }
}

static void test_settings_that_cannot_be_are_refused(void **state) {
    (void)state;
    model *m = cpu_rig_model(ARCH_OPT, 3);
    cpu_executor_config c = cpu_executor_defaults();
    executor e;
    errbuf err = {0};
    c.model = m;
    assert_int_equal(cpu_executor_create(&e, &c, &err), ST_INVALID); /* no blocks */
    c.common.n_device_blocks = 4;
    c.common.sampling.top_p = 2;
    assert_int_equal(cpu_executor_create(&e, &c, &err), ST_INVALID);
    model_close(m);
}

static void test_equal_prefix_ids_give_equal_tokens(void **state) {
    (void)state;
    token_table t;
    token_table_init(&t, 1000, 5);
    const uint64_t ids[] = {11, 12}, others[] = {11, 13};
    request a = {
        .id = 1, .n_prompt = 40, .prefix_ids = ids, .n_prefix_ids = 2, .prefix_tokens = 16};
    request b = a, c = a;
    b.id = 2;
    c.prefix_ids = others;
    uint32_t n_same[3] = {0, 0, 0}, n_other[3] = {0, 0, 0};
    for (uint32_t i = 0; i < 40; i++) {
        uint32_t token = prompt_token(&t, &a, i);
        assert_true(token < 1000);
        n_same[i / 16] += prompt_token(&t, &b, i) == token;
        n_other[i / 16] += prompt_token(&t, &c, i) == token;
    }
    assert_int_equal(n_same[0], 16);
    assert_int_equal(n_same[1], 16);
    assert_true(n_same[2] < 2); /* each request's own */
    assert_int_equal(n_other[0], 16);
    assert_true(n_other[1] < 4);
    token_table_finish(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_stands_still_at_the_latest_event),
        cmocka_unit_test(test_iteration_starts_where_the_one_before_ended),
        cmocka_unit_test(test_horizon_ends_with_the_first_finish),
        cmocka_unit_test(test_horizon_ends_at_until),
        cmocka_unit_test(test_horizon_says_what_single_steps_say),
        cmocka_unit_test(test_ordered_copies_run_in_order_before_their_iteration),
        cmocka_unit_test(test_asynchronous_copies_complete_each_by_itself),
        cmocka_unit_test(test_copy_ends_a_horizon_with_its_iteration),
        cmocka_unit_test(test_asynchronous_copies_wait_for_ordered_ones_of_their_plan),
        cmocka_unit_test(test_front_is_computed_while_the_tail_streams_in),
        cmocka_unit_test(test_value_that_is_no_number_ends_the_run),
        cmocka_unit_test(test_too_large_an_iteration_is_refused),
        cmocka_unit_test(test_can_be_destroyed_with_work_outstanding),
        cmocka_unit_test(test_settings_that_cannot_be_are_refused),
        cmocka_unit_test(test_equal_prefix_ids_give_equal_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
