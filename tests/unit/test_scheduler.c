/* test_scheduler.c - what a scheduler refuses to be, tells of itself, and notices when its
 * books are wrong. What it decides is in the golden traces. */
#include "scheduler_state.h"

#include <math.h>
#include <string.h>

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static scheduler_config configure(const char *policy_text) {
    errbuf err = {0};
    scheduler_config c = scheduler_config_defaults();
    c.n_device_blocks = 8;
    c.n_host_blocks = 8;
    c.block_tokens = 4;
    c.max_model_len = 28;
    if (policy_parse(&c.policy, policy_text, &err) != ST_OK) fail_msg("%s", err.text);
    return c;
}

static scheduler *make(const char *policy_text) {
    scheduler_config c = configure(policy_text);
    scheduler *s;
    errbuf err = {0};
    if (scheduler_create(&s, &c, &err) != ST_OK) fail_msg("%s", err.text);
    return s;
}

static void configurations_that_cannot_run_are_refused(void **state) {
    (void)state;
    static const struct {
        size_t offset; /* of a number to set */
        uint32_t value;
        const char *message;
    } rows[] = {
        {offsetof(scheduler_config, block_tokens), 0, "block size is 0"},
        {offsetof(scheduler_config, n_device_blocks), 0, "no KV blocks"},
        {offsetof(scheduler_config, max_seqs), 0, "max-seqs is 0"},
        {offsetof(scheduler_config, max_batched_tokens), 0, "max-batched-tokens is 0"},
        {offsetof(scheduler_config, max_model_len), 0, "max-model-len is 0"},
        {offsetof(scheduler_config, horizon_max), 0, "horizon 0 is not in 1 to 1024"},
        {offsetof(scheduler_config, horizon_max), 1025, "horizon 1025 is not in 1 to 1024"},
        {offsetof(scheduler_config, n_device_blocks), UINT32_MAX, "4294967295 device"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        scheduler_config c = configure("vllm-v1");
        memcpy((char *)&c + rows[i].offset, &rows[i].value, sizeof(rows[i].value));
        errbuf err = {0};
        scheduler *s = NULL;
        assert_int_equal(scheduler_create(&s, &c, &err), ST_INVALID);
        assert_null(s);
        if (!strstr(err.text, rows[i].message)) fail_msg("'%s'", err.text);
    }
    scheduler_config c = configure("vllm-v1");
    c.policy = (policy){0};
    scheduler *s = NULL;
    assert_int_equal(scheduler_create(&s, &c, NULL), ST_INVALID);
    assert_null(s);
}

/* V1's front end wants room for an output token; V0 takes anything and gives up later. */
static void prompts_that_leave_no_room_for_output_do_not_fit(void **state) {
    (void)state;
    scheduler *v0 = make("vllm-v0-recompute"), *v1 = make("vllm-v1");
    for (uint32_t n_prompt = 1; n_prompt < 40; n_prompt++) {
        request req = {.n_prompt = n_prompt, .n_output_max = 1};
        assert_int_equal(scheduler_output_limit(v0, &req), 1);
        assert_int_equal(scheduler_output_limit(v1, &req), n_prompt < 28);
    }
    scheduler_destroy(v0);
    scheduler_destroy(v1);
    scheduler_destroy(NULL);
}

static void outputs_stop_at_the_declared_limit_or_the_length_of_the_model(void **state) {
    (void)state;
    static const struct {
        const char *policy;
        uint32_t n_prompt, n_output_max, expected;
    } rows[] = {
        {"vllm-v1", 20, 5, 5},           {"vllm-v1", 20, 100, 8},
        {"vllm-v0-recompute", 20, 5, 5}, {"vllm-v0-recompute", 20, 100, 9},
        {"vllm-v0-recompute", 28, 9, 1}, {"vllm-v0-recompute", 30, 9, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        scheduler *s = make(rows[i].policy);
        request req = {.n_prompt = rows[i].n_prompt, .n_output_max = rows[i].n_output_max};
        uint32_t id;
        assert_int_equal(scheduler_add(s, &id, &req), ST_OK);
        assert_int_equal(scheduler_table(s)->seqs[id].n_output_max, rows[i].expected);
        scheduler_destroy(s);
    }
}

/* Two requests of two blocks, prefilled; no one else. */
static scheduler *make_running(uint32_t ids[2]) {
    scheduler *s = make("vllm-v1");
    const plan *p;
    const uint32_t *finished;
    uint32_t n_finished;
    int64_t end_ns = 1;
    errbuf err = {0};
    for (uint32_t i = 0; i < 2; i++) {
        request req = {.id = i, .n_prompt = 7, .n_output_max = 9};
        assert_int_equal(scheduler_add(s, &ids[i], &req), ST_OK);
    }
    assert_int_equal(scheduler_schedule(s, &p, 0, &err), ST_OK);
    completion c = {.kind = COMPLETION_COMPUTE, .end_ns = &end_ns, .n_iterations = 1};
    assert_int_equal(scheduler_complete(s, &finished, &n_finished, &c), ST_OK);
    assert_int_equal(n_finished, 0);
    assert_int_equal(scheduler_check(s, &err), ST_OK);
    return s;
}

static void it_describes_queues_and_pools(void **state) {
    (void)state;
    uint32_t ids[2];
    scheduler *s = make_running(ids);
    char text[256];
    scheduler_describe(s, text, sizeof(text));
    assert_string_equal(text, "0 waiting, 2 running, 0 swapped out; 3 of 8 device blocks free, "
                              "8 of 8 host blocks free");
    assert_int_equal(scheduler_n_unfinished(s), 2);
    assert_int_equal(scheduler_n_copies_in_flight(s), 0);
    assert_int_equal(scheduler_n_free_device(s), 3);
    assert_int_equal(scheduler_n_free_host(s), 8);
    scheduler_destroy(s);
}

static void hold_a_block_twice(scheduler *s, uint32_t id) {
    kv_pool_retain(s->device, s->table.seqs[id].slots[0].device);
}

static void lose_a_block(scheduler *s, uint32_t id) {
    s->table.seqs[id].n_slots--;
}

static void share_a_block(scheduler *s, uint32_t id) {
    sequence *q = &s->table.seqs[id];
    q->slots[0].device = q->slots[1].device;
}

static void run_without_a_block(scheduler *s, uint32_t id) {
    kv_slot *slot = &s->table.seqs[id].slots[1];
    kv_pool_release(s->device, slot->device);
    slot->device = KV_NO_BLOCK;
}

static void compute_a_token_too_many(scheduler *s, uint32_t id) {
    s->table.seqs[id].n_computed++;
}

static void give_too_many_tokens(scheduler *s, uint32_t id) {
    s->table.seqs[id].n_output_max = 0;
}

static void wait_while_running(scheduler *s, uint32_t id) {
    s->table.seqs[id].state = SEQ_SWAPPED;
}

static void forget_the_running(scheduler *s, uint32_t id) {
    (void)id;
    s->running.n--;
}

static void number_alike(scheduler *s, uint32_t id) {
    (void)id;
    s->table.seqs[s->running.last].running_no = s->table.seqs[s->running.first].running_no;
}

static void count_a_member_too_many(scheduler *s, uint32_t id) {
    (void)id;
    s->cohort.n++;
}

static void count_a_token_too_many(scheduler *s, uint32_t id) {
    (void)id;
    s->cohort.kv_tokens++;
}

static void drop_the_null_block(scheduler *s, uint32_t id) {
    (void)id;
    s->null_block = KV_NO_BLOCK;
}

static void every_kind_of_damage_is_noticed(void **state) {
    (void)state;
    static void (*const damages[])(scheduler * s, uint32_t id) = {
        hold_a_block_twice,
        lose_a_block,
        share_a_block,
        run_without_a_block,
        give_too_many_tokens,
        compute_a_token_too_many,
        wait_while_running,
        forget_the_running,
        number_alike,
        drop_the_null_block,
        count_a_member_too_many,
        count_a_token_too_many,
    };
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        uint32_t ids[2];
        scheduler *s = make_running(ids);
        damages[i](s, ids[1]);
        errbuf err = {0};
        if (scheduler_check(s, &err) != ST_INVALID) fail_msg("damage %d is not seen", (int)i);
        assert_true(err.text[0] != '\0');
        scheduler_destroy(s);
    }
}

/* A tile of 64 tokens costs 1 s, a part of it what the context says. */
static cost uneven_step(void *context, const batch_shape *batch) {
    double s = batch->n_tokens % 64 == 0 ? 1 : *(const double *)context;
    return (cost){s, s, s, true};
}

/* Padding of an iteration with one chunk of n tokens, a part of a tile costing part_s. */
static uint32_t padding_of(double part_s, uint32_t n) {
    cost_model costs = {.iteration = uneven_step, .context = &part_s};
    scheduler_config c = configure("vllm-v1");
    c.n_device_blocks = 64;
    c.max_model_len = 200;
    c.costs = &costs;
    c.pad_tokens = 64;
    errbuf err = {0};
    scheduler *s;
    if (scheduler_create(&s, &c, &err) != ST_OK) fail_msg("%s", err.text);
    uint32_t id;
    const plan *p;
    request req = {.n_prompt = n, .n_output_max = 4};
    assert_int_equal(scheduler_add(s, &id, &req), ST_OK);
    assert_int_equal(scheduler_schedule(s, &p, 0, &err), ST_OK);
    assert_int_equal(p->n_tokens, n);
    assert_int_equal(plan_shape(p).n_tokens, n + p->n_padding);
    assert_int_equal(plan_shape(p).n_prefill_tokens, n);
    uint32_t n_padding = p->n_padding;
    scheduler_destroy(s);
    return n_padding;
}

static void tiles_are_filled_only_where_the_predictor_says_it_pays(void **state) {
    (void)state;
    assert_int_equal(padding_of(1.2, 100), 28);
    assert_int_equal(padding_of(1.2, 128), 0);
    assert_int_equal(padding_of(0.9, 100), 0);
    assert_int_equal(padding_of(1.005, 100), 0); /* less than a fit can tell */
}

static void a_policy_that_asks_a_predictor_is_refused_without_one(void **state) {
    (void)state;
    scheduler_config c = configure("adaptive");
    assert_true(policy_needs_costs(&c.policy));
    scheduler *s = NULL;
    errbuf err = {0};
    assert_int_equal(scheduler_create(&s, &c, &err), ST_INVALID);
    assert_null(s);
    assert_string_equal(err.text,
                        "policy adaptive needs a predictor: give its fits with --profile");
    c = configure("always-recompute");
    assert_false(policy_needs_costs(&c.policy));
    assert_int_equal(scheduler_create(&s, &c, &err), ST_OK);
    scheduler_destroy(s);
}

static cost constant_iteration(void *context, const batch_shape *batch) {
    (void)context;
    (void)batch;
    return (cost){.s = 0.01};
}

static cost constant_copy(void *context, link_direction direction, uint32_t n_blocks,
                          uint32_t n_segments, copy_load load) {
    (void)context;
    (void)direction;
    (void)n_segments;
    (void)load;
    return (cost){.s = 0.001 * n_blocks};
}

/* The length that an oracle is told of request id. */
static uint32_t told(const char *policy_text, uint64_t request_id, uint32_t n_output) {
    scheduler_config c = configure(policy_text);
    const cost_model costs = {.iteration = constant_iteration, .copy = constant_copy};
    c.costs = &costs;
    c.n_device_blocks = 100;
    c.max_model_len = 300;
    scheduler *s;
    errbuf err = {0};
    assert_int_equal(scheduler_create(&s, &c, &err), ST_OK);
    const request req = {.id = request_id, .n_prompt = 10, .n_output_max = 200};
    uint32_t id;
    assert_int_equal(scheduler_add(s, &id, &req), ST_OK);
    assert_true(scheduler_is_oracle(s));
    scheduler_reveal(s, id, n_output);
    uint32_t n = s->table.seqs[id].n_output_true;
    scheduler_destroy(s);
    return n;
}

static void an_oracle_can_be_told_lengths_with_an_error(void **state) {
    (void)state;
    assert_int_equal(told("srpt-oracle", 3, 90), 90);
    assert_int_equal(told("srpt-oracle", 3, 900), 200); /* the declared limit ends it */
    double sum = 0, sum2 = 0;
    enum { N = 400 };
    for (uint64_t id = 0; id < N; id++) {
        double error = log(told("srpt-oracle,length_error=0.2", id, 90) / 90.0);
        sum += error;
        sum2 += error * error;
    }
    assert_true(fabs(sum / N) < 0.04); /* 4 standard errors; whole tokens round it down */
    assert_true(fabs(sqrt(sum2 / N) - 0.2) < 0.03);
    assert_int_equal(told("srpt-oracle,length_error=0.2", 7, 90),
                     told("srpt-oracle,length_error=0.2", 7, 90));
    assert_in_range(told("srpt-oracle,length_error=10", 5, 1), 1, 200);
}

static void padding_without_a_predictor_is_refused(void **state) {
    (void)state;
    scheduler_config c = configure("vllm-v1");
    c.pad_tokens = 64;
    errbuf err = {0};
    scheduler *s = NULL;
    assert_int_equal(scheduler_create(&s, &c, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "--profile"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configurations_that_cannot_run_are_refused),
        cmocka_unit_test(prompts_that_leave_no_room_for_output_do_not_fit),
        cmocka_unit_test(outputs_stop_at_the_declared_limit_or_the_length_of_the_model),
        cmocka_unit_test(it_describes_queues_and_pools),
        cmocka_unit_test(every_kind_of_damage_is_noticed),
        cmocka_unit_test(tiles_are_filled_only_where_the_predictor_says_it_pays),
        cmocka_unit_test(a_policy_that_asks_a_predictor_is_refused_without_one),
        cmocka_unit_test(an_oracle_can_be_told_lengths_with_an_error),
        cmocka_unit_test(padding_without_a_predictor_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
