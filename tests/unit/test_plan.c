/* test_plan.c - the lists of a plan, and what it says of itself. */
#include "plan.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void lists_keep_their_order_while_they_grow(void **state) {
    (void)state;
    enum { N = 1000 };
    plan p = {0};
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(plan_add_chunk(&p, (plan_chunk){.seq = i, .n_tokens = i + 1}), ST_OK);
        assert_int_equal(plan_add_copy(&p, (plan_copy){.id = i}), ST_OK);
        assert_int_equal(plan_add_pair(&p, (block_pair){i, i + 1}), ST_OK);
        assert_int_equal(plan_add_preempted(&p, i), ST_OK);
        assert_int_equal(plan_add_ignored(&p, i), ST_OK);
    }
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(p.chunks[i].n_tokens, i + 1);
        assert_int_equal(p.copies[i].id, i);
        assert_int_equal(p.pairs[i].host, i + 1);
        assert_int_equal(p.preempted[i] + p.ignored[i], 2 * i);
    }
    plan_finish(&p);
}

static void a_cleared_plan_has_no_work_and_keeps_its_memory(void **state) {
    (void)state;
    plan p = {.runs_cohort = true, .n_tokens = 9, .horizon = 7};
    assert_int_equal(plan_add_chunk(&p, (plan_chunk){.seq = 1}), ST_OK);
    assert_int_equal(plan_add_preempted(&p, 1), ST_OK);
    const plan_chunk *chunks = p.chunks;
    plan_clear(&p);
    assert_false(plan_has_work(&p));
    assert_int_equal(p.n_chunks + p.n_preempted + p.n_tokens, 0);
    assert_int_equal(p.horizon, 1);
    assert_ptr_equal(p.chunks, chunks);
    plan_finish(&p);
}

static void a_dropped_chunk_leaves_the_others_in_order(void **state) {
    (void)state;
    enum { N = 5 };
    for (uint32_t dropped = 0; dropped <= N; dropped++) {
        plan p = {0};
        for (uint32_t i = 0; i < N; i++)
            assert_int_equal(plan_add_chunk(&p, (plan_chunk){.seq = i, .n_tokens = 10 + i}),
                             ST_OK);
        assert_int_equal(plan_drop_chunk(&p, dropped), dropped < N ? 10 + dropped : 0);
        assert_int_equal(p.n_chunks, dropped < N ? N - 1 : N);
        for (uint32_t i = 0; i < p.n_chunks; i++)
            assert_int_equal(p.chunks[i].seq, i < dropped ? i : i + 1);
        plan_finish(&p);
    }
}

static void asynchronous_copies_alone_occupy_no_compute(void **state) {
    (void)state;
    plan p = {0};
    assert_false(plan_has_work(&p));
    assert_false(plan_occupies_compute(&p));
    assert_int_equal(plan_add_copy(&p, (plan_copy){.ordered = false}), ST_OK);
    assert_true(plan_has_work(&p));
    assert_false(plan_occupies_compute(&p));
    assert_int_equal(plan_add_copy(&p, (plan_copy){.ordered = true}), ST_OK);
    assert_true(plan_occupies_compute(&p));
    plan_clear(&p);
    p.runs_cohort = true;
    assert_true(plan_has_work(&p));
    assert_true(plan_occupies_compute(&p));
    plan_finish(&p);
}

/* Every way in which four pairs follow or do not follow each other on both sides. */
static void neighbours_on_both_sides_are_one_piece(void **state) {
    (void)state;
    for (uint32_t gaps = 0; gaps < 64; gaps++) {
        plan p = {0};
        block_pair at = {10, 20};
        uint32_t n_pieces = 1;
        assert_int_equal(plan_add_pair(&p, (block_pair){9, 19}), ST_OK); /* another copy's */
        for (uint32_t i = 0; i < 4; i++) {
            bool device_gap = gaps >> 2 * i & 1, host_gap = gaps >> 2 * i & 2;
            assert_int_equal(plan_add_pair(&p, at), ST_OK);
            n_pieces += i < 3 && (device_gap || host_gap);
            at = (block_pair){at.device + 1 + device_gap, at.host + 1 + host_gap};
        }
        plan_copy c = {.first_pair = 1, .n_pairs = 4};
        assert_int_equal(plan_copy_segments(&p, &c, 32), n_pieces);
        c.per_layer = true; /* K and V of each layer of each block */
        assert_int_equal(plan_copy_segments(&p, &c, 32), 4 * 2 * 32);
        c.per_layer = false;
        c.n_pairs = 0;
        assert_int_equal(plan_copy_segments(&p, &c, 32), 0);
        plan_finish(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_keep_their_order_while_they_grow),
        cmocka_unit_test(a_cleared_plan_has_no_work_and_keeps_its_memory),
        cmocka_unit_test(a_dropped_chunk_leaves_the_others_in_order),
        cmocka_unit_test(asynchronous_copies_alone_occupy_no_compute),
        cmocka_unit_test(neighbours_on_both_sides_are_one_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
